"""Reading tool calls out of an answer as it is written: what a reader is, and what holds for all.

Knows no form of calls, no engine and no wire.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.tools.call import ToolCallDelta


@dataclass(slots=True)
class ReadPiece:
    """What a piece of an answer turned out to be."""

    content: str = ""
    calls: list[ToolCallDelta] = field(default_factory=list)

    def add(self, later: "ReadPiece") -> None:
        """Join what came after it."""
        self.content += later.content
        self.calls += later.calls


class ToolCallReader(Protocol):
    """Reads one answer from its first token to its last. Each index of a call comes first with
    an id and a name."""

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """Take the next token, or the next text if its tokens do not matter."""

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """The answer has ended; `is_cut`: not by the model's own will."""


class CarefulReader:
    """A reader whose calls are at most as many as are wanted, and which loses no text.

    An answer in which no call could be read is text, all of it: a model may have meant to call
    a tool and written nonsense. White space around calls is no content.
    """

    def __init__(self, reader: ToolCallReader, *, parallel: bool = True) -> None:
        self.is_over = False  # a second call has begun, where one was wanted
        self.has_called = False
        self._reader = reader
        self._parallel = parallel
        self._text = ""
        self._content = ""
        self._space = ""  # held back until content follows
        self._has_content = False

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`ToolCallReader`."""
        self._text += text
        return self._passed_on(self._reader.push(text, token_ids))

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`ToolCallReader`."""
        piece = self._passed_on(self._reader.finish(is_cut=is_cut))
        if not self.has_called:
            piece.content += self._space
            if self._text.startswith(self._content):
                piece.content += self._text[len(self._content) :]
        return piece

    def _passed_on(self, piece: ReadPiece) -> ReadPiece:
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


# One reader a choice.
ReaderMaker = Callable[[], CarefulReader]
