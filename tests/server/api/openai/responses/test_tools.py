"""Functions of the client in ``/v1/responses``, with the real parsers."""

import json
from functools import partial
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from server.api.openai.tools import MAX_TOOLS
from tests.server.api.openai.responses.conftest import (
    get_answer,
    get_items,
    get_refusal,
    get_transcript,
    respond,
)
from tests.server.api.openai.responses.folding import fold, without_ids
from tests.server.conftest import MODEL, Serve, wants
from tests.server.tools.conftest import write_call

ARGUMENTS = '{"a": 1, "b": 22}'
CALL = write_call("add", ARGUMENTS)
SECOND = write_call("look-up", "{}")
ADD: dict[str, Any] = {
    "type": "function",
    "name": "add",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    },
}
LOOK_UP: dict[str, Any] = {"type": "function", "name": "look-up"}


class Add(BaseModel):
    a: int
    b: int


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for tools: the tests' tokens are letters."""
    return partial(serve, max_model_len=4096)


def without_call_ids(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    items = without_ids(output)
    return [{key: value for key, value in item.items() if key != "call_id"} for item in items]


async def test_calls_follow_the_message_each_as_an_item(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>I add.{CALL}\n{SECOND}"))
    response = await respond(served, tools=[ADD, LOOK_UP])
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    assert get_answer(response) == "I add."
    calls = get_items(response, "function_call")
    assert [(call["name"], call["arguments"]) for call in calls] == [
        ("add", ARGUMENTS),
        ("look-up", "{}"),
    ]
    assert calls[0]["call_id"] != calls[1]["call_id"]
    assert response["status"] == "completed"
    Response.model_validate(response, strict=True)
    streamed = fold(await get_transcript(served, tools=[ADD, LOOK_UP]))
    assert without_call_ids(streamed["output"]) == without_call_ids(response["output"])


async def test_a_call_alone_has_no_message(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{CALL}"))
    response = await respond(served, tools=[ADD])
    assert [item["type"] for item in response["output"]] == ["reasoning", "function_call"]


async def test_a_call_that_is_cut_makes_the_response_incomplete(serve: Serve) -> None:
    served = serve(wants(CALL))
    fields: dict[str, Any] = {"max_thinking_tokens": 0, "max_output_tokens": len(CALL) - 24}
    response = fold(await get_transcript(served, tools=[ADD], **fields))
    assert response["status"] == "incomplete"
    (call,) = get_items(response, "function_call")
    assert call["status"] == "incomplete"
    assert ARGUMENTS.startswith(call["arguments"])


async def test_a_call_and_its_result_go_on_from_the_store_as_from_the_client(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{CALL}"))
    first = await respond(served, tools=[ADD])
    (call,) = get_items(first, "function_call")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "23"}
    stored = await respond(served, tools=[ADD], input=[result], previous_response_id=first["id"])
    sent = await respond(
        served, tools=[ADD], input=[{"role": "user", "content": "How many?"}, call, result]
    )
    assert stored["usage"]["input_tokens"] == sent["usage"]["input_tokens"]
    other = result | {"call_id": "call_of_nobody"}
    error = await get_refusal(served, input=[other], previous_response_id=first["id"])
    assert error["param"] == "input[0].call_id"


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "add"},
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "add"}],
        },
    ],
)
async def test_a_choice_of_tools_is_echoed_and_followed(serve: Serve, choice: Any) -> None:
    served = serve(wants(f"Hm.</think>{ARGUMENTS}"))
    response = await respond(
        served, tools=[ADD, LOOK_UP], tool_choice=choice, max_output_tokens=200
    )
    assert response["tool_choice"] == choice
    assert [tool["name"] for tool in response["tools"]] == ["add", "look-up"]
    Response.model_validate(response, strict=True)
    assert {call["name"] for call in get_items(response, "function_call")} <= {"add"}


async def test_the_clients_helper_opens_the_arguments(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{CALL}"))
    tool: Any = openai.pydantic_function_tool(Add, name="add")
    async with served.openai.responses.stream(
        model=MODEL,
        input="How many?",
        temperature=0,
        tools=[tool],
    ) as stream:
        written = ""
        async for event in stream:
            if event.type == "response.function_call_arguments.delta":
                written += event.delta
                assert event.snapshot == written
        final = await stream.get_final_response()
    call = final.output[-1]
    assert call.type == "function_call"
    assert json.loads(written) == json.loads(call.arguments) == {"a": 1, "b": 22}
    assert call.parsed_arguments == Add(a=1, b=22)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one of two names": ({"tools": [ADD, ADD]}, "tools"),
    "a name": ({"tools": [ADD | {"name": "a b"}]}, "tools[0].name"),
    "no name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "a schema": ({"tools": [ADD | {"parameters": {"type": "array"}}]}, "tools[0].parameters"),
    "too many": (
        {"tools": [ADD | {"name": f"f{number}"} for number in range(MAX_TOOLS + 1)]},
        "tools",
    ),
    "a choice": ({"tools": [ADD], "tool_choice": "always"}, "tool_choice"),
    "a choice of OpenAI's": ({"tools": [ADD], "tool_choice": {"type": "mcp"}}, "tool_choice"),
}


@pytest.mark.parametrize(("fields", "param"), BAD.values(), ids=BAD)
async def test_wrong_tools_are_refused_by_name(
    serve: Serve, fields: dict[str, Any], param: str
) -> None:
    assert (await get_refusal(serve(wants("4")), **fields))["param"] == param


async def test_a_choice_of_an_unknown_function_is_refused(serve: Serve) -> None:
    choice = {"type": "function", "name": "sub"}
    error = await get_refusal(serve(wants("4")), tools=[ADD], tool_choice=choice)
    assert "tool_choice" in error["message"]
