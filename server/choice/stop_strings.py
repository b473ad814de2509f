"""Finding stop strings in an answer that arrives in pieces.

Text that may be the beginning of a stop string is held back until it is known not to
be. Knows nothing of tokens: thoughts never come here.
"""

from collections.abc import Sequence

from server.choice.text_scanner import TextScanner


class StopMatcher:
    """Invariant: the released text holds no stop string, however the text was split."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._scanner = TextScanner(stops)
        self._held = ""
        self.matched_stop: str | None = None

    @property
    def matched(self) -> bool:
        """Whether a stop string has come."""
        return self.matched_stop is not None

    def push(self, text: str) -> str:
        """Take more text; return what is certain. After a match: nothing more."""
        if self.matched or not self._scanner.patterns:
            return "" if self.matched else text
        text = self._held + text
        if (span := self._scanner.find(text)) is not None:
            self.matched_stop = text[slice(*span)]
            self._held = ""
            return text[: span[0]]
        certain, self._held = self._scanner.split(text)
        return certain

    def finish(self) -> str:
        """The text has ended: what was held back belongs to it."""
        held, self._held = self._held, ""
        return held
