"""How fast places have become free lately, and so how long a wait will be. An estimate."""

import time
from collections import deque
from collections.abc import Callable
from math import ceil

WINDOW_SECONDS = 60.0
MAX_SAMPLES = 256
# Where nothing has ended lately: a guess.
UNKNOWN_SECONDS = 5


class Pace:
    """Remembers when places were given back; `now` is ``time.monotonic`` but in tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._freed: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)

    def note(self, num_places: int) -> None:
        """Places have become free."""
        self._freed.append((self._now(), num_places))

    def seconds_until(self, num_places: int) -> int:
        """About how long until `num_places` more will have become free, at least 1."""
        now = self._now()
        while self._freed and self._freed[0][0] < now - WINDOW_SECONDS:
            self._freed.popleft()
        num_freed = sum(places for _, places in self._freed)
        if not num_freed:
            return UNKNOWN_SECONDS
        seconds = max(now - self._freed[0][0], 1.0)
        return max(1, ceil(num_places * seconds / num_freed))
