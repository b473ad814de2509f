"""Tool calls on the real engine: demanded ones keep their schema, free ones are read."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from openai import AsyncOpenAI

from server.reply.tool_constraint import MAX_CALLS
from tests.e2e.batch import Replies
from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

NUMBER = {"type": "integer", "minimum": 0, "maximum": 999}
ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": NUMBER, "b": NUMBER},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
GO: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "go",
        "parameters": {
            "type": "object",
            "properties": {"to": {"$ref": "#/$defs/place"}},
            "required": ["to"],
            "additionalProperties": False,
            "$defs": {"place": {"enum": ["shop", "home"]}},
        },
    },
}
NAMED_GO: dict[str, Any] = {"type": "function", "function": {"name": "go"}}
# An answer that is no call: few words, since a small model fills what it may.
SAID = {
    "type": "object",
    "properties": {"said": {"enum": ["yes", "no"]}},
    "required": ["said"],
    "additionalProperties": False,
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "said", "strict": True, "schema": SAID},
}
# With it the small model writes a call as its prompt asks; the parser reads it like any other.
WRITTEN = r'<tool_call>\n\{"name": "add", "arguments": \{"a": [0-9]{1,3}\}\}\n</tool_call>'
# The tokens of SmolLM2 that an object may begin with.
NO_OBJECT = dict.fromkeys(
    ("107", "6150", "26754", "34026", "38894", "39428", "39876", "40343"), -100
)
OPTIONS: dict[str, dict[str, Any]] = {
    "no thought": {"max_thinking_tokens": 0},
    "a thought": {"max_thinking_tokens": 60},
}


@dataclass(frozen=True)
class Turn:
    """One choice: its content, its calls as (name, arguments), how it ended and what it cost."""

    content: str | None
    calls: list[tuple[str, str]]
    finish_reason: str
    receipt: dict[str, Any]


def client_of(server: Server) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as opened:
        yield opened


async def ask(client: AsyncOpenAI, *, stream: bool, **fields: Any) -> Turn:
    """One reply; a streamed one is put together by the client's own reader."""
    thinking = {key: fields.pop(key) for key in list(fields) if key in EXTRA}
    arguments: dict[str, Any] = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Add 3 and 4, then go home."}],
        "max_completion_tokens": 300,
        "seed": 5,
        "extra_body": thinking,
    }
    receipt: dict[str, Any] = {}
    if stream:
        async with client.chat.completions.stream(**(arguments | fields)) as events:
            async for event in events:
                if event.type == "chunk":  # the helper's own completion drops the receipt
                    for chunk in event.chunk.choices:
                        receipt = (chunk.model_extra or {}).get("thinking", receipt)
            completion = await events.get_final_completion()
            choice = completion.choices[0].model_dump()
    else:
        reply = await client.chat.completions.create(**(arguments | fields))
        choice = reply.choices[0].model_dump()
    calls = choice["message"]["tool_calls"] or []
    assert all(call["id"] for call in calls)
    pairs = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    receipt = choice.get("thinking") or receipt
    return Turn(choice["message"]["content"], pairs, choice["finish_reason"], receipt)


EXTRA = ("max_thinking_tokens", "structured_outputs", "include_reasoning")


def keeps_schema(name: str, arguments: str) -> bool:
    given = json.loads(arguments)
    if name == "go":
        return set(given) == {"to"} and given["to"] in ("shop", "home")
    return set(given) == {"a", "b"} and all(0 <= value <= 999 for value in given.values())


REQUESTS: dict[str, dict[str, Any]] = {
    # Room for as many calls as there may be: a small model makes them all.
    "required": {"tools": [ADD, GO], "tool_choice": "required", "max_completion_tokens": 800},
    "one": {"tools": [ADD, GO], "tool_choice": "required", "parallel_tool_calls": False},
    "named": {"tools": [ADD, GO], "tool_choice": NAMED_GO},
    "either": {"tools": [ADD, GO], "response_format": FORMAT, "parallel_tool_calls": False},
    "called": {
        "tools": [ADD, GO],
        "response_format": FORMAT,
        "parallel_tool_calls": False,
        "logit_bias": NO_OBJECT,
    },
    "written": {"tools": [ADD], "structured_outputs": {"regex": WRITTEN}},
}
STREAMS = [False, True]
Turns = Replies[tuple[str, str, bool], Turn]


