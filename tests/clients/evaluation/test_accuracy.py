"""Wilson's interval, and how correlated answers widen it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.evaluation.accuracy import (
    compute_accuracy,
    compute_difference_interval,
    compute_effective_size,
    compute_wilson_interval,
)

clusters = st.integers(1, 6).flatmap(
    lambda size: st.lists(st.integers(0, size).map(lambda right: (right, size)), min_size=1)
)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # known values, 95 %
        (8, 10, 0.4902, 0.9433),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe's example, Statistics in Medicine 17 (1998)
    ],
)
def test_the_interval_is_wilsons(right: int, total: int, low: float, high: float) -> None:
    assert compute_wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.booleans(), min_size=1))
def test_one_answer_a_task_gives_the_plain_interval(answers: list[bool]) -> None:
    accuracy = compute_accuracy((str(n), int(right), 1) for n, right in enumerate(answers))
    assert accuracy.interval == compute_wilson_interval(sum(answers), len(answers))
    assert accuracy.total == accuracy.tasks == len(answers)


@given(clusters)
def test_answers_to_one_task_are_worth_at_most_their_number(
    counts: list[tuple[int, int]],
) -> None:
    total = sum(size for _, size in counts)
    assert len(counts) <= compute_effective_size(counts) <= total


@given(clusters)
def test_the_share_lies_in_its_interval(counts: list[tuple[int, int]]) -> None:
    accuracy = compute_accuracy((str(n), right, size) for n, (right, size) in enumerate(counts))
    low, high = accuracy.interval
    # The interval's numbers are whole ones: at most half an answer off.
    slack = 0.5 / accuracy.tasks
    assert low - slack <= accuracy.share <= high + slack


def test_samples_that_repeat_each_other_add_nothing() -> None:
    once = compute_accuracy((str(n), n % 2, 1) for n in range(40))
    often = compute_accuracy((str(n), 8 * (n % 2), 8) for n in range(40))
    assert often.share == once.share
    assert often.interval == pytest.approx(once.interval, abs=0.01)


def test_samples_of_one_task_are_one_task() -> None:
    accuracy = compute_accuracy([("a", 1, 1), ("a", 0, 1), ("b", 1, 1)])
    assert (accuracy.right, accuracy.total, accuracy.tasks) == (2, 3, 2)


def test_no_answer_has_no_accuracy() -> None:
    with pytest.raises(ValueError, match="no answers"):
        compute_accuracy([])


def test_the_difference_is_newcombes() -> None:
    # 56/70 against 48/80: example (a) of the paper, method 10 without correction.
    a = compute_accuracy((str(n), int(n < 56), 1) for n in range(70))
    b = compute_accuracy((str(n), int(n < 48), 1) for n in range(80))
    assert compute_difference_interval(a, b) == pytest.approx((0.0524, 0.3339), abs=5e-5)
