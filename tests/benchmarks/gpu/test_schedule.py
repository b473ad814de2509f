"""A limited time goes to the stages that are worth most."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu.schedule import STAGES, Stage, divide, find_stage

NAMES = [stage.name for stage in STAGES]


@given(st.floats(0, 4000), st.integers(1, len(STAGES)))
def test_no_stage_is_begun_without_its_least_time_and_none_exceeds_the_whole(
    seconds: float, num_stages: int
) -> None:
    stages = STAGES[-num_stages:]
    times = divide(stages, seconds)
    assert all(times[stage.name] >= stage.least_seconds for stage in stages if stage.name in times)
    assert sum(times.values()) <= seconds + 1e-6
    if times:  # nothing is left unused
        assert sum(times.values()) == pytest.approx(seconds)


@given(st.floats(0, 4000))
def test_more_time_never_takes_a_stage_away(seconds: float) -> None:
    assert set(divide(STAGES, seconds)) <= set(divide(STAGES, 4000.0))


def test_the_first_stage_is_the_last_to_be_left_out() -> None:
    shortest = min(stage.least_seconds for stage in STAGES)
    assert STAGES[0].least_seconds == shortest
    assert list(divide(STAGES, shortest)) == [STAGES[0].name]
    assert divide(STAGES, shortest - 1) == {}


def test_a_quarter_of_an_hour_is_enough_for_every_stage() -> None:
    times = divide(STAGES, 14 * 60)
    assert list(times) == NAMES
    # The stages that are worth most have what they usually need.
    assert times["step"] >= find_stage("step").usual_seconds
    assert times["engine"] >= find_stage("engine").usual_seconds


def test_a_stage_too_long_for_the_rest_makes_room_for_a_shorter_one() -> None:
    stages = (Stage("a", "", 50, 60), Stage("b", "", 500, 600), Stage("c", "", 40, 60))
    assert divide(stages, 100) == {"a": 60, "c": 40}


def test_without_a_limit_every_stage_has_plenty() -> None:
    assert all(seconds >= 1000 for seconds in divide(STAGES, None).values())


def test_an_unknown_stage_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(ValueError, match="step, engine"):
        find_stage("stop")


def test_stages_are_ordered_by_worth() -> None:
    assert NAMES == ["step", "engine", "server", "speculative"]
    assert all(first.least_seconds <= first.usual_seconds for first, _ in pairwise(STAGES))
