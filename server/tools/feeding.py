"""Brings an answer's tokens and their text together again, one token at a time.

Between a token and its text stand whatever holds text back (half characters, what may become
a stop string). A reader gets each token with the text that it wrote, however both arrived:
that is why the calls do not depend on how an engine splits its outputs.
"""

from collections import deque

from server.tools.reading import CarefulReader, ReadPiece


class TokenFeed:
    """Feeds one reader."""

    def __init__(self, reader: CarefulReader) -> None:
        self._reader = reader
        self._waiting: deque[tuple[int, int]] = deque()  # (where its text ends, token)
        self._without_text: list[int] = []
        self._num_noted = 0
        self._num_fed = 0
        self._text = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing that follows is wanted."""
        return self._reader.is_over

    @property
    def has_called(self) -> bool:
        """Whether there was a call."""
        return self._reader.has_called

    def note(self, token_id: int, num_characters: int) -> None:
        """A token has been decoded to so many characters, which come later."""
        self._num_noted += num_characters
        self._waiting.append((self._num_noted, token_id))

    def push(self, text: str) -> ReadPiece:
        """Text of noted tokens that is certain now."""
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
        """The answer has ended, perhaps inside a token's text."""
        piece = self._reader.push(self._text, ()) if self._text else ReadPiece()
        self._text = ""
        piece.add(self._reader.finish(is_cut=is_cut))
        return piece
