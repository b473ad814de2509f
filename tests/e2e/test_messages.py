"""Anthropic's own client against the real engine."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

MARKERS = ("<|startofthought|>", "<|endofthought|>", "startofthought", "endofthought")
QUESTION: Any = {"role": "user", "content": "Anna has 3 apples and buys 4 more. How many has she?"}
BUDGETS = (1, 8, 20, 64)
SHOWN: Any = {"type": "enabled", "budget_tokens": 40, "display": "summarized"}
SCHEMA = {
    "type": "object",
    "properties": {"fruit": {"enum": ["apple", "pear"]}},
    "required": ["fruit"],
    "additionalProperties": False,
}


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=server.base_url, api_key="none", max_retries=0) as opened:
        yield opened


def asked(**fields: Any) -> dict[str, Any]:
    return {
        "model": "smollm2-135m-instruct",
        "messages": [QUESTION],
        "max_tokens": 112,
        "extra_body": {"temperature": 0},
        **fields,
    }


async def streamed(client: AsyncAnthropic, **fields: Any) -> Message:
    async with client.messages.stream(**asked(**fields)) as stream:
        return await stream.get_final_message()


async def whole(client: AsyncAnthropic, **fields: Any) -> Message:
    message: Message = await client.messages.create(**asked(**fields))
    return message


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def num_thought(message: Message) -> int:
    details = message.usage.output_tokens_details
    assert details is not None
    return details.thinking_tokens


def num_prompt(message: Message) -> int:
    """The tokens of the whole prompt, those in the cache too."""
    cached = message.usage.cache_read_input_tokens
    assert cached is not None
    return message.usage.input_tokens + cached


@pytest.mark.parametrize("ask", [streamed, whole])
async def test_a_budget_is_honoured_to_the_token(client: AsyncAnthropic, ask: Any) -> None:
    for budget in BUDGETS:
        message = await ask(client, thinking={"type": "enabled", "budget_tokens": budget})
        assert num_thought(message) <= budget
        assert message.usage.output_tokens <= 112
        assert text_of(message), "there is always an answer"
        assert message.stop_reason in ("end_turn", "max_tokens")
        assert not any(marker in message.to_json() for marker in MARKERS)
        if budget == 64:
            assert num_thought(message) > 0
            assert message.content[0].type == "thinking"
            assert not message.content[0].thinking


async def test_a_streamed_message_is_the_whole_one(client: AsyncAnthropic) -> None:
    for thinking in (SHOWN, {"type": "disabled"}):
        first = await whole(client, thinking=thinking)
        second = await streamed(client, thinking=thinking)
        assert text_of(first) == text_of(second)
        assert num_prompt(first) == num_prompt(second)
        assert num_thought(first) == num_thought(second)
        assert first.usage.output_tokens == second.usage.output_tokens
        assert first.stop_reason == second.stop_reason
        assert [block.type for block in first.content] == [block.type for block in second.content]


async def test_without_thinking_the_default_holds_and_no_block_comes(
    client: AsyncAnthropic,
) -> None:
    message = await whole(client)
    receipt = message.model_dump()["thinking"]
    assert receipt["source"] == "default"
    assert receipt["used"] == num_thought(message)
    assert [block.type for block in message.content] == ["text"]


@pytest.mark.parametrize("ask", [streamed, whole])
async def test_a_signed_thought_comes_back_and_a_changed_one_does_not(
    client: AsyncAnthropic, ask: Any
) -> None:
    first = await ask(client, thinking=SHOWN)
    thought = first.content[0]
    assert thought.type == "thinking"
    assert thought.thinking
    turns = [QUESTION, {"role": "assistant", "content": first.content}, QUESTION]
    second = await ask(client, messages=turns, thinking=SHOWN)
    assert num_prompt(second) > num_prompt(first)
    changed = thought.to_dict() | {"thinking": "Another."}
    turns[1] = {"role": "assistant", "content": [changed, *first.content[1:]]}
    with pytest.raises(anthropic.BadRequestError, match=r"Invalid `signature` in `thinking` block"):
        await ask(client, messages=turns)
    altered = thought.to_dict() | {"signature": f"{thought.signature[:-9]}AAAAAAAA="}
    turns[1] = {"role": "assistant", "content": [altered, *first.content[1:]]}
    third = await ask(client, messages=turns, thinking=SHOWN)
    assert num_prompt(third) <= num_prompt(second)  # without the thought


async def test_counted_tokens_are_the_messages(client: AsyncAnthropic) -> None:
    for fields in ({"system": "Be brief."}, {"thinking": {"type": "disabled"}}):
        counted = await client.messages.count_tokens(
            model="smollm2-135m-instruct", messages=[QUESTION], **fields
        )
        message = await whole(client, max_tokens=8, **fields)
        assert counted.input_tokens == num_prompt(message)


async def test_stop_sequences_and_formats_hold_for_the_answer(client: AsyncAnthropic) -> None:
    stopped = await whole(client, thinking=SHOWN, stop_sequences=["e"])
    assert "e" not in text_of(stopped)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "e")
    config: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
    formed = await whole(client, thinking=SHOWN, output_config=config)
    assert "".join(text_of(formed).split()) in ('{"fruit":"apple"}', '{"fruit":"pear"}')
    assert num_thought(formed) > 0


ADD: Any = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("ask", [streamed, whole])
async def test_a_demanded_call_and_its_result_go_round(client: AsyncAnthropic, ask: Any) -> None:
    choice = {"type": "tool", "name": "add"}
    fields: dict[str, Any] = {"tools": [ADD], "thinking": SHOWN, "max_tokens": 160}
    first = await ask(client, tool_choice=choice, **fields)
    assert first.content[0].type == "thinking"
    call = first.content[-1]
    assert call.type == "tool_use"
    assert call.name == "add"
    if first.stop_reason == "tool_use":
        assert set(call.input) == {"a", "b"}
    else:
        assert first.stop_reason == "max_tokens"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "7"}
    turns = [
        QUESTION,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = await ask(client, messages=turns, **fields)
    assert num_prompt(second) > num_prompt(first)
    assert num_thought(second) <= SHOWN["budget_tokens"]
