"""On the embedded model's tokenizer: in no spelling does most of a text marker reach an answer."""

from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.engine.protocol import EngineOutput, TokenLogprob, TokenLogprobs
from server.hub.model_resolution import resolve_model
from server.prompt.prepared_prompt import PreparedPrompt
from tests.thinking.markers.profile_layouts import detect_profile
from thinking.budget import BudgetPolicy, BudgetRequest, resolve_budget
from thinking.markers.boundaries import map_token_bytes
from thinking.markers.families import THOUGHT_END, THOUGHT_START
from thinking.markers.imitation import find_forbidden_beginning
from thinking.plan import make_plan
from thinking.tracker_state import TrackerTables

SMOLLM2 = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)
PROFILE = detect_profile(SMOLLM2)
TABLES = TrackerTables(PROFILE, frozenset())
MARKERS = (THOUGHT_START, THOUGHT_END)
FORBIDDEN = [find_forbidden_beginning(marker) for marker in MARKERS]
# Token ids by text, of all tokens that are ordinary and a whole number of ASCII characters.
TOKENS = {
    text.decode(): token_id
    for token_id, text in map_token_bytes(SMOLLM2).items()
    if token_id not in SMOLLM2.added_tokens_decoder and text.isascii()
}
TEXTS = {token_id: text for text, token_id in TOKENS.items()}


def iterate_spellings(text: str) -> Iterator[tuple[int, ...]]:
    """Yield every sequence of ordinary tokens whose text is `text`."""
    if not text:
        yield ()
    for end in range(1, len(text) + 1):
        if (token_id := TOKENS.get(text[:end])) is not None:
            for rest in iterate_spellings(text[end:]):
                yield (token_id, *rest)


@cache
def find_neighbours(marker: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The tokens that contain a part of the marker and other text.

    Those that end with its beginning, with the length of that; then those that begin with a later
    part, with the place of that.
    """
    before = [
        (token_id, size)
        for text, token_id in TOKENS.items()
        for size in range(1, min(len(text), len(marker)))
        if text.endswith(marker[:size])
    ]
    after = [
        (token_id, at)
        for text, token_id in TOKENS.items()
        for at in range(1, len(marker))
        if marker[at] == text[:1] and not marker.startswith(text, at)
    ]
    return before, after


@st.composite
def imitations(draw: st.DrawFn) -> list[int]:
    """Tokens of a marker or a part of one, spelt in any way, perhaps grown together with others."""
    marker = draw(st.sampled_from(MARKERS))
    before, after = find_neighbours(marker)
    token_ids = []
    begin, end = 0, draw(st.integers(1, len(marker)))
    if draw(st.booleans()):
        token_id, begin = draw(st.sampled_from(before))
        token_ids.append(token_id)
    last = draw(st.none() | st.sampled_from(after))
    if last is not None:
        end = last[1]
    while begin < end:
        sizes = [size for size in range(1, end - begin + 1) if marker[begin:][:size] in TOKENS]
        size = draw(st.sampled_from(sizes))
        token_ids.append(TOKENS[marker[begin:][:size]])
        begin += size
    return token_ids if last is None else [*token_ids, last[0]]


WORDS = st.sampled_from(["Yes", " sir", ".", "\n", "<", "|", ">", " 7", "<|", "x"])
WORD_TOKENS = st.builds(lambda word: list(SMOLLM2.encode(word)), WORDS)
ANSWERS = st.lists(imitations() | WORD_TOKENS, min_size=1, max_size=8).map(
    lambda parts: [token_id for part in parts for token_id in part]
)


def read(
    outputs: Sequence[Sequence[int]], *, logprobs: bool, stops: Sequence[str] = ()
) -> ChoiceDelta:
    """All deltas of an answer without a thought, joined."""
    budget = resolve_budget(
        BudgetRequest(), BudgetPolicy(0), max_completion_tokens=None, context_left=999
    )
    prompt = PreparedPrompt((), budget, make_plan(PROFILE, 0), 999, 0)
    settings = DecodingSettings(TABLES, SMOLLM2, prompt, stops, filtered_markers=MARKERS)
    decoder = ChoiceDecoder(0, settings)
    whole = ChoiceDelta(0)
    for number, token_ids in enumerate(outputs):
        entries = [TokenLogprobs(TokenLogprob(token_id, -1.0), ()) for token_id in token_ids]
        is_last = number == len(outputs) - 1
        output = EngineOutput(
            token_ids, entries if logprobs else None, "length" if is_last else None
        )
        whole.add(decoder.push(output))
        assert not any(beginning in whole.content for beginning in FORBIDDEN)
        if decoder.result is not None:
            break
    return whole


@pytest.mark.parametrize("marker", MARKERS)
def test_every_spelling_of_most_of_a_marker_is_removed_and_counted(marker: str) -> None:
    words = SMOLLM2.encode("Yes"), SMOLLM2.encode(" sir.")
    num_spellings = 0
    for length in range(len(find_forbidden_beginning(marker)), len(marker) + 1):
        for spelling in iterate_spellings(marker[:length]):
            num_spellings += 1
            answer = [*words[0], *spelling, *words[1]]
            delta = read([[token_id] for token_id in answer], logprobs=True)
            assert delta.content == "Yes sir.", spelling
            kept = [entry.sampled.token_id for entry in delta.logprobs]
            assert kept == [*words[0], *words[1]]
            assert delta.offsets == [0, 3, 7]
            assert delta.result is not None
            assert delta.result.num_answer == len(answer)
    assert num_spellings > 1000


@pytest.mark.parametrize("marker", MARKERS)
def test_every_spelling_of_a_few_characters_stays(marker: str) -> None:
    for length in range(1, len(find_forbidden_beginning(marker))):
        for spelling in iterate_spellings(marker[:length]):
            assert read([spelling], logprobs=False).content == marker[:length]


@given(ANSWERS, st.data(), st.sampled_from(((), ("ought",), ("sir", "|>"))))
def test_an_answer_is_the_same_however_its_tokens_come(
    answer: list[int], data: st.DataObject, stops: Sequence[str]
) -> None:
    one_by_one = [[token_id] for token_id in answer]
    split, rest = [], answer
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        split.append(rest[:size])
        rest = rest[size:]
    first = read(split, logprobs=True, stops=stops)
    second = read(one_by_one, logprobs=True, stops=stops)
    assert (first.content, first.logprobs) == (second.content, second.logprobs)
    assert first.offsets == second.offsets
    if not stops:
        assert first.content == read([answer], logprobs=False).content


@given(ANSWERS)
def test_each_log_probability_is_of_a_token_in_the_text_there(answer: list[int]) -> None:
    delta = read([[token_id] for token_id in answer], logprobs=True)
    # Where the whole answer was a marker, no token is left to end.
    ends = [*delta.offsets[1:], len(delta.content)][: len(delta.offsets)]
    shown = [
        (delta.content[begin:end], TEXTS[entry.sampled.token_id])
        for begin, end, entry in zip(delta.offsets, ends, delta.logprobs, strict=True)
    ]
    assert all(part and part in text for part, text in shown), shown
    assert "".join(part for part, _ in shown) == delta.content
