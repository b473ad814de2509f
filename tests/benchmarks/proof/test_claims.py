"""A verdict follows from the numbers, and a difference is one only where chance is unlikely."""

import pytest

from benchmarks.proof.claims import (
    Verdict,
    claim_at_least,
    claim_at_most,
    find_largest_drop,
    format_points,
)
from benchmarks.proof.intervals import compute_paired_difference, compute_wilson_interval


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.149, Verdict.SHOWN), (0.15, Verdict.SHOWN), (0.151, Verdict.NOT_SHOWN)],
)
def test_a_limit_may_be_reached_but_not_passed(share: float, verdict: Verdict) -> None:
    assert claim_at_most("few", share, 0.15).verdict is verdict
    assert claim_at_least("many", 1 - share, 0.85).verdict is verdict


def test_a_quotient_that_is_rounded_does_not_turn_a_verdict() -> None:
    assert 0.97 - 0.95 > 0.02
    assert claim_at_most("drop", 0.97 - 0.95, 0.02).verdict is Verdict.SHOWN


def test_a_claim_reads_as_claim_number_and_verdict() -> None:
    assert (
        str(claim_at_most("At most 15 % at 0", 0.095, 0.15))
        == "At most 15 % at 0: 9.5 %: **shown**"
    )
    assert str(claim_at_most("At most 15 % at 0", 0.2, 0.15)).endswith(": 20.0 %: **not shown**")


@pytest.mark.parametrize(
    ("shares", "drop"),
    [
        ([0.1, 0.2, 0.9], 0.0),
        ([0.1, 0.3, 0.25, 0.9], 0.05),
        ([0.3, 0.29, 0.28, 0.9], 0.02),  # two small steps down are one of both
        ([], 0.0),
    ],
)
def test_a_drop_is_measured_from_the_best_so_far(shares: list[float], drop: float) -> None:
    assert find_largest_drop(shares) == pytest.approx(drop)


def test_a_difference_over_the_same_tasks_has_students_interval() -> None:
    ours = {"a": 1.0, "b": 1.0, "c": 0.5, "d": 1.0}
    theirs = {"a": 0.0, "b": 1.0, "c": 0.5, "d": 0.0}
    found = compute_paired_difference(ours, theirs)
    # Mean and deviation of 1, 0, 0, 1; Student's t of 3 degrees of freedom is 3.182.
    assert found.value == 0.5
    assert found.high - found.value == pytest.approx(3.182 * 0.57735 / 2, abs=1e-3)
    assert not found.is_gain


def test_a_gain_of_all_tasks_is_a_gain_and_the_reverse_is_none() -> None:
    ours, theirs = dict.fromkeys("abc", 1.0), dict.fromkeys("abc", 0.0)
    assert compute_paired_difference(ours, theirs).is_gain
    assert not compute_paired_difference(theirs, ours).is_gain
    assert not compute_paired_difference(ours, ours).is_gain


@pytest.mark.parametrize("theirs", [{"a": 1.0, "c": 1.0}, {"a": 1.0}, {}])
def test_other_tasks_cannot_be_paired(theirs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="same tasks"):
        compute_paired_difference({"a": 1.0, "b": 1.0}, theirs)


def test_wilsons_interval_matches_published_values() -> None:
    # Newcombe (Statistics in Medicine 17, 1998), table I: 81 of 263 and 0 of 20.
    assert compute_wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert compute_wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_a_loss_has_a_minus_and_not_a_hyphen() -> None:
    assert format_points(-0.012) == "−1.2"
    assert format_points(0.5) == "+50.0"
