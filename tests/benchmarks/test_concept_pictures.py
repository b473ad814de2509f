"""The pictures that explain a budget show what was measured, and all of it."""

import json

import pytest

from benchmarks.concept_pictures import (
    ANATOMY,
    BUDGETS,
    PROOF,
    RIGHT_ANSWER,
    SourceError,
    draw_anatomy,
    draw_budget_curve,
    read_curve,
)
from benchmarks.proof.budget_curve import BUDGETS as MEASURED_BUDGETS
from tests.house.sources import ROOT

PNG = b"\x89PNG"


def test_the_curve_has_every_budget_of_the_table() -> None:
    points = read_curve((ROOT / PROOF).read_text(encoding="utf-8"))
    assert tuple(point.budget for point in points) == MEASURED_BUDGETS
    assert all(p.interval[0] <= p.share <= p.interval[1] for p in points)
    assert draw_budget_curve(points, 0).startswith(PNG)


def test_a_page_without_the_table_is_named() -> None:
    with pytest.raises(SourceError, match="proof"):
        read_curve("# Another page")


def test_the_replies_keep_their_budgets_and_only_the_last_is_right() -> None:
    replies = json.loads((ROOT / ANATOMY).read_text(encoding="utf-8"))["replies"]
    assert tuple(reply["budget"] for reply in replies) == BUDGETS
    assert all(reply["thinking"]["used"] <= reply["budget"] for reply in replies)
    assert [reply["answer"] == RIGHT_ANSWER for reply in replies] == [False] * 4 + [True]
    assert draw_anatomy(replies).startswith(PNG)
