"""The cases of Open Responses' public suite, and the schema that it holds responses to.

Transcribed from the specification (https://www.openresponses.org), not from our code. Two cases
cannot be passed by a server of a text model and are left out: images and files.
"""

from functools import partial
from typing import Any

import pytest

from tests.server.api.openai.responses.conftest import (
    get_items,
    get_refusal,
    get_transcript,
    respond,
)
from tests.server.api.openai.responses.folding import fold
from tests.server.conftest import Serve, wants
from tests.server.tools.conftest import write_call

Json = dict[str, Any]
NULL = type(None)
# Required fields of a response, with the types of their values.
RESPONSE: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "object": (str,),
    "created_at": (int,),
    "completed_at": (int, NULL),
    "status": (str,),
    "incomplete_details": (dict, NULL),
    "model": (str,),
    "previous_response_id": (str, NULL),
    "instructions": (str, NULL),
    "output": (list,),
    "error": (dict, NULL),
    "tools": (list,),
    "tool_choice": (str, dict),
    "truncation": (str,),
    "parallel_tool_calls": (bool,),
    "text": (dict,),
    "top_p": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "top_logprobs": (int,),
    "temperature": (int, float),
    "reasoning": (dict, NULL),
    "usage": (dict, NULL),
    "max_output_tokens": (int, NULL),
    "max_tool_calls": (int, NULL),
    "store": (bool,),
    "background": (bool,),
    "service_tier": (str,),
    "metadata": (dict,),
    "safety_identifier": (str, NULL),
    "prompt_cache_key": (str, NULL),
}
ITEMS: dict[str, dict[str, tuple[type, ...]]] = {
    "message": {"id": (str,), "status": (str,), "role": (str,), "content": (list,)},
    "function_call": {
        "id": (str,),
        "call_id": (str,),
        "name": (str,),
        "arguments": (str,),
        "status": (str,),
    },
    "reasoning": {"id": (str,), "summary": (list,)},
}
TEXT: dict[str, tuple[type, ...]] = {"text": (str,), "annotations": (list,), "logprobs": (list,)}
TOOL: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "description": (str, NULL),
    "parameters": (dict, NULL),
    "strict": (bool, NULL),
}
SCHEMA: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "description": (str, NULL),
    "schema": (dict, NULL),
    "strict": (bool,),
}
USAGE: dict[str, tuple[type, ...]] = {
    "input_tokens": (int,),
    "output_tokens": (int,),
    "total_tokens": (int,),
    "input_tokens_details": (dict,),
    "output_tokens_details": (dict,),
}
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {
                "type": "string",
                "description": "The city and state, e.g. San Francisco, CA",
            }
        },
        "required": ["location"],
    },
}
WHERE = '{"location": "San Francisco, CA"}'
CALL = write_call("get_weather", WHERE)
THOUGHTS: dict[str, Json] = {
    "hidden": {},
    "shown": {"include_reasoning": True},
    "summarised": {"reasoning": {"summary": "auto"}},
}


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for tools: the tests' tokens are letters."""
    return partial(serve, max_model_len=4096)


def check_fields(value: Json, fields: dict[str, tuple[type, ...]]) -> None:
    for name, types in fields.items():
        assert name in value, name
        assert type(value[name]) in types, name


def check_response(response: Json, status: str = "completed") -> None:
    """Hold a response to the specification."""
    check_fields(response, RESPONSE)
    assert response["status"] == status
    for item in response["output"]:
        check_fields(item, ITEMS[item["type"]])
        if item["type"] == "message":
            for part in item["content"]:
                check_fields(part, TEXT)
    for tool in response["tools"]:
        check_fields(tool, TOOL)
    if response["usage"] is not None:
        check_fields(response["usage"], USAGE)
        assert type(response["usage"]["input_tokens_details"]["cached_tokens"]) is int
        assert type(response["usage"]["output_tokens_details"]["reasoning_tokens"]) is int
    if response["text"]["format"]["type"] == "json_schema":
        check_fields(response["text"]["format"], SCHEMA)


def make_message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


