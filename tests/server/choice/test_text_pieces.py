"""Properties of the stop matcher and the detokeniser: how text was split does not matter."""

from hypothesis import example, given
from hypothesis import strategies as st

from server.choice.detokenizer import Detokenizer
from server.choice.stop_matcher import StopMatcher
from tests.server.conftest import STOP_ID, TOKENIZER, VOCAB_SIZE, ids
from tests.toy_tokenizers import sentencepiece_like

letters = st.text("ab\n", max_size=30)
stop_lists = st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=4)


def first_match(text: str, stops: list[str]) -> int | None:
    """Where the stop string begins that is complete first, by trying every prefix."""
    for end in range(len(text) + 1):
        found = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if found:
            return min(found)
    return None


@given(st.lists(letters, max_size=8), stop_lists)
@example(["aab", "aaab"], ["aaab"])
@example(["ab"], ["abb", "b"])
def test_stop_is_found_however_the_text_is_split(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    released = ""
    text = "".join(pieces)
    position = first_match(text, stops)
    for piece in pieces:
        released += matcher.push(piece)
        assert text.startswith(released)
    assert matcher.matched == (position is not None)
    assert released + matcher.finish() == text[:position]


@given(st.lists(letters, max_size=8), stop_lists)
def test_only_a_possible_beginning_is_held_back(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    released = "".join(matcher.push(piece) for piece in pieces)
    held = "".join(pieces)[len(released) :]
    if not matcher.matched and held:
        assert any(stop.startswith(held) for stop in stops)


@given(st.text(max_size=40), st.data())
def test_text_comes_whole_however_its_tokens_are_split(text: str, data: st.DataObject) -> None:
    token_ids = TOKENIZER.encode(text, split_special_tokens=True)
    stream = Detokenizer(TOKENIZER)
    written = ""
    while token_ids:
        size = data.draw(st.integers(1, len(token_ids)))
        written += stream.push(token_ids[:size])
        token_ids = token_ids[size:]
        # Never half a character.
        assert text.startswith(written)
    assert written == text


@given(st.lists(st.integers(0, VOCAB_SIZE + 5), max_size=60))
def test_any_tokens_are_read(token_ids: list[int]) -> None:
    one_by_one, at_once = Detokenizer(TOKENIZER), Detokenizer(TOKENIZER)
    pieces = [one_by_one.push([token_id]) for token_id in token_ids]
    assert "".join(pieces) == at_once.push(token_ids)


def test_special_tokens_give_no_text() -> None:
    assert Detokenizer(TOKENIZER).push([*ids("a"), STOP_ID, *ids("b")]) == "ab"


@given(st.text("a\N{SNOWMAN} ", max_size=20), st.data())
def test_a_stream_that_goes_on_from_tokens_has_what_they_lacked(
    text: str, data: st.DataObject
) -> None:
    """Together with the text of the tokens before, the whole text; a half character is its own."""
    token_ids = TOKENIZER.encode(text)
    cut = data.draw(st.integers(0, len(token_ids)))
    before = Detokenizer(TOKENIZER).push(token_ids[:cut])
    assert before + Detokenizer(TOKENIZER, after=token_ids[:cut]).push(token_ids[cut:]) == text


def test_a_space_before_a_word_is_kept_behind_other_tokens() -> None:
    tokenizer = sentencepiece_like()
    token_ids = tokenizer.encode("a a", add_special_tokens=False)
    assert Detokenizer(tokenizer).push(token_ids[1:]) == "a"
    assert Detokenizer(tokenizer, after=token_ids[:1]).push(token_ids[1:]) == " a"
