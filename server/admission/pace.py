"""The rate at which slots were released recently, and the wait that it implies. An estimate."""

import time
from collections import deque
from collections.abc import Callable
from math import ceil

WINDOW_SECONDS = 60.0
MAX_SAMPLES = 256
# A guess for when no slot was released recently.
UNKNOWN_SECONDS = 5


class Pace:
    """Remembers when slots were released; `now` is ``time.monotonic`` except in tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._freed: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)

    def note(self, num_slots: int) -> None:
        """Record that slots were released."""
        self._freed.append((self._now(), num_slots))

    def estimate_seconds(self, num_slots: int) -> int:
        """Estimate the seconds until `num_slots` more will have been released; at least 1."""
        now = self._now()
        while self._freed and self._freed[0][0] < now - WINDOW_SECONDS:
            self._freed.popleft()
        num_freed = sum(slots for _, slots in self._freed)
        if not num_freed:
            return UNKNOWN_SECONDS
        seconds = max(now - self._freed[0][0], 1.0)
        return max(1, ceil(num_slots * seconds / num_freed))
