"""Redaction leaves no match, wherever it occurs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.traces.redaction import Redactor
from tests.server.conftest import make_services

SECRET = "k3y"
TEXTS = st.lists(st.sampled_from([SECRET, "k3", "y", " ", '"', "\\", "ü", "\n"])).map("".join)
TREES = st.recursive(
    TEXTS | st.none() | st.integers() | st.floats(allow_nan=False),
    lambda children: st.lists(children) | st.dictionaries(st.sampled_from("abc"), children),
)


@given(TREES)
def test_no_text_of_a_tree_matches_afterwards(tree: Any) -> None:
    clean = Redactor([SECRET]).redact_tree(tree)
    assert SECRET not in json.dumps(clean, ensure_ascii=False)


@given(TREES)
def test_without_a_match_nothing_changes(tree: Any) -> None:
    assert Redactor(["nowhere"]).redact_tree(tree) == tree


@pytest.mark.parametrize("pattern", ["(", "x*", ""])
def test_a_pattern_that_cannot_work_is_refused_at_the_start(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|matches the empty string"):
        make_services(trace_redact=[pattern])
