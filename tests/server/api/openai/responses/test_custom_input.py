"""The text for a custom tool, read out of the arguments that a model wrote."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.openai.responses.custom_input import InputReader

TEXTS = st.text(st.characters(codec="utf-8"))


def read(arguments: str, cuts: list[int]) -> list[str]:
    """Return what is read from each piece of `arguments`, and at their end."""
    reader = InputReader()
    places = [0, *sorted({cut % (len(arguments) + 1) for cut in cuts}), len(arguments)]
    pieces = [arguments[a:b] for a, b in pairwise(places)]
    return [*(reader.push(piece) for piece in pieces), reader.finish()]


@given(text=TEXTS, cuts=st.lists(st.integers(0, 10_000)), ascii_only=st.booleans())
def test_however_arguments_are_split_the_input_is_the_same(
    text: str, cuts: list[int], ascii_only: bool
) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    *pieces, last = read(arguments, cuts)
    assert "".join(pieces) == text  # all of it before the end
    assert last == ""


@given(text=TEXTS, cut=st.integers(0, 10_000))
def test_of_cut_arguments_the_beginning_is_read(text: str, cut: int) -> None:
    arguments = json.dumps({"input": text})
    begun = arguments[: len('{"input": "') + cut % (len(arguments) - len('{"input": "'))]
    assert text.startswith("".join(read(begun, [])))


@given(arguments=st.text(), cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_anything_else_can_be_sent_as_utf_8(arguments: str, cuts: list[int]) -> None:
    "".join(read(arguments, cuts)).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"patch": "a"}', "a"),
        ('{"a": "1", "b": "2"}', '{"a": "1", "b": "2"}'),
        ('{"a": "1", "input": "2"}', "2"),
        ('{"input": 5}', '{"input": 5}'),
        ('"a"', "a"),
        ("a b", "a b"),
        ("", ""),
        ('{"input": "a\nb"}', "a\nb"),
        ('{"input": "a\\qb"}', "a\\qb"),
        ('{"input": "a', "a"),
        ('{"input": "a\\u00', "a"),
        ('{"input": "a\\', "a"),
        ('{"input": "\\ud83d\\ude00"}', "😀"),
        ('{"input": "a\\ud83d"}', "a?"),
        ('{"input": "\\udc00b"}', "?b"),
    ],
)
@pytest.mark.parametrize("cuts", [[], list(range(100))])
def test_an_input_is_read_from_whatever_was_written(
    arguments: str, text: str, cuts: list[int]
) -> None:
    assert "".join(read(arguments, cuts)) == text
