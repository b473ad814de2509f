"""Pairs an answer's tokens with their text, one token at a time.

The text of a token may arrive later than the token, because incomplete characters and possible stop
strings are held back. A reader gets each token together with its text, so the calls that it reads
do not depend on how the engine splits its outputs.
"""

from collections import deque

from server.tools.reading import AnswerReader, ReadPiece


class TokenFeed:
    """Feeds tokens and their text to a reader."""

    def __init__(self, reader: AnswerReader) -> None:
        self._reader = reader
        self._waiting: deque[tuple[int, int]] = deque()  # (where its text ends, token)
        self._without_text: list[int] = []
        self._num_noted = 0
        self._num_fed = 0
        self._text = ""

    @property
    def is_over(self) -> bool:
        """True if the rest of the answer is not needed."""
        return self._reader.is_over

    @property
    def has_called(self) -> bool:
        """True if the answer has a call."""
        return self._reader.has_called

    def note(self, token_id: int, num_characters: int) -> None:
        """Record that a token was decoded to `num_characters`, which may be pushed later."""
        self._num_noted += num_characters
        self._waiting.append((self._num_noted, token_id))

    def push(self, text: str) -> ReadPiece:
        """Pass on released text of noted tokens."""
        self._text += text
        piece = ReadPiece()
        while self._waiting and self._waiting[0][0] <= self._num_fed + len(self._text):
            end, token_id = self._waiting.popleft()
            self._without_text.append(token_id)
            size = end - self._num_fed
            if size:
                piece.add(self._reader.push(self._text[:size], tuple(self._without_text)))
                self._text, self._num_fed = self._text[size:], end
                self._without_text.clear()
        return piece

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """Handle the end of the answer, which may be inside the text of a token."""
        piece = self._reader.push(self._text, ()) if self._text else ReadPiece()
        self._text = ""
        piece.add(self._reader.finish(is_cut=is_cut))
        return piece
