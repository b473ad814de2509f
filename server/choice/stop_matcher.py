"""Stop strings in a text that arrives in pieces.

Text that may be the beginning of a stop string is held back until it is known not to be. Knows
nothing of tokens.
"""

from collections.abc import Sequence


class _TextScanner:
    """Searches for `patterns`, none of which is empty."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._num_held_most = max(map(len, self.patterns), default=1) - 1

    def find(self, text: str) -> tuple[int, int] | None:
        """Return begin and end of the pattern that is complete first; None if there is none."""
        found = [(text.find(pattern), pattern) for pattern in self.patterns]
        # Of those complete at the same place, the longest: it began first.
        ends = [(at + len(pattern), at) for at, pattern in found if at >= 0]
        if not ends:
            return None
        end, begin = min(ends)
        return begin, end

    def split(self, text: str) -> tuple[str, str]:
        """Split `text`, in which nothing was found, into what is certain and what to hold back."""
        num_certain = len(text) - self._num_possible(text)
        return text[:num_certain], text[num_certain:]

    def _num_possible(self, text: str) -> int:
        """Return the length of the longest end of `text` that begins a pattern."""
        for length in range(min(self._num_held_most, len(text)), 0, -1):
            end = text[-length:]
            if any(pattern.startswith(end) for pattern in self.patterns):
                return length
        return 0


class StopMatcher:
    """Ends a text at a stop string: `matched` is true once one was found.

    Invariant: the released text holds no stop string, however the text was split.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._scanner = _TextScanner(stops)
        self._held = ""
        self.matched = False
        self.matched_stop: str | None = None

    def push(self, text: str) -> str:
        """Take more text; return what is certain, and nothing after a match."""
        if self.matched or not self._scanner.patterns:
            return "" if self.matched else text
        text = self._held + text
        if (span := self._scanner.find(text)) is not None:
            self.matched, self.matched_stop = True, text[slice(*span)]
            self._held = ""
            return text[: span[0]]
        certain, self._held = self._scanner.split(text)
        return certain

    def finish(self) -> str:
        """End the text; return what was held back, which belongs to it."""
        held, self._held = self._held, ""
        return held
