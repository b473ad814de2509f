"""Properties: calls do not depend on how an answer is split, and nothing hidden is shown."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.choice.detokenizer import Detokenizer
from server.engine.protocol import EngineOutput
from server.engine.tool_parsing import ToolParsing
from server.tools.call import join_calls, make_call_id
from server.tools.json_calls import ListedCallsReader
from server.tools.reading import AnswerReader
from server.tools.tool import Tool
from server.tools.visible_tokens import find_call_token_ids
from tests.server.choice.test_decoder import TABLES, prepared
from tests.server.conftest import MARKER_TEXTS, PROFILES, STOP_ID, TOKENIZER, ids
from tests.server.tools.conftest import write_call, write_call_list

PARSING = ToolParsing(TOKENIZER, "hermes")
TOOLS = [Tool("add"), Tool("look-up")]
SHOWN = find_call_token_ids(TOKENIZER, PROFILES["special markers"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\{}[]</>🙂', max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("k}"), inner, max_size=2),
    max_leaves=5,
)
arguments = st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=3)
calls = st.lists(st.tuples(st.sampled_from(["add", "look-up"]), arguments), max_size=3)
sizes = st.lists(st.integers(1, 40), max_size=30)


def read(text: str, reader: AnswerReader, split: list[int], stops: tuple[str, ...]) -> ChoiceDelta:
    """Return the merged deltas of an answer whose tokens arrive in outputs of sizes `split`."""
    settings = DecodingSettings(
        TABLES,
        TOKENIZER,
        prepared(64),
        stops=stops,
        create_tool_reader=lambda: reader,
        call_token_ids=SHOWN,
    )
    decoder = ChoiceDecoder(0, settings)
    answer = TOKENIZER.encode(text, add_special_tokens=False, split_special_tokens=True)
    rest = [*ids("<think>hidden</think>"), *answer, STOP_ID]
    whole = ChoiceDelta(0)
    for size in [*split, len(rest)]:
        part, rest = rest[:size], rest[size:]
        whole.add(decoder.push(EngineOutput(part, None, None if rest else "stop")))
        if decoder.result:
            break
    return whole


def summarize(delta: ChoiceDelta) -> tuple[str, list[tuple[str, str]]]:
    return delta.content, [(call.name, call.arguments) for call in join_calls(delta.tool_calls)]


@settings(deadline=None)
@given(calls, st.text("ab <\n", max_size=10), sizes, st.sampled_from([(), ("STOP", "a}b")]))
def test_calls_of_the_models_form(
    made: list[tuple[str, dict[str, Any]]], before: str, split: list[int], stops: tuple[str, ...]
) -> None:
    texts = [write_call(name, json.dumps(given, ensure_ascii=False)) for name, given in made]
    text = before + "\n".join(texts)
    results = [
        summarize(read(text, AnswerReader(PARSING.create_reader(TOOLS)), pieces, stops))
        for pieces in (split, [1] * len(text), [])
    ]
    assert results[0] == results[1] == results[2]
    content, found = results[0]
    assert "hidden" not in content
    assert not any(marker in content for marker in MARKER_TEXTS)
    if not stops and not any("tool_call" in text for text in map(str, made)):
        assert [name for name, _ in found] == [name for name, _ in made]
        assert content.rstrip() == before.rstrip()


@settings(deadline=None)
@given(calls.filter(bool), sizes)
def test_calls_that_a_grammar_made(
    made: list[tuple[str, dict[str, Any]]], split: list[int]
) -> None:
    text = write_call_list(*made)
    result = summarize(read(text, AnswerReader(ListedCallsReader(make_call_id)), split, ()))
    assert result == ("", [(name, json.dumps(given)) for name, given in made])


@given(st.text('[{"name: add,parmets}\\', max_size=60), sizes)
def test_no_text_is_lost_where_there_was_no_call(text: str, split: list[int]) -> None:
    result = summarize(read(text, AnswerReader(ListedCallsReader(make_call_id)), split, ()))
    assert result == (text, [])


@settings(deadline=None)
@given(calls.filter(bool), st.integers(0, 200))
def test_what_a_cut_answer_tells_is_the_beginning_of_the_whole(
    made: list[tuple[str, dict[str, Any]]], length: int
) -> None:
    text = write_call_list(*made)[:length]
    content, found = summarize(read(text, AnswerReader(ListedCallsReader(make_call_id)), [], ()))
    assert content == ("" if found else text)
    for (name, piece), (wanted, whole) in zip(found, made, strict=False):
        assert name == wanted
        assert json.dumps(whole).startswith(piece)


def test_only_tokens_of_calls_become_text() -> None:
    tokens = [*ids("a<|im_start|>b"), STOP_ID]
    assert Detokenizer(TOKENIZER, shown_special=SHOWN).push(tokens) == "ab"


@pytest.mark.parametrize("shown", ["<|spare|>", "<|exit|>"])
def test_a_special_token_that_is_asked_for_is_text(shown: str) -> None:
    tokens = ids(f"a{shown}b<|im_start|>")
    assert Detokenizer(TOKENIZER, shown_special=ids(shown)).push(tokens) == f"a{shown}b"
