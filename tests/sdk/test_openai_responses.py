"""Responses as OpenAI's own SDK reads them: its types, its stream, its way back."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from openai.types.responses import ParsedResponse, Response, ResponseReasoningItem

from tests.e2e.process import Server
from tests.sdk.drivers.report import BUDGET, MAX_TOKENS, MODEL, QUESTION
from tests.sdk.drivers.weather import (
    TOOL_NAME,
    TOOL_TEXT,
    WEATHER_QUESTION,
    Weather,
)

pytestmark = [pytest.mark.e2e, pytest.mark.sdk]

BUDGETED: dict[str, Any] = {
    "model": MODEL,
    "max_output_tokens": MAX_TOKENS,
    "temperature": 0,
    "extra_body": {"max_thinking_tokens": BUDGET},
}
TOOL: Any = {
    "type": "function",
    "name": TOOL_NAME,
    "description": TOOL_TEXT,
    "parameters": Weather.model_json_schema() | {"additionalProperties": False},
    "strict": True,
}


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def reasoning_of(response: Response) -> ResponseReasoningItem:
    (item,) = (item for item in response.output if item.type == "reasoning")
    return item


def last_response(events: list[Any]) -> ParsedResponse[Any]:
    """The SDK's own `get_final_response` knows completed ones only."""
    assert events[-1].type in ("response.completed", "response.incomplete")
    response: ParsedResponse[Any] = events[-1].response
    return response


def test_usage_and_receipt_agree_and_keep_the_budget(client: OpenAI) -> None:
    response = client.responses.create(input=QUESTION, **BUDGETED)
    assert response.usage
    thought = response.usage.output_tokens_details.reasoning_tokens
    assert 0 < thought <= BUDGET
    assert (response.model_extra or {})["thinking"]["used"] == thought
    assert response.usage.total_tokens == (
        response.usage.input_tokens + response.usage.output_tokens
    )
    assert response.output_text


def test_a_thought_is_hidden_unless_a_summary_is_asked_for(client: OpenAI) -> None:
    hidden = client.responses.create(input=QUESTION, **BUDGETED)
    items = [item for item in hidden.output if item.type == "reasoning"]
    assert not [item for item in items if item.summary or item.content]
    shown = client.responses.create(input=QUESTION, reasoning={"summary": "auto"}, **BUDGETED)
    assert "".join(part.text for part in reasoning_of(shown).summary)


def test_the_stream_adds_up_to_the_response_it_ends_with(client: OpenAI) -> None:
    with client.responses.stream(input=QUESTION, **BUDGETED) as stream:
        events = list(stream)
    final = last_response(events)
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    numbers = [event.sequence_number for event in events if hasattr(event, "sequence_number")]
    assert numbers == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == final.output_text
    added = [event.output_index for event in events if event.type == "response.output_item.added"]
    assert added == list(range(len(final.output)))


def test_a_response_cut_short_says_so(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL,
        input="Count from one to fifty, in words.",
        max_output_tokens=2,  # of any answer, more are needed
        temperature=0,
        extra_body={"max_thinking_tokens": 0},
    )
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_parsed_response_keeps_its_type(client: OpenAI) -> None:
    response = client.responses.parse(input=WEATHER_QUESTION, text_format=Weather, **BUDGETED)
    assert isinstance(response.output_parsed, Weather)


def test_a_stored_response_can_be_read_continued_and_deleted(client: OpenAI) -> None:
    first = client.responses.create(input=QUESTION, **BUDGETED)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    second = client.responses.create(input="And 3 more?", previous_response_id=first.id, **BUDGETED)
    assert first.usage
    assert second.usage
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.previous_response_id == first.id
    client.responses.delete(first.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(first.id)


def test_a_response_in_the_background_is_polled_resumed_and_cancelled(client: OpenAI) -> None:
    begun = client.responses.create(input=QUESTION, background=True, **BUDGETED)
    with client.responses.retrieve(begun.id, stream=True) as stream:
        first = [event for event, _ in zip(stream, range(4), strict=False)]
    with client.responses.retrieve(
        begun.id, stream=True, starting_after=first[-1].sequence_number
    ) as stream:
        numbers = [event.sequence_number for event in [*first, *stream]]
    assert numbers == list(range(len(numbers)))
    ended = client.responses.retrieve(begun.id)
    assert ended.status in ("completed", "incomplete")
    waited = client.responses.create(input=QUESTION, **BUDGETED)
    assert ended.output_text == waited.output_text
    assert client.responses.cancel(begun.id) == ended
    thought = {"max_thinking_tokens": 800, "min_thinking_tokens": 800}
    long = BUDGETED | {"max_output_tokens": 1000, "extra_body": thought}
    begun = client.responses.create(input=QUESTION, background=True, **long)
    assert client.responses.cancel(begun.id).status == "cancelled"


def test_a_response_that_is_not_stored_is_gone(client: OpenAI) -> None:
    response = client.responses.create(input=QUESTION, store=False, **BUDGETED)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)


