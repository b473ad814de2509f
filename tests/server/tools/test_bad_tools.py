"""Tools that are wrong are a 400 that names the field."""

from typing import Any

import pytest

from tests.server.conftest import Serve, wants
from tests.server.tools.conftest import ADD, LOOK_UP, NAMED_ADD

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "2"}


def make_function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def make_nested_schema(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


BAD: list[tuple[dict[str, Any], str | None, str]] = [
    ({"tools": "add"}, "tools", "array"),
    ({"tools": [{"type": "functions"}]}, "tools[0]", "'function'"),
    ({"tools": ["add"]}, "tools[0]", "object"),
    ({"tools": [{}]}, "tools[0]", "'type'"),
    (
        {"tools": [{"type": "function", "name": "f", "parameter": {}}]},
        "tools[0].parameter",
        "parameters",
    ),
    ({"tools": [make_function(name="a b")]}, "tools[0].function.name", "pattern"),
    ({"tools": [make_function(name="x" * 129)]}, "tools[0].function.name", "pattern"),
    ({"tools": [make_function(parameters="{}")]}, "tools[0].function.parameters", "object"),
    (
        {"tools": [make_function(parameters={"type": "array"})]},
        "tools[0].function.parameters",
        "object",
    ),
    (
        {"tools": [make_function(parameters=make_nested_schema(40))]},
        "tools[0].function.parameters",
        "nest",
    ),
    ({"tools": [make_function(parameter={})]}, "tools[0].function.parameter", "parameters"),
    ({"tools": [ADD, ADD]}, "tools", "different name"),
    ({"tools": [make_function(name=f"f{i}") for i in range(1025)]}, "tools", "1024"),
    ({"tool_choice": "required"}, "tool_choice", "needs tools"),
    ({"tool_choice": NAMED_ADD}, "tool_choice", "needs tools"),
    ({"tools": [LOOK_UP], "tool_choice": NAMED_ADD}, "tool_choice", "among tools"),
    ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice", "needs tools"),
    ({"tools": [ADD], "tool_choice": "all"}, "tool_choice", '"required"'),
    ({"tools": [ADD], "tool_choice": {"type": "custom"}}, "tool_choice", "allowed_tools"),
    ({"tools": [ADD], "tool_choice": {"name": "add"}}, "tool_choice", "allowed_tools"),
    ({"messages": [{**USER, "tool_call_id": "c1"}]}, "messages[0]", "tool_call_id"),
    ({"messages": [{**USER, "tool_calls": [CALL]}]}, "messages[0]", "assistant"),
    (
        {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "x"}]}]},
        "messages[1].tool_calls[0]",
        "function is required",
    ),
    (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {**CALL, "function": {"name": "f", "arguments": "[" * 70 + "]" * 70}}
                    ],
                },
            ]
        },
        "messages[1].tool_calls[0].function.arguments",
        "nest",
    ),
    ({"messages": [USER, {"role": "assistant", "function_call": {}}]}, None, "name is required"),
]


@pytest.mark.parametrize(("fields", "param", "word"), BAD)
async def test_it_is_named(
    serve: Serve, fields: dict[str, Any], param: str | None, word: str
) -> None:
    response = await serve().chat(**fields)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert word in error["message"]
    if param is not None:
        assert error["param"] == param


async def test_what_is_not_enforced_is_refused_where_it_would_have_to_be(serve: Serve) -> None:
    tool = make_function(parameters={"type": "object", "properties": {"x": {"multipleOf": 3}}})
    served = serve(wants("</think>ok"))
    assert (await served.chat(tools=[tool])).status_code == 200
    response = await served.chat(tools=[tool], tool_choice="required")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "tools"
    assert "multipleOf" in error["message"]


async def test_calls_and_results_are_taken(serve: Serve) -> None:
    served = serve(wants("</think>ok"))
    second = {**CALL, "id": "c2", "function": {"name": "add", "arguments": "not JSON"}}
    calling = {**CALLING, "reasoning_content": "hm", "tool_calls": [CALL, second]}
    parts = [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}]
    results = [RESULT, {"role": "tool", "tool_call_id": "c2", "content": parts}]
    response = await served.chat(messages=[USER, calling, *results], tools=[])
    assert response.status_code == 200, response.text


async def test_a_model_whose_own_form_cannot_be_read_says_so(serve: Serve) -> None:
    served = serve(wants('</think>{"a": 1}'))
    served.engine.reads_tool_calls = False
    refused = await served.chat(tools=[ADD])
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "tool_choice"
    assert (await served.chat(tools=[ADD], tool_choice=NAMED_ADD)).status_code == 200
