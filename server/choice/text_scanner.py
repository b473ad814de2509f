"""Looking for fixed strings in a text that arrives in pieces.

Says what was found and how much of the end might yet become a match. What to do about
either is for ``stop_strings`` and ``marker_filter``.
"""

from collections.abc import Sequence


class TextScanner:
    """Finds `patterns` (none of them empty)."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._num_held_most = max(map(len, self.patterns), default=1) - 1

    def find(self, text: str) -> tuple[int, int] | None:
        """Begin and end of the pattern that is complete first, if any is."""
        found = [(text.find(pattern), pattern) for pattern in self.patterns]
        # Of those complete at the same place, the longest: it began first.
        ends = [(at + len(pattern), at) for at, pattern in found if at >= 0]
        if not ends:
            return None
        end, begin = min(ends)
        return begin, end

    def split(self, text: str) -> tuple[str, str]:
        """`text` (in which nothing was found) as what is certain and what to hold back."""
        num_certain = len(text) - self._num_possible(text)
        return text[:num_certain], text[num_certain:]

    def _num_possible(self, text: str) -> int:
        """Length of the longest end of `text` that begins a pattern."""
        for length in range(min(self._num_held_most, len(text)), 0, -1):
            end = text[-length:]
            if any(pattern.startswith(end) for pattern in self.patterns):
                return length
        return 0
