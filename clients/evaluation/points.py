"""Results per budget: accuracy with its interval, tokens, seconds and cost.

Pure functions of outcomes. Knows no server and draws nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from pydantic import BaseModel, ConfigDict

from clients.evaluation.accuracy import Accuracy, compute_accuracy
from clients.evaluation.reply import Failure, Outcome, Reply
from clients.evaluation.request_settings import Budget


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices, in currency units per million tokens."""

    per_million_in: float = 0.0
    per_million_out: float = 0.0

    def compute_cost(self, reply: Reply) -> float:
        """Return the cost of a reply; hidden tokens are completion tokens and cost the same."""
        num_in, num_out = reply.prompt_tokens or 0, reply.completion_tokens or 0
        return (num_in * self.per_million_in + num_out * self.per_million_out) / 1e6


class Point(BaseModel):
    """Results at one budget. Means are per reply; None if the server does not count.

    `errors` are requests without a reply; no other number includes them.
    """

    model_config = ConfigDict(frozen=True)

    budget: Budget
    replies: int
    errors: int
    accuracy: Accuracy | None
    mean_prompt_tokens: float | None = None
    mean_completion_tokens: float | None = None
    mean_reasoning_tokens: float | None = None
    seconds_p50: float | None = None
    seconds_p95: float | None = None
    cost: float | None = None
    cost_per_1000: float | None = None
    stops: dict[str, int] = {}
    limited_by: dict[str, int] = {}
    cut_short: int = 0
    over_budget: int = 0
    retries: int = 0
    groups: dict[str, Accuracy] = {}


def make_points(outcomes: Iterable[Outcome], prices: Prices | None = None) -> list[Point]:
    """Return the points of a run, in the order in which its budgets first appear."""
    by_budget: dict[Budget, list[Outcome]] = {}
    for outcome in outcomes:
        by_budget.setdefault(outcome.job.budget, []).append(outcome)
    return [_make_point(budget, group, prices) for budget, group in by_budget.items()]


def _make_point(budget: Budget, outcomes: Sequence[Outcome], prices: Prices | None) -> Point:
    pairs = [(o, o.result) for o in outcomes if isinstance(o.result, Reply)]
    replies = [reply for _, reply in pairs]
    num_errors = sum(isinstance(outcome.result, Failure) for outcome in outcomes)
    if not replies:
        return Point(budget=budget, replies=0, errors=num_errors, accuracy=None)
    p50, p95 = np.percentile([reply.seconds for reply in replies], [50, 95]).tolist()
    cost = sum(prices.compute_cost(reply) for reply in replies) if prices else None
    return Point(
        budget=budget,
        replies=len(replies),
        errors=num_errors,
        accuracy=compute_accuracy(_score_replies(pairs)),
        mean_prompt_tokens=_compute_mean(replies, lambda reply: reply.prompt_tokens),
        mean_completion_tokens=_compute_mean(replies, lambda reply: reply.completion_tokens),
        mean_reasoning_tokens=_compute_mean(replies, lambda reply: reply.reasoning_tokens),
        seconds_p50=p50,
        seconds_p95=p95,
        cost=cost,
        cost_per_1000=None if cost is None else cost / len(replies) * 1000,
        stops=dict(Counter(reply.stop for reply in replies if reply.stop)),
        limited_by=dict(Counter(reply.limited_by for reply in replies if reply.limited_by)),
        cut_short=sum(reply.finish_reason == "length" for reply in replies),
        over_budget=sum(_is_over(budget, reply) for reply in replies),
        retries=sum(reply.retries for reply in replies),
        groups=_make_groups(pairs),
    )


def _score_replies(pairs: Iterable[tuple[Outcome, Reply]]) -> list[tuple[str, int, int]]:
    scores = [(o.job.task.task_id, o.job.task.score(reply.text)) for o, reply in pairs]
    return [(task_id, score.right, score.total) for task_id, score in scores]


def _make_groups(pairs: Sequence[tuple[Outcome, Reply]]) -> dict[str, Accuracy]:
    names = {o.job.task.group for o, _ in pairs}
    return {
        name: compute_accuracy(
            _score_replies(pair for pair in pairs if pair[0].job.task.group == name)
        )
        for name in sorted((name for name in names if name is not None), key=_to_sort_key)
    }


def _to_sort_key(name: str) -> tuple[int, float, str]:
    """Return a sort key that puts numeric group names first, by value ("2" before "16")."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _compute_mean(replies: Sequence[Reply], count: Callable[[Reply], int | None]) -> float | None:
    counts = [number for reply in replies if (number := count(reply)) is not None]
    return fmean(counts) if counts else None


def _is_over(budget: Budget, reply: Reply) -> bool:
    # Other servers use negative numbers for "no limit".
    return isinstance(budget, int) and 0 <= budget < (reply.reasoning_tokens or 0)
