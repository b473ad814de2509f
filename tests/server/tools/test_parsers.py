"""The table of families: each parser exists, loads, and reads the format of its family."""

from collections.abc import Callable

import pytest
from transformers import PreTrainedTokenizerBase

from server.engine.start_errors import EngineConfigError
from server.engine.tool_parsing import ToolParsing, list_parsers
from server.tools.call import join_calls
from server.tools.families import FAMILIES, UNREADABLE, detect_parser
from server.tools.feeding import TokenFeed
from server.tools.reading import AnswerReader, ReadPiece
from server.tools.tool import Tool
from server.tools.visible_tokens import find_call_token_ids
from tests.server.conftest import TOKENIZER, make_profile
from tests.toy_tokenizers import CHATML, byte_level

SPECIAL = ("<|im_start|>", "<|im_end|>")
NUMBER = {"type": "object", "properties": {"a": {"type": "integer"}}}
# (parser, tokens of its own, what a model writes)
WRITTEN = {
    "hermes": (("<tool_call>", "</tool_call>"), ('<tool_call>\n{"name": "add", "arguments": '
               '{"a": 7}}\n</tool_call>')),
    "qwen3_coder": (("<tool_call>", "</tool_call>"), ("<tool_call>\n<function=add>\n<parameter=a>\n"
                    "7\n</parameter>\n</function>\n</tool_call>")),
    "glm45": (("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>",
               "</arg_value>"), ("<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>7</arg_value>\n"
              "</tool_call>")),
    "kimi_k2": (("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
                 "<|tool_call_begin|>",
                 "<|tool_call_end|>", "<|tool_call_argument_begin|>"),
                ("<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0"
                '<|tool_call_argument_begin|>{"a": 7}<|tool_call_end|><|tool_calls_section_end|>')),
    "deepseek_v31": (("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
                      "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"),
                     ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>"
                     '{"a": 7}<｜tool▁call▁end｜><｜tool▁calls▁end｜>')),
    "minimax_m2": (("<minimax:tool_call>", "</minimax:tool_call>"),
                   ('<minimax:tool_call>\n<invoke name="add">\n<parameter name="a">7</parameter>\n'
                   "</invoke>\n</minimax:tool_call>")),
    "seed_oss": (("<seed:tool_call>", "</seed:tool_call>"), ("<seed:tool_call>\n<function=add>\n"
                 "<parameter=a>7</parameter>\n</function>\n</seed:tool_call>")),
    "llama3_json": (("<|python_tag|>",), '{"name": "add", "parameters": {"a": 7}}'),
    "mistral": (("[TOOL_CALLS]", "[ARGS]"), '[TOOL_CALLS]add[ARGS]{"a": 7}'),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({name for name, _ in FAMILIES}))
def test_every_parser_of_the_table_is_one_of_vllms(name: str) -> None:
    assert name in list_parsers()


@pytest.mark.parametrize("special", [True, False], ids=["special", "added"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_familys_call_is_read(name: str, special: bool) -> None:
    tokens, text = WRITTEN[name]
    tokenizer = byte_level((*tokens, *SPECIAL)) if special else byte_level(SPECIAL, added=tokens)
    before = "" if text.startswith("{") else "I add."  # bare JSON is a call only at the beginning
    piece = _read(tokenizer, name, before + text)
    (call,) = join_calls(piece.calls)
    assert (call.name, call.arguments.replace(" ", "")) == ("add", '{"a":7}')
    assert call.call_id
    assert piece.content == before


def _read(tokenizer: PreTrainedTokenizerBase, name: str, text: str) -> ReadPiece:
    feed = TokenFeed(
        AnswerReader(ToolParsing(tokenizer, name).create_reader([Tool("add", None, NUMBER)]))
    )
    piece = ReadPiece()
    decode: Callable[[list[int]], str] = tokenizer.decode
    for token_id in tokenizer.encode(text, add_special_tokens=False):
        part = decode([token_id])
        feed.note(token_id, len(part))
        piece.add(feed.push(part))
    piece.add(feed.finish(is_cut=False))
    return piece


@pytest.mark.parametrize(("parser", "texts"), FAMILIES)
def test_a_template_tells_its_family(parser: str, texts: tuple[str, ...]) -> None:
    assert detect_parser("{{ tools }}" + " ".join(texts)) in (parser, "phi4_mini_json")


def test_a_template_without_tools_or_of_no_family_is_read_as_hermes() -> None:
    assert detect_parser(None) == detect_parser(CHATML) == "hermes"
    assert detect_parser(CHATML + "<|python_tag|>") == "hermes"
    assert detect_parser("{{ tools }}") == "hermes"


def test_a_wrong_name_is_refused_with_the_right_ones() -> None:
    with pytest.raises(EngineConfigError, match=r"hermes.*qwen3_coder"):
        ToolParsing(TOKENIZER, "herms")
    for name in UNREADABLE:
        with pytest.raises(EngineConfigError):
            ToolParsing(TOKENIZER, name)


def test_a_parser_that_does_not_suit_the_model_is_refused_or_replaced() -> None:
    with pytest.raises(EngineConfigError, match="llama3_json"):
        ToolParsing(TOKENIZER, "llama3_json")
    llama = byte_level(SPECIAL, template="{{ tools }}<|python_tag|>")
    assert ToolParsing(llama, None).name == "hermes"


def test_tokens_of_calls_are_shown_and_those_around_turns_are_not() -> None:
    tokenizer = byte_level(("[TOOL_CALLS]", "<|pad|>", *SPECIAL))
    profile = make_profile(stop_token_ids=())
    shown = find_call_token_ids(tokenizer, profile)
    texts = {tokenizer.convert_ids_to_tokens(token_id) for token_id in shown}
    assert "[TOOL_CALLS]" in texts
    assert not texts & set(SPECIAL)
