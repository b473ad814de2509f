"""Tools in Anthropic's form: calls are blocks, and their results are sent back."""

import json
from typing import Any

import pytest

from tests.server.api.anthropic.conftest import (
    PATH,
    THOUGHT,
    Connect,
    create_message,
    get_events,
    make_arguments,
    make_body,
    make_thinking,
)
from tests.server.conftest import Serve, ids, wants

ADD: Any = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a"],
    },
}
LOOK_UP: Any = {"name": "look_up", "input_schema": {"type": "object"}}
INPUT = {"a": 1, "b": 22}


def write_call(name: str, arguments: Any) -> str:
    """Return a call as Hermes writes it."""
    call = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"


CALL = write_call("add", INPUT)
BOTH_CALLS = f"{CALL}\n{write_call('look_up', {})}"


async def test_calls_are_blocks_after_the_thought_streamed_or_not(
    serve: Serve, connect: Connect
) -> None:
    served = serve(wants(f"{THOUGHT}</think>I add.{BOTH_CALLS}"), max_model_len=4096)
    client = connect(served)
    asked = make_arguments(thinking=make_thinking(), tools=[ADD, LOOK_UP], max_tokens=300)
    whole = await client.messages.create(**asked)
    assert [block.type for block in whole.content] == [
        "thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    calls = [block for block in whole.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("add", INPUT), ("look_up", {})]
    assert all(call.id.startswith("toolu_") for call in calls)
    assert len({call.id for call in calls}) == 2
    assert whole.stop_reason == "tool_use"
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    assert streamed.stop_reason == "tool_use"
    assert [block.to_dict() | {"id": "", "signature": ""} for block in streamed.content] == [
        block.to_dict() | {"id": "", "signature": ""} for block in whole.content
    ]


async def test_at_most_one_call_where_parallel_ones_are_disabled(serve: Serve) -> None:
    served = serve(wants(f"</think>{BOTH_CALLS}"), max_model_len=4096)
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    reply = await create_message(served, tools=[ADD, LOOK_UP], tool_choice=choice, max_tokens=300)
    assert [block["name"] for block in reply["content"]] == ["add"]
    assert reply["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "tool", "name": "add"}, json.dumps(INPUT)),
        ({"type": "any"}, json.dumps([{"name": "add", "parameters": INPUT}])),
    ],
)
async def test_a_demanded_call_is_held_to_json(
    serve: Serve, choice: dict[str, Any], wanted: str
) -> None:
    served = serve(wants(f"hm</think>{wanted}"), max_model_len=4096)
    reply = await create_message(served, tools=[ADD, LOOK_UP], tool_choice=choice, max_tokens=300)
    (block,) = reply["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "add", INPUT)
    assert reply["stop_reason"] == "tool_use"
    assert served.engine.constraints


async def test_with_none_a_call_is_text(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}"), max_model_len=4096)
    reply = await create_message(served, tools=[ADD], tool_choice={"type": "none"}, max_tokens=300)
    assert reply["content"] == [{"type": "text", "text": CALL}]
    assert reply["stop_reason"] == "end_turn"


async def test_a_call_cut_by_length_says_max_tokens(serve: Serve) -> None:
    served = serve(wants(CALL), max_model_len=4096)
    room = len(ids(CALL[: CALL.index("22")]))
    fields = {"tools": [ADD], "max_tokens": room, "thinking": {"type": "disabled"}}
    reply = await create_message(served, **fields)
    assert reply["stop_reason"] == "max_tokens"
    assert reply["content"][-1]["input"] == {"a": 1}
    assert (await get_events(served, **fields))[-2]["delta"]["stop_reason"] == "max_tokens"


async def test_calls_and_results_go_round_and_are_counted(serve: Serve, connect: Connect) -> None:
    served = serve(wants(f"</think>{CALL}"), max_model_len=4096)
    client = connect(served)
    asked = make_arguments(thinking=make_thinking(), tools=[ADD], max_tokens=300)
    first = await client.messages.create(**asked)
    call = first.content[-1]
    assert call.type == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "23"}
    asked["messages"] += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    second = await client.messages.create(**asked)
    counted = await client.messages.count_tokens(
        **{key: asked[key] for key in ("model", "messages", "tools", "thinking")}
    )
    assert counted.input_tokens == second.usage.input_tokens > first.usage.input_tokens
    assert served.engine.last_request is not None
    prompt = served.engine.tokenizer.decode(served.engine.last_request.prompt_token_ids)
    assert CALL in prompt
    assert "23" in prompt


FORMAT: Any = {
    "format": {
        "type": "json_schema",
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    }
}


@pytest.mark.parametrize(
    ("choice", "wanted", "kind"),
    [
        ({"type": "auto"}, CALL, "tool_use"),
        ({"type": "auto"}, '{"n": 4}', "text"),
        ({"type": "any"}, json.dumps([{"name": "add", "parameters": INPUT}]), "tool_use"),
        ({"type": "none"}, '{"n": 4}', "text"),
    ],
)
async def test_with_tools_and_a_format_the_answer_is_a_call_or_has_the_format(
    serve: Serve, connect: Connect, choice: dict[str, Any], wanted: str, kind: str
) -> None:
    served = serve(wants(f"hm</think>{wanted}"), max_model_len=4096)
    asked = make_arguments(tools=[ADD], tool_choice=choice, output_config=FORMAT, max_tokens=300)
    message = await connect(served).messages.create(**asked)
    assert [block.type for block in message.content] == [kind]
    assert message.stop_reason == ("tool_use" if kind == "tool_use" else "end_turn")
    async with connect(served).messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    assert [block.type for block in streamed.content] == [kind]
    assert served.engine.constraints


async def test_tools_are_described_in_the_prompt(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    counts = []
    for fields in ({}, {"tools": [LOOK_UP]}, {"tools": [LOOK_UP, ADD]}):
        asked = {key: make_body(**fields)[key] for key in ("model", "messages", *fields)}
        response = await served.http.post(f"{PATH}/count_tokens", json=asked)
        counts.append(response.json()["input_tokens"])
    assert counts == sorted(set(counts))


async def test_calls_before_a_stop_sequence_must_be_answered(serve: Serve) -> None:
    served = serve(wants(f"</think>{CALL}END"), max_model_len=4096)
    reply = await create_message(served, tools=[ADD], stop_sequences=["END"], max_tokens=300)
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("tool_use", None)
