"""Messages as Anthropic's own SDK reads them: its types, its stream, its way back."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, BadRequestError
from anthropic.types import Message, MessageParam, ThinkingBlock, ToolUseBlock

from tests.e2e.process import Server
from tests.sdk.drivers.report import BUDGET, MAX_TOKENS, MODEL, QUESTION
from tests.sdk.drivers.weather import (
    TOOL_NAME,
    TOOL_TEXT,
    WEATHER_QUESTION,
    Weather,
)

pytestmark = [pytest.mark.e2e, pytest.mark.sdk]

ASKED: list[MessageParam] = [{"role": "user", "content": QUESTION}]
ASKED_WEATHER: list[MessageParam] = [{"role": "user", "content": WEATHER_QUESTION}]
GREEDY: dict[str, Any] = {"temperature": 0}
LIMITS: dict[str, Any] = {"model": MODEL, "max_tokens": MAX_TOKENS, "extra_body": GREEDY}
THINKING: Any = {"type": "enabled", "budget_tokens": BUDGET}
SHOWN: Any = THINKING | {"display": "summarized"}
NO_THINKING: Any = {"type": "disabled"}
TOOL: Any = {
    "name": TOOL_NAME,
    "description": TOOL_TEXT,
    "input_schema": Weather.model_json_schema(),
}


@pytest.fixture
def client(server: Server) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def thought_of(message: Message) -> ThinkingBlock:
    block = message.content[0]
    assert block.type == "thinking"
    return block


def call_of(message: Message) -> ToolUseBlock:
    (call,) = (block for block in message.content if block.type == "tool_use")
    return call


def thinking_tokens(message: Message) -> int:
    assert message.usage.output_tokens_details
    return message.usage.output_tokens_details.thinking_tokens


def test_who_says_nothing_of_thinking_sees_no_thought(client: Anthropic) -> None:
    message = client.messages.create(messages=ASKED, **LIMITS)
    assert {block.type for block in message.content} == {"text"}
    assert message.stop_reason in ("end_turn", "max_tokens")


def test_usage_and_receipt_agree_and_keep_the_budget(client: Anthropic) -> None:
    message = client.messages.create(messages=ASKED, thinking=THINKING, **LIMITS)
    assert 0 < thinking_tokens(message) <= BUDGET
    assert (message.model_extra or {})["thinking"]["used"] == thinking_tokens(message)
    assert text_of(message)


def test_thinking_disabled_thinks_nothing(client: Anthropic) -> None:
    message = client.messages.create(messages=ASKED, thinking=NO_THINKING, **LIMITS)
    assert (message.model_extra or {})["thinking"]["used"] == 0
    assert {block.type for block in message.content} == {"text"}


def test_a_thought_is_shown_only_where_its_display_is_asked_for(client: Anthropic) -> None:
    hidden = thought_of(client.messages.create(messages=ASKED, thinking=THINKING, **LIMITS))
    shown = thought_of(client.messages.create(messages=ASKED, thinking=SHOWN, **LIMITS))
    assert hidden.thinking == ""
    assert shown.thinking
    assert hidden.signature
    assert shown.signature


def test_the_stream_adds_up_to_the_message_it_ends_with(client: Anthropic) -> None:
    with client.messages.stream(messages=ASKED, thinking=SHOWN, **LIMITS) as stream:
        events = list(stream)
        final = stream.get_final_message()
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    texts = [event.text for event in events if event.type == "text"]
    thoughts = [event.thinking for event in events if event.type == "thinking"]
    assert len(texts) > 1
    assert "".join(texts) == text_of(final)
    assert "".join(thoughts) == thought_of(final).thinking
    assert thought_of(final).signature
    assert 0 < thinking_tokens(final) <= BUDGET
    assert kinds.index("signature") < kinds.index("text")


def continue_from(content: Any) -> list[MessageParam]:
    return [
        *ASKED,
        {"role": "assistant", "content": content},
        {"role": "user", "content": "And 3 more?"},
    ]


def test_a_signed_thought_comes_back_and_one_of_another_server_is_left_out(
    client: Anthropic,
) -> None:
    first = client.messages.create(messages=ASKED, thinking=THINKING, **LIMITS)
    turns = continue_from(first.content)
    reply = client.messages.with_raw_response.create(messages=turns, thinking=THINKING, **LIMITS)
    assert text_of(reply.parse())
    assert "x-ignored-fields" not in reply.headers
    block = thought_of(first)
    middle = len(block.signature) // 2
    other = "A" if block.signature[middle] != "A" else "B"
    block.signature = block.signature[:middle] + other + block.signature[middle + 1 :]
    reply = client.messages.with_raw_response.create(messages=turns, thinking=THINKING, **LIMITS)
    assert text_of(reply.parse())
    assert reply.headers["x-ignored-fields"] == "messages[1].content[0]"


def test_a_changed_thought_is_refused(client: Anthropic) -> None:
    first = client.messages.create(messages=ASKED, thinking=SHOWN, **LIMITS)
    thought_of(first).thinking = "Something else."
    with pytest.raises(BadRequestError, match="Invalid `signature` in `thinking` block"):
        client.messages.create(messages=continue_from(first.content), thinking=THINKING, **LIMITS)


def test_a_prompt_that_is_too_long_has_the_words_that_clients_compact_on(
    client: Anthropic,
) -> None:
    turns: list[MessageParam] = [{"role": "user", "content": "word " * 20_000}]
    with pytest.raises(BadRequestError, match=r"prompt is too long: \d+ tokens > \d+ maximum"):
        client.messages.create(messages=turns, **LIMITS)


def test_the_beta_client_gets_its_edits_and_its_tools_back(client: Anthropic) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": TOOL_NAME, "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny " * 50}
    turns: Any = [
        *ASKED_WEATHER,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, {"type": "text", "text": QUESTION}]},
    ]
    message = client.beta.messages.create(
        messages=turns,
        tools=[TOOL, {"type": "bash_20250124", "name": "bash"}],
        thinking=NO_THINKING,
        context_management={
            "edits": [
                {
                    "type": "clear_tool_uses_20250919",
                    "trigger": {"type": "tool_uses", "value": 0},
                    "keep": {"type": "tool_uses", "value": 0},
                }
            ]
        },
        betas=["context-management-2025-06-27"],
        **LIMITS,
    )
    assert message.context_management
    (edit,) = message.context_management.applied_edits
    assert edit.type == "clear_tool_uses_20250919"
    assert edit.cleared_input_tokens > 0


def test_a_tool_is_called_and_its_result_is_read(client: Anthropic) -> None:
    first = client.messages.create(
        messages=ASKED_WEATHER,
        thinking=NO_THINKING,
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        **LIMITS,
    )
    call = call_of(first)
    assert first.stop_reason == "tool_use"
    assert call.name == TOOL_NAME
    Weather.model_validate(call.input)
    turns: list[MessageParam] = [
        *ASKED_WEATHER,
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 °C"}],
        },
    ]
    second = client.messages.create(
        messages=turns, thinking=NO_THINKING, tools=[TOOL], tool_choice={"type": "none"}, **LIMITS
    )
    assert text_of(second)


def test_the_arguments_of_a_tool_are_streamed(client: Anthropic) -> None:
    with client.messages.stream(
        messages=ASKED_WEATHER,
        thinking=NO_THINKING,
        tools=[TOOL],
        tool_choice={"type": "tool", "name": TOOL_NAME},
        **LIMITS,
    ) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert snapshots[-1] == call_of(final).input
    Weather.model_validate(call_of(final).input)


def test_counted_tokens_are_those_that_are_billed(client: Anthropic) -> None:
    system = "Answer in one word."
    counted = client.messages.count_tokens(model=MODEL, messages=ASKED, system=system)
    message = client.messages.create(messages=ASKED, system=system, **LIMITS)
    assert counted.input_tokens == message.usage.input_tokens


def test_an_error_has_the_shape_that_the_sdk_reads(client: Anthropic) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.messages.create(
            model=MODEL, messages=ASKED, max_tokens=9, extra_body={"max_thinking_token": 5}
        )
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert "max_thinking_tokens" in body["error"]["message"]
    assert body["request_id"]
