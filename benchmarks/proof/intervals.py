"""Intervals of 95 % confidence: of a share, and of the difference of two runs over equal tasks.

Pure numbers; knows neither tasks nor servers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import binomtest, t

from benchmarks.proof.claims import format_points

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of two shares; ``low`` and ``high`` bound it."""

    value: float
    low: float
    high: float

    @property
    def is_gain(self) -> bool:
        """True if chance alone is an unlikely explanation."""
        return self.low > 0

    def __str__(self) -> str:
        return (
            f"{format_points(self.value)} ({format_points(self.low)} to {format_points(self.high)})"
        )


def compute_wilson_interval(num_right: int, num_all: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share.

    Raises:
        ValueError: `num_all` is 0.
    """
    bounds = binomtest(num_right, num_all).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def compute_paired_difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Difference:
    """Return the mean of ``ours - theirs`` over tasks, with Student's interval.

    Each value is the share of a task's answers that were right, over its samples and blanks:
    tasks are independent of each other, and nothing more is assumed of samples and blanks.

    Raises:
        ValueError: the tasks differ, or are fewer than two.
    """
    if ours.keys() != theirs.keys() or len(ours) < 2:
        raise ValueError("a paired difference needs the same tasks on both sides, two or more")
    gains = [share - theirs[task] for task, share in ours.items()]
    mean = fmean(gains)
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * stdev(gains) / sqrt(len(gains))
    return Difference(mean, mean - half, mean + half)
