"""A thought is rated by its weakest line."""

import asyncio
import math
from dataclasses import replace

import pytest

from thinking.strategies.branch import Branch, Line
from thinking.strategies.confidence import ConfidenceScorer


def score(*branches: Branch) -> list[float]:
    return asyncio.run(ConfidenceScorer().score(branches))


def test_strong_lines_do_not_make_up_for_a_weak_one() -> None:
    sure = Branch(weakest_line=-0.01, line=Line(3, -0.03))
    slipped = replace(sure, weakest_line=-1.2)
    slipping = replace(sure, line=Line(3, -6.0))
    good, *bad = score(sure, slipped, slipping)
    assert good > 0.98
    assert bad == [pytest.approx(math.exp(-1.2)), pytest.approx(math.exp(-2.0))]


def test_a_branch_without_tokens_has_full_confidence() -> None:
    assert score(Branch()) == [1.0]