@pytest.fixture(scope="module")
def turns(server: Server) -> Turns:
    """The replies to all requests, with each of the options, whole and streamed; asked at once."""

    async def request(name: str, options: str, stream: bool) -> Turn:
        async with client_of(server) as client:
            return await ask(client, stream=stream, **REQUESTS[name], **OPTIONS[options])

    return Replies(
        {
            (name, options, stream): partial(request, name, options, stream)
            for name in REQUESTS
            for options in OPTIONS
            for stream in STREAMS
        }
    )


each_way = pytest.mark.parametrize("stream", STREAMS, ids=["whole", "streamed"])
each_budget = pytest.mark.parametrize("options", OPTIONS)


@each_way
@each_budget
def test_a_required_call_keeps_its_schema(turns: Turns, options: str, stream: bool) -> None:
    turn = turns["required", options, stream]
    assert 1 <= len(turn.calls) <= MAX_CALLS
    assert all(keeps_schema(*call) for call in turn.calls)
    assert not turn.content
    assert turn.finish_reason == "tool_calls"


@each_way
@each_budget
def test_one_required_call_is_one(turns: Turns, options: str, stream: bool) -> None:
    turn = turns["one", options, stream]
    ((name, arguments),) = turn.calls
    assert keeps_schema(name, arguments)
    assert turn.finish_reason == "tool_calls"


@each_way
@each_budget
def test_a_named_call_is_of_that_tool(turns: Turns, options: str, stream: bool) -> None:
    turn = turns["named", options, stream]
    ((name, arguments),) = turn.calls
    assert name == "go"
    assert keeps_schema(name, arguments)
    assert turn.finish_reason == "stop"


@each_way
@each_budget
def test_a_call_in_the_models_own_form_is_read(turns: Turns, options: str, stream: bool) -> None:
    turn = turns["written", options, stream]
    ((name, arguments),) = turn.calls
    assert name == "add"
    assert set(json.loads(arguments)) == {"a"}
    assert turn.finish_reason == "tool_calls"
    assert not turn.content


@each_way
@each_budget
def test_with_a_schema_an_answer_is_a_call_or_conforms(
    turns: Turns, options: str, stream: bool
) -> None:
    turn = turns["either", options, stream]
    if turn.calls:
        assert all(keeps_schema(*call) for call in turn.calls)
        assert not turn.content
    else:
        assert turn.content
        assert json.loads(turn.content)["said"] in ("yes", "no")
    assert turn.finish_reason == ("tool_calls" if turn.calls else "stop")
    assert turn.receipt["used"] <= OPTIONS[options]["max_thinking_tokens"]


@each_way
@each_budget
def test_with_a_schema_a_call_is_held_to_its_own(turns: Turns, options: str, stream: bool) -> None:
    turn = turns["called", options, stream]
    ((name, arguments),) = turn.calls
    assert keeps_schema(name, arguments)
    assert turn.finish_reason == "tool_calls"
    assert not turn.content


@each_way
async def test_a_result_is_answered(client: AsyncOpenAI, stream: bool) -> None:
    call = {"id": "c1", "type": "function"}
    call["function"] = {"name": "add", "arguments": '{"a": 3, "b": 4}'}  # type: ignore[assignment]
    messages = [
        {"role": "user", "content": "What is 3 + 4? Use the tool."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "The sum is 7."},
    ]
    fields: dict[str, Any] = {"messages": messages, "tools": [ADD], "temperature": 0}
    turn = await ask(client, stream=stream, max_thinking_tokens=0, **fields)
    assert turn.content
    assert "7" in turn.content
    assert not turn.calls
    assert turn.finish_reason in ("stop", "length")


async def test_a_schema_that_cannot_be_enforced_is_refused(client: AsyncOpenAI) -> None:
    broken = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "no"}}}}
    response = await client._client.post(
        f"{client.base_url}chat/completions",
        json={
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": broken}],
            "tool_choice": "required",
        },
        timeout=60,
    )
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "tools"
