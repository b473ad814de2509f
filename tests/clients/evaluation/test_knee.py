"""The knee is the smallest budget that is near the best."""

from hypothesis import given
from hypothesis import strategies as st

from clients.evaluation.accuracy import Accuracy
from clients.evaluation.knee import find_knee
from clients.evaluation.points import Point
from clients.evaluation.request_settings import Budget


def make_point(budget: Budget, right: int | None, tokens: float | None = None) -> Point:
    accuracy = None
    if right is not None:
        share = right / 100
        accuracy = Accuracy(right=right, total=100, tasks=100, share=share, interval=(share, share))
    return Point(
        budget=budget, replies=100, errors=0, accuracy=accuracy, mean_reasoning_tokens=tokens
    )


curves = st.dictionaries(st.integers(0, 1000), st.integers(0, 100), min_size=2).map(
    lambda shares: [make_point(budget, right, float(budget)) for budget, right in shares.items()]
)


@given(curves, st.floats(0.01, 1.0))
def test_the_knee_is_near_the_best_and_nothing_smaller_is(
    points: list[Point], share: float
) -> None:
    knee = find_knee(points, share)
    rights = {p.budget: p.accuracy.right for p in points if p.accuracy}
    best = max(rights.values())
    if best == 0:
        assert knee is None
        return
    assert knee is not None
    near = {budget for budget, right in rights.items() if right / 100 >= share * (best / 100)}
    assert knee.budget == min(near, key=lambda budget: int(budget or 0))
    assert rights[knee.best_budget] == best


@given(curves)
def test_at_a_share_of_one_the_knee_is_the_smallest_of_the_best(points: list[Point]) -> None:
    knee = find_knee(points, 1.0)
    assert knee is None or knee.budget == knee.best_budget


def test_the_knee_says_what_it_saves() -> None:
    points = [make_point(0, 10, 0.0), make_point(48, 97, 31.0), make_point(512, 100, 100.0)]
    assert str(find_knee(points)) == (
        "budget 48 gives 97 % of the best accuracy (budget 512) for 31 % of its tokens"
    )


def test_a_server_that_does_not_count_still_has_a_knee() -> None:
    knee = find_knee([make_point(0, 10), make_point(48, 99), make_point(512, 100)])
    assert str(knee) == "budget 48 gives 99 % of the best accuracy (budget 512)"


def test_efforts_are_ordered_by_the_tokens_that_they_took() -> None:
    knee = find_knee(
        [make_point("high", 90, 80.0), make_point("low", 89, 20.0), make_point("none", 5, 0.0)]
    )
    assert knee is not None
    assert knee.budget == "low"


def test_one_point_has_no_knee() -> None:
    assert find_knee([make_point(8, 50, 8.0), make_point(16, None)]) is None
