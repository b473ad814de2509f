"""Answers with the same meaning get the same key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinking.strategies.vote import Extract, extract_vote


@pytest.mark.parametrize(
    ("answer", "extract", "vote"),
    [
        ("The sum is 1,234.", Extract.NUMBER, "1234"),
        ("3.50 euros", Extract.NUMBER, "3.5"),
        ("10", Extract.NUMBER, "10"),
        ("-7", Extract.NUMBER, "-7"),
        ("first 3, then 8", Extract.NUMBER, "8"),
        ("No idea.", Extract.NUMBER, "no idea"),
        ("  Yes,\n it IS. ", Extract.TEXT, "yes, it is"),
        ("Because…\nParis.\n\n", Extract.LAST_LINE, "paris"),
        ("", Extract.LAST_LINE, ""),
        ("", Extract.NUMBER, ""),
    ],
)
def test_an_answer_is_counted_under_its_key(answer: str, extract: Extract, vote: str) -> None:
    assert extract_vote(answer, extract) == vote


@given(st.text(), st.sampled_from(Extract))
def test_any_answer_has_a_vote(answer: str, extract: Extract) -> None:
    assert extract_vote(answer, extract) == extract_vote(answer, extract).strip()


@given(st.integers(-(10**9), 10**9), st.sampled_from(["It is {:,}.", "{}", "{:,} apples", "= {}"]))
def test_a_number_is_the_same_however_it_is_written(number: int, frame: str) -> None:
    assert extract_vote(frame.format(number), Extract.NUMBER) == str(number)
