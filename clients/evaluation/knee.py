"""The knee: the smallest budget that is nearly as good as the best.

Knows points only. With few tasks the best is uncertain, and the knee with it.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from clients.evaluation.accuracy import Accuracy
from clients.evaluation.points import Point
from clients.evaluation.request_settings import Budget, budget_name

KNEE_SHARE = 0.97


class Knee(BaseModel):
    """`accuracy_share` and `token_share` are those of the knee against the best point."""

    model_config = ConfigDict(frozen=True)

    budget: Budget
    best_budget: Budget
    accuracy_share: float
    token_share: float | None

    def __str__(self) -> str:
        if self.budget == self.best_budget:
            return f"budget {budget_name(self.budget)} is the best; no smaller one comes near"
        tokens = "" if self.token_share is None else f" for {self.token_share:.0%} of its tokens"
        return (
            f"budget {budget_name(self.budget)} gives {self.accuracy_share:.0%} of the best "
            f"accuracy (budget {budget_name(self.best_budget)}){tokens}"
        ).replace("%", " %")


def find_knee(points: Sequence[Point], share: float = KNEE_SHARE) -> Knee | None:
    """The knee of `points`; None where there are no two, or nothing was right."""
    scored = [(point, point.accuracy) for point in _by_size(points) if point.accuracy]
    if len(scored) < 2:
        return None
    # The first of equals: the smallest.
    best, best_accuracy = max(scored, key=lambda pair: pair[1].share)
    if not best_accuracy.right:
        return None
    knee, accuracy = next(pair for pair in scored if _is_near(pair[1], best_accuracy, share))
    return Knee(
        budget=knee.budget,
        best_budget=best.budget,
        accuracy_share=accuracy.share / best_accuracy.share,
        token_share=_ratio(knee.mean_reasoning_tokens, best.mean_reasoning_tokens),
    )


def _is_near(accuracy: Accuracy, best: Accuracy, share: float) -> bool:
    return accuracy.share >= share * best.share


def _by_size(points: Sequence[Point]) -> list[Point]:
    """Smallest budget first: counts by themselves, names by the tokens that they took."""
    if all(isinstance(point.budget, int) for point in points):
        return sorted(points, key=lambda point: point.budget)  # type: ignore[arg-type,return-value]
    return sorted(points, key=_tokens)


def _tokens(point: Point) -> float:
    if point.mean_reasoning_tokens is not None:
        return point.mean_reasoning_tokens
    return point.mean_completion_tokens or 0.0


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
