"""Progress of a choice's thoughts, for clients that ask for it while the thoughts are hidden.

Counts only: no text, and nothing that is made of it. The clock is read when tokens arrive, never in
between, so a client that does not ask costs nothing. Knows neither tokens nor the client.
"""

import math
from dataclasses import dataclass
from typing import Any

# Shortest time between two values of a choice, unless the second one ends a thought. Less than
# watched tokens wait for each other in the engine, or every other hand-over would come too soon.
MIN_SECONDS_BETWEEN = 0.2


@dataclass(frozen=True, slots=True)
class ThinkingProgress:
    """Thinking of one choice so far; its fields mean what they mean in a receipt.

    `segment` is the number of the thought, from 1.
    """

    used: int
    budget: int
    seconds: float
    segment: int

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form (``choices[i].thinking`` of a chunk with an empty delta)."""
        return {
            "used": self.used,
            "budget": self.budget,
            "seconds": self.seconds,
            "segment": self.segment,
        }


class ProgressMeter:
    """Decides when a choice's progress is reported.

    Invariant: reported counts grow. While a thought runs they are at least
    :data:`MIN_SECONDS_BETWEEN` apart; the last count of each thought is reported, however soon.
    """

    def __init__(self) -> None:
        self._last_used = 0
        self._next_time = -math.inf

    def is_due(self, now: float) -> bool:
        """Return whether a running thought would be reported at `now`, in seconds."""
        return now >= self._next_time

    def report(self, used: int, now: float, *, is_over: bool) -> bool:
        """Return whether to report `used` tokens, and if so, note it.

        `is_over`: no thought is running, so this is the last count of the one before.
        """
        if used <= self._last_used or not (is_over or self.is_due(now)):
            return False
        self._last_used = used
        self._next_time = now + MIN_SECONDS_BETWEEN
        return True
