"""Share of right answers with its Wilson interval.

Answers to one task (its samples, its blanks) are correlated, so they say less than the same
number of tasks would: the interval uses an *effective* number of answers, by the design effect
of cluster samples. With one answer per task, this is the number of answers.
"""

from collections.abc import Iterable
from math import sqrt

from pydantic import BaseModel, ConfigDict

CONFIDENCE = 0.95
Interval = tuple[float, float]


class Accuracy(BaseModel):
    """Share of right answers over `tasks` tasks; `interval` is at 95 % confidence."""

    model_config = ConfigDict(frozen=True)

    right: int
    total: int
    tasks: int
    share: float
    interval: Interval


def compute_accuracy(scores: Iterable[tuple[str, int, int]]) -> Accuracy:
    """Return the accuracy of (task id, right, total) triples, one or more.

    Raises:
        ValueError: there are none.
    """
    by_task: dict[str, tuple[int, int]] = {}
    for task_id, right, total in scores:
        before = by_task.get(task_id, (0, 0))
        by_task[task_id] = before[0] + right, before[1] + total
    clusters = list(by_task.values())
    num_right, num_all = sum(right for right, _ in clusters), sum(total for _, total in clusters)
    if not num_all:
        raise ValueError("no answers")
    share, effective = num_right / num_all, compute_effective_size(clusters)
    return Accuracy(
        right=num_right,
        total=num_all,
        tasks=len(clusters),
        share=share,
        interval=compute_wilson_interval(round(share * effective), round(effective)),
    )


def compute_effective_size(clusters: Iterable[tuple[int, int]]) -> float:
    """Return how many independent answers (right, total) clusters are worth.

    Compares the variance of a ratio over clusters with that of independent answers (Kish's design
    effect); the result is kept between the number of clusters and the number of answers.
    """
    counts = list(clusters)
    num_all, num_clusters = sum(total for _, total in counts), len(counts)
    share = sum(right for right, _ in counts) / num_all
    independent = share * (1 - share) / num_all
    if num_clusters == num_all:
        return num_all
    if num_clusters == 1 or not independent:
        return num_clusters  # nothing varies, so the correlation is unknown
    spread = sum((right - share * total) ** 2 for right, total in counts)
    between = spread * num_clusters / (num_clusters - 1) / num_all**2
    if not between:
        return num_all
    return min(max(num_all * independent / between, num_clusters), num_all)


def compute_wilson_interval(num_right: int, num_all: int) -> Interval:
    """Return Wilson's score interval of a share."""
    from scipy.stats import binomtest

    bounds = binomtest(num_right, num_all).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def compute_difference_interval(a: Accuracy, b: Accuracy) -> Interval:
    """Return the interval of ``a.share - b.share`` for two independent runs.

    Newcombe's, from the two Wilson intervals (Statistics in Medicine 17, 1998, method 10).
    """
    difference = a.share - b.share
    (a_low, a_high), (b_low, b_high) = a.interval, b.interval
    return (
        difference - sqrt((a.share - a_low) ** 2 + (b_high - b.share) ** 2),
        difference + sqrt((a_high - a.share) ** 2 + (b.share - b_low) ** 2),
    )
