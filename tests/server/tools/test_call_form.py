"""What a grammar of calls or an answer allows is read as what it is, in every family's form."""

import json
import random
from typing import Any

import pytest
import torch
import xgrammar
from transformers import PreTrainedTokenizerBase

from server.engine.tool_parsing import ToolParsing
from server.tools.call import join_calls
from server.tools.call_form import CallForm, CallOrTextReader, find_openings
from server.tools.feeding import TokenFeed
from server.tools.reading import AnswerReader, ReadPiece
from server.tools.tool import Tool
from tests.server.tools.test_parsers import SPECIAL, WRITTEN
from tests.toy_tokenizers import byte_level

ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"enum": [7, 22]}, "unit": {"enum": ["km", "m"]}},
    "required": ["a", "unit"],
    "additionalProperties": False,
}
# Like the arguments of a call and like a call, as far as a schema can be.
ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"enum": ["Ada", "<tool_call>"]}, "a": {"type": "boolean"}},
    "required": ["name", "a"],
    "additionalProperties": False,
}
TOOLS = [Tool("add", "Adds.", ARGUMENTS), Tool("look-up", None, ARGUMENTS)]
NUM_WALKS = 12


def make_answer() -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": ANSWER, "max_whitespace_cnt": 1}


def walk(
    grammar: xgrammar.CompiledGrammar, tokenizer: PreTrainedTokenizerBase, chance: random.Random
) -> list[int]:
    """Return random tokens that the grammar allows, from its beginning to its first end.

    A family's own token is taken where it is allowed, since models do not spell it otherwise; and
    a space rather than a line break, which some parsers of vLLM do not read inside arguments.
    """
    vocab_size = len(tokenizer)
    breaks = {tokenizer.encode(text, add_special_tokens=False)[0] for text in "\n\r\t"}
    matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=[0])
    mask = xgrammar.allocate_token_bitmask(1, vocab_size)
    token_ids: list[int] = []
    while len(token_ids) < 2_000:
        mask.fill_(-1)
        matcher.fill_next_token_bitmask(mask, 0)
        bits = ((mask[0][:, None] >> torch.arange(32)) & 1).flatten()[:vocab_size]
        allowed = bits.nonzero().flatten().tolist()
        if 0 in allowed:
            return token_ids
        own = [token_id for token_id in allowed if token_id in tokenizer.added_tokens_decoder]
        plain = [token_id for token_id in allowed if token_id not in breaks]
        token_ids.append(chance.choice(own or plain or allowed))
        assert matcher.accept_token(token_ids[-1])
    raise AssertionError("the grammar has no end")


def read(form: CallForm, pieces: list[tuple[int, str]]) -> ReadPiece:
    feed = TokenFeed(AnswerReader(CallOrTextReader(form), keeps_unread=False))
    whole = ReadPiece()
    for token_id, text in pieces:
        feed.note(token_id, len(text))
        whole.add(feed.push(text))
    whole.add(feed.finish(is_cut=False))
    return whole


@pytest.mark.parametrize("parallel", [True, False], ids=["several", "one"])
@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_grammar_allows_is_read_as_a_call_or_as_the_answer(
    name: str, parallel: bool
) -> None:
    tokenizer = byte_level((*WRITTEN[name][0], *SPECIAL))
    form = ToolParsing(tokenizer, name).describe_calls(TOOLS, parallel=parallel)
    tokens = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    compiler = xgrammar.GrammarCompiler(tokens, max_threads=1, cache_enabled=False)
    forms = (form.structure, make_answer())
    either = {"type": "or", "elements": forms}
    union, *grammars = (
        compiler.compile_structural_tag(json.dumps({"type": "structural_tag", "format": structure}))
        for structure in (either, *forms)
    )
    for is_call, grammar in zip((True, False), grammars, strict=True):
        for seed in range(NUM_WALKS):
            token_ids = walk(grammar, tokenizer, random.Random(seed))
            matcher = xgrammar.GrammarMatcher(union, override_stop_tokens=[0])
            assert all(matcher.accept_token(token_id) for token_id in (*token_ids, 0))
            pieces = [(token_id, tokenizer.decode([token_id])) for token_id in token_ids]
            text = "".join(text for _, text in pieces)
            piece = read(form, pieces)
            calls = join_calls(piece.calls)
            assert piece.content == ("" if is_call else text)
            assert bool(calls) == is_call, text
            assert {call.name for call in calls} <= {tool.name for tool in TOOLS}
            for call in calls:
                assert set(json.loads(call.arguments)) == {"a", "unit"}, text


def test_an_opening_is_not_json() -> None:
    begins = ["[1", "{", '{"name":', "", "true", '"']
    assert [find_openings({"type": "const_string", "value": text}) for text in begins] == [None] * 6
    assert find_openings({"type": "any_text"}) is None
    assert find_openings({"type": "const_string", "value": "<x>"}) == ["<x>"]


@pytest.mark.parametrize("num_pieces", [1, 10_000])
def test_nothing_of_a_cut_call_is_passed_on(num_pieces: int) -> None:
    tokenizer = byte_level(SPECIAL)
    form = ToolParsing(tokenizer, "hermes").describe_calls(TOOLS, parallel=True)
    text = '<tool_call>\n{"name": "ad'
    for end in range(1, len(text)):
        step = max(1, end // num_pieces)
        pieces = [(9, text[at : at + step]) for at in range(0, end, step)]
        assert read(form, pieces) == ReadPiece()


def test_text_is_passed_on_as_soon_as_it_cannot_be_a_call() -> None:
    tokenizer = byte_level(SPECIAL)
    bare = ToolParsing(byte_level(("<|python_tag|>", *SPECIAL)), "llama3_json")
    for parsing, text, held in (
        (ToolParsing(tokenizer, "hermes"), '{"a', ""),
        (bare, '{"name": "Ada', '{"name": "'),
    ):
        reader = CallOrTextReader(parsing.describe_calls(TOOLS, parallel=True))
        passed = [reader.push(character, (9,)).content for character in text]
        assert passed == [""] * len(held) + [text[: len(held) + 1], *text[len(held) + 1 :]]
