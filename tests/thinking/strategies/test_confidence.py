"""A thought is as good as its weakest line."""

import asyncio
import math
from dataclasses import replace

import pytest

from thinking.strategies.branch import Branch, Line
from thinking.strategies.confidence import ConfidenceScorer


def score(*branches: Branch) -> list[float]:
    return asyncio.run(ConfidenceScorer().score(branches))


def test_one_weak_line_is_not_made_good_by_strong_ones() -> None:
    sure = Branch(weakest_line=-0.01, line=Line(3, -0.03))
    slipped = replace(sure, weakest_line=-1.2)
    slipping = replace(sure, line=Line(3, -6.0))
    good, *bad = score(sure, slipped, slipping)
    assert good > 0.98
    assert bad == [pytest.approx(math.exp(-1.2)), pytest.approx(math.exp(-2.0))]


def test_nothing_chosen_is_nothing_to_doubt() -> None:
    assert score(Branch()) == [1.0]