CONVERSATIONS: dict[str, list[Json]] = {
    "basic-response": [make_message("user", "Say hello in exactly 3 words.")],
    "system-prompt": [
        make_message("system", "You are a pirate. Always respond in pirate speak."),
        make_message("user", "Say hello."),
    ],
    "multi-turn": [
        make_message("user", "My name is Alice."),
        make_message("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
        make_message("user", "What is my name?"),
    ],
    "assistant-phase": [
        make_message("user", "What is the weather?"),
        make_message("assistant", "I look it up.") | {"phase": "commentary"},
        make_message("assistant", "It rains.") | {"phase": "final_answer"},
        make_message("user", "And tomorrow?"),
    ],
}


@pytest.mark.parametrize("thought", THOUGHTS.values(), ids=THOUGHTS)
@pytest.mark.parametrize("given", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_conversation_is_answered(serve: Serve, given: list[Json], thought: Json) -> None:
    response = await respond(serve(wants("Hm.</think>Hello to you.")), input=given, **thought)
    check_response(response)
    assert response["output"]


@pytest.mark.parametrize("thought", THOUGHTS.values(), ids=THOUGHTS)
async def test_a_stream_ends_with_a_whole_response(serve: Serve, thought: Json) -> None:
    served = serve(wants("Hm.</think>1, 2, 3, 4, 5"))
    events = await get_transcript(served, input="Count from 1 to 5.", **thought)
    check_response(fold(events))
    for event in events[:2]:
        check_response(event["response"], "in_progress")


async def test_a_tool_is_called(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{CALL}"))
    question = make_message("user", "What's the weather like in San Francisco?")
    response = await respond(served, input=[question], tools=[WEATHER])
    check_response(response)
    (call,) = get_items(response, "function_call")
    assert call["arguments"] == WHERE
    events = await get_transcript(served, input=[question], tools=[WEATHER])
    check_response(fold(events))
    items = [event for event in events if event.get("item", {}).get("type") == "function_call"]
    assert [event["type"] for event in items] == [
        "response.output_item.added",
        "response.output_item.done",
    ]
    kinds = [event["type"] for event in events]
    assert "response.function_call_arguments.delta" in kinds
    assert "response.function_call_arguments.done" in kinds


async def test_a_call_and_its_output_make_a_round_trip(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{WHERE}"))
    first = await respond(
        served,
        input="Use the weather tool to get the temperature in San Francisco.",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        include_reasoning=True,
        max_output_tokens=400,
    )
    check_response(first)
    (call,) = get_items(first, "function_call")
    output = {
        "type": "function_call_output",
        "call_id": call["call_id"],
        "output": "64 degrees and clear",
    }
    second = await respond(served, previous_response_id=first["id"], input=[output])
    check_response(second)


async def test_a_response_goes_on_from_the_one_before_it(serve: Serve) -> None:
    served = serve(wants("Hm.</think>OK"))
    first = await respond(served, input="Remember this code word: papaya. Reply with only OK.")
    second = await respond(
        served, previous_response_id=first["id"], input="What code word did I ask you to remember?"
    )
    check_response(second)
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"truncation": "auto"},
        {"service_tier": "flex"},
        {"service_tier": "priority"},
        {"text": {"verbosity": "low"}},
        {"text": {"format": {"type": "text"}, "verbosity": "high"}},
        {"stream_options": {"include_obfuscation": True}},
        {"top_logprobs": 2},
        {"top_logprobs": 0},
        {"stream_options": {}},
        {"stream_options": None},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"},
        {"client_metadata": {"session_id": "s"}},
        {"max_tool_calls": 3, "parallel_tool_calls": False, "metadata": {"a": "b"}},
        {"presence_penalty": 0.5, "frequency_penalty": -0.5},
        {"context_management": [{"type": "compaction", "compact_threshold": 10_000}]},
        {"include": ["reasoning.encrypted_content", "web_search_call.results"]},
        {"include": ["of.next.year"]},
        {"tools": [], "tool_choice": "auto"},
        {"instructions": None, "previous_response_id": None, "tools": None},
    ],
    ids=str,
)
async def test_a_valid_field_is_accepted(serve: Serve, fields: Json) -> None:
    served = serve(wants("Hm.</think>4"))
    response = await respond(served, **fields)
    check_response(response)
    for name in ("presence_penalty", "frequency_penalty"):
        assert response[name] == fields.get(name, 0)
    assert response["service_tier"] == "default"
    check_response(fold(await get_transcript(served, **fields)))


async def test_a_prompt_that_does_not_fit_is_an_error_whatever_the_truncation(
    serve: Serve,
) -> None:
    error = await get_refusal(serve(wants("4")), input="a b " * 4000, truncation="auto")
    assert error["code"] == "context_length_exceeded"


async def test_a_schema_is_echoed_with_all_that_is_required(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    text_format = {"type": "json_schema", "name": "n", "schema": schema}
    response = await respond(serve(wants("Hm.</think>{}")), text={"format": text_format})
    check_response(response)
    assert response["text"]["format"] == text_format | {"description": None, "strict": False}


async def test_a_shown_thought_has_the_events_of_its_part(serve: Serve) -> None:
    served = serve(wants("Hm.</think>4"))
    events = await get_transcript(served, include_reasoning=True)
    of_thought = [event for event in events if event.get("output_index") == 0]
    kinds = [event["type"].removeprefix("response.") for event in of_thought]
    assert kinds[:2] == ["output_item.added", "content_part.added"]
    assert set(kinds[2:-3]) == {"reasoning_text.delta"}
    assert kinds[-3:] == ["reasoning_text.done", "content_part.done", "output_item.done"]
    assert of_thought[1]["part"] == {"type": "reasoning_text", "text": ""}
    assert of_thought[-2]["part"] == {"type": "reasoning_text", "text": "Hm."}
