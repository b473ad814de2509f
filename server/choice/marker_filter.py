"""Keeping markers that are written as plain text out of an answer.

Where a marker is a token of its own the sampler makes it impossible. Where it is a
sequence of ordinary tokens (models that were not trained to think), the same text can be
spelt with other tokens, which the sampler does not know; it is taken out here. Knows
nothing of tokens.
"""

from collections.abc import Sequence

from server.choice.text_scanner import TextScanner


class MarkerFilter:
    """Invariant: the released text holds no marker, however the text was split."""

    def __init__(self, markers: Sequence[str]) -> None:
        self._scanner = TextScanner(markers)
        self._held = ""
        self.num_removed = 0

    @property
    def num_held(self) -> int:
        """Characters that are held back."""
        return len(self._held)

    def push(self, text: str) -> str:
        """Take more text; return what is certain, without markers."""
        if not self._scanner.patterns:
            return text
        text = self._held + text
        # What stands around a removed marker may be one again.
        while (span := self._scanner.find(text)) is not None:
            text = text[: span[0]] + text[span[1] :]
            self.num_removed += 1
        certain, self._held = self._scanner.split(text)
        return certain

    def finish(self) -> str:
        """The text has ended: what was held back belongs to it."""
        held, self._held = self._held, ""
        return held
