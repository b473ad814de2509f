"""Incremental reading of tool calls from an answer: the interface of readers, and common rules.

Knows no format of calls, no engine and no wire format.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from server.tools.call import ToolCallDelta


@dataclass(slots=True)
class ReadPiece:
    """Content and calls that were read from a piece of an answer."""

    content: str = ""
    calls: list[ToolCallDelta] = field(default_factory=list)

    def add(self, later: "ReadPiece") -> None:
        """Append `later`."""
        self.content += later.content
        self.calls += later.calls


class ToolCallReader(Protocol):
    """Reads an answer from its first token to its last.

    The first delta of each call has an id and a name.
    """

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """Read the next token and its text, or text alone if the tokens do not matter."""

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """Handle the end of the answer. `is_cut`: the model did not end it itself."""


class AnswerReader:
    """Splits an answer into content and calls, on top of a :class:`ToolCallReader`.

    Limits the number of calls, leaves out those of tools that are not `allowed` (None: all are),
    and loses no text: if no call could be read, the whole answer is content, since a model may try
    to call a tool and write something malformed. Whitespace around
    calls is not content. `keeps_unread` is False if the reader itself tells text from calls: then
    what it does not pass on is the beginning of a call that was cut.
    """

    def __init__(
        self,
        reader: ToolCallReader,
        *,
        parallel: bool = True,
        keeps_unread: bool = True,
        allowed: Collection[str] | None = None,
    ) -> None:
        self.is_over = False  # a second call has begun although only one is allowed
        self.has_called = False
        self._reader = reader
        self._parallel = parallel
        self._keeps_unread = keeps_unread
        self._allowed = allowed
        self._indices: dict[int, int | None] = {}  # of calls; None: of a tool that is not allowed
        self._text = ""
        self._content = ""
        self._space = ""  # whitespace that is held back until content follows
        self._has_content = False

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`ToolCallReader`."""
        self._text += text
        return self._filter(self._reader.push(text, token_ids))

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`ToolCallReader`."""
        piece = self._filter(self._reader.finish(is_cut=is_cut))
        if not self.has_called and self._keeps_unread:
            piece.content += self._space
            if self._text.startswith(self._content):
                piece.content += self._text[len(self._content) :]
        return piece

    def _filter(self, piece: ReadPiece) -> ReadPiece:
        self._content += piece.content
        if self.is_over:
            return ReadPiece()
        allowed = self._drop_forbidden(piece.calls)
        calls = allowed if self._parallel else [call for call in allowed if call.index == 0]
        self.is_over = len(calls) < len(allowed)
        content = self._space + piece.content
        self._space = ""
        if not content.strip() and (calls or self.has_called or not self._has_content):
            self._space, content = ("" if calls else content), ""
        self.has_called = self.has_called or bool(calls)
        self._has_content = self._has_content or bool(content)
        return ReadPiece(content, calls)

    def _drop_forbidden(self, calls: list[ToolCallDelta]) -> list[ToolCallDelta]:
        """Return the deltas of allowed calls, which are numbered without gaps."""
        if self._allowed is None:
            return calls
        kept = []
        for call in calls:
            if call.index not in self._indices:
                num_kept = sum(index is not None for index in self._indices.values())
                self._indices[call.index] = num_kept if call.name in self._allowed else None
            index = self._indices[call.index]
            if index is not None:
                kept.append(replace(call, index=index))
        return kept


# Creates a reader for each choice.
ReaderFactory = Callable[[], AnswerReader]
