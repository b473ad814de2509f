"""Intervals of 95 % confidence: of a share, and of the difference of two runs over the same tasks.

Pure numbers; knows neither tasks nor servers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import binomtest, t

from benchmarks.proof.claims import points

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two shares; ``low`` and ``high`` bound it."""

    value: float
    low: float
    high: float

    @property
    def is_gain(self) -> bool:
        """Whether chance alone would hardly make it."""
        return self.low > 0

    def __str__(self) -> str:
        return f"{points(self.value)} ({points(self.low)} to {points(self.high)})"


def wilson(num_right: int, num_all: int) -> tuple[float, float]:
    """Wilson's score interval of a share.

    Raises:
        ValueError: `num_all` is 0.
    """
    bounds = binomtest(num_right, num_all).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Difference:
    """Mean of ``ours - theirs`` over tasks, with Student's interval.

    Each value is the share of a task's answers that were right, over its samples and blanks:
    as tasks are independent of each other, no more is assumed of samples and blanks.

    Raises:
        ValueError: not the same tasks, or fewer than two.
    """
    if ours.keys() != theirs.keys() or len(ours) < 2:
        raise ValueError("a paired difference needs the same tasks on both sides, two or more")
    gains = [share - theirs[task] for task, share in ours.items()]
    mean = fmean(gains)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * stdev(gains) / sqrt(len(gains))
    return Difference(mean, mean - half, mean + half)