def test_a_sealed_thought_comes_back_without_a_store(client: OpenAI) -> None:
    first = client.responses.create(
        input=QUESTION, store=False, include=["reasoning.encrypted_content"], **BUDGETED
    )
    assert reasoning_of(first).encrypted_content
    turns: Any = [
        {"role": "user", "content": QUESTION},
        *first.output,
        {"role": "user", "content": "And 3 more?"},
    ]
    second = client.responses.create(input=turns, store=False, **BUDGETED)
    assert second.output_text
    sealed = reasoning_of(first)
    assert sealed.encrypted_content
    middle = len(sealed.encrypted_content) // 2
    other = "A" if sealed.encrypted_content[middle] != "A" else "B"
    sealed.encrypted_content = (
        sealed.encrypted_content[:middle] + other + sealed.encrypted_content[middle + 1 :]
    )
    raw = client.responses.with_raw_response.create(input=turns, store=False, **BUDGETED)
    assert raw.headers["x-ignored-fields"] == "input[1].encrypted_content"
    without = raw.parse().usage
    assert without
    assert second.usage
    assert without.input_tokens <= second.usage.input_tokens


def test_a_tool_is_called_and_its_result_is_read(client: OpenAI) -> None:
    fields: Any = {"tools": [TOOL], "parallel_tool_calls": False, **BUDGETED}
    first = client.responses.create(input=WEATHER_QUESTION, tool_choice="required", **fields)
    (call,) = (item for item in first.output if item.type == "function_call")
    assert call.name == TOOL_NAME
    Weather.model_validate_json(call.arguments)
    turns: Any = [
        {"role": "user", "content": WEATHER_QUESTION},
        *first.output,
        {"type": "function_call_output", "call_id": call.call_id, "output": "21 °C"},
    ]
    second = client.responses.create(input=turns, tool_choice="none", **fields)
    assert second.output_text


def test_the_arguments_of_a_tool_are_streamed(client: OpenAI) -> None:
    with client.responses.stream(
        input=WEATHER_QUESTION,
        tools=[TOOL],
        tool_choice={"type": "function", "name": TOOL_NAME},
        **BUDGETED,
    ) as stream:
        events = list(stream)
    final = last_response(events)
    (call,) = (item for item in final.output if item.type == "function_call")
    pieces = [
        event.delta for event in events if event.type == "response.function_call_arguments.delta"
    ]
    assert "".join(pieces) == call.arguments


@pytest.mark.parametrize(
    "text_format",
    [
        {
            "type": "grammar",
            "syntax": "lark",
            "definition": 'start: vote LF\nvote: "yes" | "no"\n%import common.LF',
        },
        {"type": "grammar", "syntax": "regex", "definition": r"(yes|no)\n"},
    ],
)
def test_a_custom_tool_gets_a_text_of_its_grammar(client: OpenAI, text_format: Any) -> None:
    tool: Any = {"type": "custom", "name": "vote", "format": text_format}
    with client.responses.stream(
        input="Is 2 even? Vote.",
        tools=[tool],
        tool_choice={"type": "custom", "name": "vote"},
        **BUDGETED,
    ) as stream:
        events = list(stream)
    final = last_response(events)
    (call,) = (item for item in final.output if item.type == "custom_tool_call")
    assert call.input in ("yes\n", "no\n")
    pieces = [
        event.delta for event in events if event.type == "response.custom_tool_call_input.delta"
    ]
    assert "".join(pieces) == call.input


def test_a_tool_of_a_namespace_is_called(client: OpenAI) -> None:
    namespace: Any = {"type": "namespace", "name": "sky", "description": "", "tools": [TOOL]}
    response = client.responses.create(
        input=WEATHER_QUESTION,
        tools=[namespace, {"type": "web_search"}],
        tool_choice="required",
        parallel_tool_calls=False,
        **BUDGETED,
    )
    (call,) = (item for item in response.output if item.type == "function_call")
    assert (call.namespace, call.name) == ("sky", TOOL_NAME)


def test_a_conversation_is_compacted_and_goes_on(client: OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "It is 42."},
    ]
    compacted = client.responses.compact(
        model=MODEL, input=turns, extra_body={"max_output_tokens": 128}
    )
    items: Any = [item.to_dict(warnings=False) for item in compacted.output]
    assert items[-1]["type"] == "compaction"
    more: Any = {"role": "user", "content": "And 3 more?"}
    assert client.responses.create(input=[*items, more], **BUDGETED).output_text
