"""The knee: the smallest budget that is nearly as good as the best.

Knows points only. With few tasks the best is uncertain, and so is the knee.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from clients.evaluation.accuracy import Accuracy
from clients.evaluation.points import Point
from clients.evaluation.request_settings import Budget, format_budget

KNEE_SHARE = 0.97


class Knee(BaseModel):
    """Smallest good budget; `accuracy_share` and `token_share` are relative to the best point."""

    model_config = ConfigDict(frozen=True)

    budget: Budget
    best_budget: Budget
    accuracy_share: float
    token_share: float | None

    def __str__(self) -> str:
        if self.budget == self.best_budget:
            return f"budget {format_budget(self.budget)} is the best; no smaller one comes near"
        tokens = "" if self.token_share is None else f" for {self.token_share:.0%} of its tokens"
        return (
            f"budget {format_budget(self.budget)} gives {self.accuracy_share:.0%} of the best "
            f"accuracy (budget {format_budget(self.best_budget)}){tokens}"
        ).replace("%", " %")


def find_knee(points: Sequence[Point], share: float = KNEE_SHARE) -> Knee | None:
    """Return the knee of `points`; None with fewer than two, or if nothing was right."""
    scored = [(point, point.accuracy) for point in _sort_by_size(points) if point.accuracy]
    if len(scored) < 2:
        return None
    # max() returns the first of equal points, which has the smallest budget.
    best, best_accuracy = max(scored, key=lambda pair: pair[1].share)
    if not best_accuracy.right:
        return None
    knee, accuracy = next(pair for pair in scored if _is_near(pair[1], best_accuracy, share))
    return Knee(
        budget=knee.budget,
        best_budget=best.budget,
        accuracy_share=accuracy.share / best_accuracy.share,
        token_share=_divide(knee.mean_reasoning_tokens, best.mean_reasoning_tokens),
    )


def _is_near(accuracy: Accuracy, best: Accuracy, share: float) -> bool:
    return accuracy.share >= share * best.share


def _sort_by_size(points: Sequence[Point]) -> list[Point]:
    """Return the points, smallest budget first: counts by value, names by the tokens they took."""
    if all(isinstance(point.budget, int) for point in points):
        return sorted(points, key=lambda point: point.budget)  # type: ignore[arg-type,return-value]
    return sorted(points, key=_get_tokens)


def _get_tokens(point: Point) -> float:
    if point.mean_reasoning_tokens is not None:
        return point.mean_reasoning_tokens
    return point.mean_completion_tokens or 0.0


def _divide(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
