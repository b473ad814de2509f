"""Incremental reading of tool calls from an answer: the interface of readers, and common rules.

Knows no format of calls, no engine and no wire format.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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

    Limits the number of calls and loses no text: if no call could be read, the whole answer is
    content, since a model may try to call a tool and write something malformed. Whitespace around
    calls is not content.
    """

    def __init__(self, reader: ToolCallReader, *, parallel: bool = True) -> None:
        self.is_over = False  # a second call has begun although only one is allowed
        self.has_called = False
        self._reader = reader
        self._parallel = parallel
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
        if not self.has_called:
            piece.content += self._space
            if self._text.startswith(self._content):
                piece.content += self._text[len(self._content) :]
        return piece

    def _filter(self, piece: ReadPiece) -> ReadPiece:
        self._content += piece.content
        if self.is_over:
            return ReadPiece()
        calls = piece.calls if self._parallel else [c for c in piece.calls if c.index == 0]
        self.is_over = len(calls) < len(piece.calls)
        content = self._space + piece.content
        self._space = ""
        if not content.strip() and (calls or self.has_called or not self._has_content):
            self._space, content = ("" if calls else content), ""
        self.has_called = self.has_called or bool(calls)
        self._has_content = self._has_content or bool(content)
        return ReadPiece(content, calls)


# Creates a reader for each choice.
ReaderFactory = Callable[[], AnswerReader]
