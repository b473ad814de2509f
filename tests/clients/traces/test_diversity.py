"""Figures that warn of collapse, and the split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.traces.diversity import Diversity, Thresholds, compute_distinct, find_warnings
from clients.traces.split import is_validation

TEXTS = st.lists(st.text(alphabet="ab ."), max_size=6)


def test_distinct_counts_different_ngrams_over_all() -> None:
    assert compute_distinct(["a b a b"], 1) == pytest.approx(2 / 4)
    assert compute_distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert compute_distinct(["a b", "a b"], 2) == pytest.approx(1 / 2)
    assert compute_distinct(["a", "b"], 2) == 0.0  # none across two texts


@given(TEXTS, st.integers(1, 3))
def test_repeating_all_texts_never_raises_distinct(texts: list[str], n: int) -> None:
    assert 0 <= compute_distinct(texts + texts, n) <= compute_distinct(texts, n) <= 1


def test_each_figure_past_its_threshold_is_warned_of_once() -> None:
    fine = Diversity(
        examples=500, prompts=400, distinct={1: 0.5, 2: 0.8, 3: 0.9}, repeated=0, model_written=0.5
    )
    assert find_warnings(fine, Thresholds()) == []
    poor = Diversity(
        examples=9, prompts=9, distinct={1: 0, 2: 0, 3: 0}, repeated=0.9, model_written=0.99
    )
    assert len(find_warnings(poor, Thresholds())) == 6


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_kept(text: str, a: float, b: float) -> None:
    question = (("user", text),)
    assert is_validation(question, min(a, b)) <= is_validation(question, max(a, b))
    assert is_validation(question, 1)
    assert not is_validation(question, 0)
