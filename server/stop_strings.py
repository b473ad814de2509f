"""Finding stop strings in an answer that arrives in pieces.

Text that may be the beginning of a stop string is held back until it is known not to
be. Knows nothing of tokens: thoughts never come here.
"""

from collections.abc import Sequence


class StopMatcher:
    """Invariant: the released text holds no stop string, however the text was split."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._num_held_most = max(map(len, self._stops), default=1) - 1
        self._held = ""
        self.matched = False

    def push(self, text: str) -> str:
        """Take more text; return what is certain. After a match: nothing more."""
        if self.matched or not self._stops:
            return "" if self.matched else text
        text = self._held + text
        if (position := self._find(text)) is not None:
            self.matched = True
            self._held = ""
            return text[:position]
        released = len(text) - self._num_possible(text)
        self._held = text[released:]
        return text[:released]

    def finish(self) -> str:
        """The text has ended: what was held back belongs to it."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Where the stop string begins that is complete first."""
        found = [(text.find(stop), stop) for stop in self._stops]
        # Of those complete at the same place, the longest: it began first.
        ends = [(at + len(stop), at) for at, stop in found if at >= 0]
        return min(ends)[1] if ends else None

    def _num_possible(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        for length in range(min(self._num_held_most, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
