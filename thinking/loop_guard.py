"""Detects that a thought repeats itself (law 5), one token at a time.

A stream has period p over its last m tokens when each of them equals the token p before
it. It loops once those m tokens, together with the p before them, are long enough. Knows
nothing of budgets or markers; ``thinking.sampler.loop_tensors`` does the same for a batch.
"""

from collections import deque
from dataclasses import dataclass

MAX_PERIOD = 64


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """Thresholds at which a thought counts as a loop.

    `max_period` and `min_tokens` are in tokens, `min_repeats` is a number of repetitions.

    Invariant: ``1 <= max_period <= MAX_PERIOD``, ``min_repeats >= 2``.
    """

    max_period: int = MAX_PERIOD
    min_repeats: int = 4
    min_tokens: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.max_period <= MAX_PERIOD:
            raise ValueError(f"max_period must be 1 to {MAX_PERIOD}, not {self.max_period}")
        if self.min_repeats < 2:
            raise ValueError(f"min_repeats must be at least 2, not {self.min_repeats}")
        if self.min_tokens < 1:
            raise ValueError(f"min_tokens must be at least 1, not {self.min_tokens}")

    @property
    def longest_loop(self) -> int:
        """Most tokens that the detector must see to find any loop."""
        return max(self.min_repeats * self.max_period, self.min_tokens)

    def compute_min_run(self, period: int) -> int:
        """Return how many tokens in a row must equal the token `period` before them."""
        return max(self.min_repeats * period, self.min_tokens) - period


class LoopDetector:
    """Last tokens of one thought, and the length of the current run of each period."""

    def __init__(self, guard: LoopGuard) -> None:
        self.guard = guard
        self.history: deque[int] = deque(maxlen=guard.max_period)
        # Only periods that hold at the last token: nearly always few.
        self.runs: dict[int, int] = {}

    def copy(self) -> "LoopDetector":
        """Return a detector that has seen the same tokens."""
        other = LoopDetector(self.guard)
        other.history = self.history.copy()
        other.runs = self.runs  # replaced by each push, never changed
        return other

    def clear(self) -> None:
        """Forget all tokens; called when text that is not the model's own was inserted."""
        self.history.clear()
        self.runs = {}

    def push(self, token_id: int) -> bool:
        """Take a token and return whether the stream now loops."""
        before = self.runs
        periods = [p for p, t in enumerate(reversed(self.history), 1) if t == token_id]
        self.runs = {p: before.get(p, 0) + 1 for p in periods}
        self.history.append(token_id)
        return any(run >= self.guard.compute_min_run(p) for p, run in self.runs.items())
