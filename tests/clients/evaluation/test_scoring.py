"""Right and wrong answers, by each kind of scoring."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.evaluation.number_text import find_last_number, parse_whole_text
from clients.evaluation.scoring import Score, ScoringError, ScoringKind, ScoringRule

RIGHT, WRONG = Score(1, 1), Score(0, 1)


def make_rule(kind: str, pattern: str | None = None, tolerance: str = "0") -> ScoringRule:
    return ScoringRule(
        ScoringKind(kind), re.compile(pattern) if pattern else None, Decimal(tolerance)
    )


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12)))
def test_a_number_is_read_back_however_it_is_written(value: Decimal) -> None:
    for text in (f"{value:f}", f"{value:,f}", f"It is {value:f}.", f"1 or 2? {value:,f}!"):
        assert find_last_number(text) == value
    assert parse_whole_text(f" ${value:,f} ") == value or value < 0


@given(st.text())
def test_any_text_has_a_last_number_or_none(text: str) -> None:
    number = find_last_number(text)
    assert number is None or number.is_finite()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5-3", "3"),
        ("5 - 3 = -2", "-2"),
        ("x=\u22127", "-7"),
        ("1,2,3", "3"),
        ("1,234,567 in all", "1234567"),
        ("12,345.50", "12345.50"),
        ("1\u202f000", "1000"),
        ("the answer is 42.", "42"),
        (".5", "0.5"),
        ("1.5e3", "1500"),
        ("42e", "42"),
        ("(4)-1", "1"),
        ("\\boxed{72}", "72"),
        ("**-3**", "-3"),
    ],
)
def test_the_last_number_is_the_one_a_reader_sees(text: str, expected: str) -> None:
    assert find_last_number(text) == Decimal(expected)


@pytest.mark.parametrize("text", ["", "none", "-", ",", "four"])
def test_a_text_without_a_number_has_none(text: str) -> None:
    assert find_last_number(text) is None


@pytest.mark.parametrize(
    ("text", "score"), [("So: 41 or 42", RIGHT), ("42, not 41", WRONG), ("no idea", WRONG)]
)
def test_numeric_takes_the_last_number(text: str, score: Score) -> None:
    assert make_rule("numeric").score(text, ["42"]) == score


@pytest.mark.parametrize(("text", "score"), [("3.14", RIGHT), ("3.15", RIGHT), ("3.16", WRONG)])
def test_numeric_scoring_allows_the_tolerance_and_no_more(text: str, score: Score) -> None:
    assert make_rule("numeric", tolerance="0.01").score(text, ["3.14"]) == score


@pytest.mark.parametrize(
    ("text", "score"), [(" Paris\n", RIGHT), ("paris", WRONG), ("Paris.", WRONG)]
)
def test_exact_is_the_whole_text(text: str, score: Score) -> None:
    assert make_rule("exact").score(text, ["Paris"]) == score


@pytest.mark.parametrize(
    ("text", "score"), [("A: 3. A: 42.", RIGHT), ("A: 42. A: 3.", WRONG), ("42", WRONG)]
)
def test_a_regex_finds_the_first_group_of_the_last_match(text: str, score: Score) -> None:
    assert make_rule("regex", r"A: (\d+)").score(text, ["42"]) == score


def test_a_regex_without_a_group_only_has_to_match() -> None:
    matches = make_rule("regex", "[Yy]es").resolve([])
    assert matches.score("Oh yes.", []) == RIGHT
    assert matches.score("No.", []) == WRONG


@pytest.mark.parametrize(
    ("text", "right"),
    [("=1 =2 =3", 3), ("=1 =9 =3", 2), ("=1", 1), ("", 0), ("=1 =2 =3 =4", 3), ("=2 =3", 0)],
)
def test_blanks_are_compared_in_order_and_all_are_counted(text: str, right: int) -> None:
    assert make_rule("blanks", r"=(\d)").score(text, ["1", "2", "3"]) == Score(right, 3)


@given(st.lists(st.integers(0, 9).map(str), min_size=1), st.text())
def test_no_text_has_more_right_blanks_than_there_are(answers: list[str], text: str) -> None:
    score = make_rule("blanks", r"\d").score(text, answers)
    assert 0 <= score.right <= score.total == len(answers)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [(["42"], "numeric"), (["1,000"], "numeric"), (["$5"], "numeric"), (["Paris"], "exact")],
)
def test_the_answer_decides_where_nothing_else_does(answers: list[str], kind: str) -> None:
    assert ScoringRule().resolve(answers).kind == kind


@pytest.mark.parametrize(
    ("scoring", "answers", "reason"),
    [
        (make_rule("numeric"), ["four"], "'four' is not a number"),
        (make_rule("regex"), ["4"], "needs a pattern"),
        (make_rule("blanks"), ["4"], "needs a pattern"),
        (ScoringRule(), ["1", "2"], "needs a pattern"),
        (make_rule("exact"), ["1", "2"], "needs scoring blanks"),
        (make_rule("exact"), [], "missing"),
        (make_rule("regex", "(a)"), [], "missing"),
    ],
)
def test_a_rule_that_cannot_score_says_why(
    scoring: ScoringRule, answers: list[str], reason: str
) -> None:
    with pytest.raises(ScoringError, match=reason):
        scoring.resolve(answers)
