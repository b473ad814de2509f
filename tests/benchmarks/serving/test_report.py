"""Ratios are of figures of one round, never of figures that other load has parted."""

from pathlib import Path

import pytest

from benchmarks.serving.report import (
    JSON_NAME,
    PAGE_NAME,
    PICTURE_NAME,
    compute_ratio,
    find_base,
    write_report,
)
from benchmarks.serving.rounds import Results, Round, Start
from benchmarks.serving.sides import Plan, Side, list_sides

PLAN = Plan("thinker", loads=(1, 8), temperatures=(0.0,), rounds=3)


def make_round(side: str, number: int, rate: float, at_once: int = 1) -> Round:
    return Round(side, at_once, 0.0, number, rate, 1.0, None, 0.5, 2.0, None)


def test_a_machine_that_slows_down_between_rounds_changes_no_ratio() -> None:
    speeds = (100.0, 50.0, 10.0)
    ours = [make_round("ours, hidden", i, 2 * speed) for i, speed in enumerate(speeds)]
    theirs = [make_round("vLLM, its budget", i, speed) for i, speed in enumerate(speeds)]
    assert compute_ratio([*ours, *theirs], ours, "vLLM, its budget") == 2.0
    assert compute_ratio([*ours, *theirs], theirs, "vLLM, its budget") is None
    assert compute_ratio(ours, ours, "llama.cpp, no thought") is None


@pytest.mark.parametrize("side", list_sides(PLAN), ids=lambda side: side.name)
def test_a_budget_is_compared_with_a_budget(side: Side) -> None:
    base = find_base(side.name)
    assert base in {other.name for other in list_sides(PLAN)}
    assert base.endswith("no thought") == side.name.endswith("no thought")


def test_the_report_has_every_side_and_says_what_is_missing(tmp_path: Path) -> None:
    rounds = [
        make_round(side.name, number, 10.0, load)
        for side in list_sides(PLAN)
        for load in PLAN.loads
        for number in (1, 2, 3)
    ]
    results = Results([Start("ours", 38.0, 2048.0)], rounds, ["llama.cpp ended with 1\nlog"])
    page = write_report(tmp_path, PLAN, results)
    for side in list_sides(PLAN):
        assert f"| {side.name} | 8 |" in page
    assert "Not measured: llama.cpp ended with 1" in page
    assert {path.name for path in tmp_path.iterdir()} == {JSON_NAME, PAGE_NAME, PICTURE_NAME}
