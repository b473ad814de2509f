"""Removal of thinking markers, and of most of one, from a text that arrives in pieces.

The sampler makes a marker impossible that is a separate token. A marker that is a sequence of
ordinary tokens (models that were not trained to think) can be spelt with other tokens, which the
sampler does not know, or be written in part, so the text is cleaned here. Knows nothing of tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from thinking.markers.imitation import find_forbidden_beginning


@dataclass(frozen=True, slots=True)
class Cut:
    """A removed part of a text: `length` characters at `position`, both in characters.

    `position` counts what is left of the text before it, earlier cuts taken out.
    """

    position: int
    length: int


class MarkerFilter:
    """Removes `markers`, and what begins like one as :func:`find_forbidden_beginning` says.

    Invariant: the released text contains no forbidden beginning, however the text was split, not
    even one whose parts were on both sides of a removed one. All else is released, in order.
    """

    def __init__(self, markers: Sequence[str]) -> None:
        # The whitespace before a marker may be missing.
        patterns = {text for marker in markers for text in (marker, marker.lstrip()) if text}
        self._heads = {pattern: find_forbidden_beginning(pattern) for pattern in patterns}
        self._first = re.compile("|".join(re.escape(text[0]) for text in sorted(patterns)))
        self._num_remembered = max(map(len, patterns), default=1)
        # The end of the text, which begins where a marker may. Its first `_num_shown` characters
        # are released already: what was between them and the rest has been removed.
        self._window = ""
        self._num_shown = 0
        self._num_released = 0
        self._last_released = ""
        self._cuts: list[Cut] = []

    @property
    def num_held(self) -> int:
        """The number of characters that are held back."""
        return len(self._window) - self._num_shown

    def push(self, text: str) -> str:
        """Take more text; return what is certain, without markers."""
        if not self._heads:
            return text
        self._window += text
        return self._read(is_end=False)

    def finish(self) -> str:
        """End the text; return what was held back and belongs to it."""
        return self._read(is_end=True)

    def take_cuts(self) -> list[Cut]:
        """Return what was removed since the last call, in order."""
        cuts, self._cuts = self._cuts, []
        return cuts

    def _read(self, *, is_end: bool) -> str:
        released = []
        while self._window and (is_end or not self._may_become_marker()):
            if length := self._count_removable():
                self._remove(length)
            else:
                released.append(self._release_to_next())
        return "".join(released)

    def _may_become_marker(self) -> bool:
        window = self._window
        return any(text.startswith(window) and text != window for text in self._heads)

    def _count_removable(self) -> int:
        """Return how much of a marker the window begins with; 0 if that is too little."""
        window = self._window
        return max(
            (
                _count_common(window, pattern)
                for pattern, head in self._heads.items()
                if window.startswith(head)
            ),
            default=0,
        )

    def _remove(self, length: int) -> None:
        """Remove the window's first characters; the text before them now meets what follows."""
        self._cuts.append(Cut(self._num_released, length - self._num_shown))
        before = self._last_released
        begins = (before[place:] for place in range(len(before)))
        shown = next((text for text in begins if self._begins_marker(text)), "")
        self._window = shown + self._window[length:]
        self._num_shown = len(shown)

    def _begins_marker(self, text: str) -> bool:
        return any(pattern.startswith(text) for pattern in self._heads)

    def _release_to_next(self) -> str:
        """Release the text before the next place where a marker may begin."""
        found = self._first.search(self._window, 1)
        end = len(self._window) if found is None else found.start()
        released = self._window[self._num_shown : end]
        self._window = self._window[end:]
        self._num_shown = max(0, self._num_shown - end)
        self._num_released += len(released)
        self._last_released = (self._last_released + released)[-self._num_remembered :]
        return released


def _count_common(text: str, other: str) -> int:
    """Return the number of characters that both texts begin with."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(text), len(other)))
