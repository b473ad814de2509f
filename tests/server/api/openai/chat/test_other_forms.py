"""Tools, choices, results and formats in the words of other APIs mean what they mean there."""

from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from server.api.ignored import HEADER
from server.api.openai.chat.protocol import ChatCompletionRequest
from server.api.openai.messages import Message
from server.tools.tool import ToolMode, ToolUse
from tests.server.conftest import Serve, wants
from tests.server.tools.conftest import ADD

Json = dict[str, Any]
USER: Json = {"role": "user", "content": "hi"}
FUNCTION: Json = ADD["function"]
CALL: Json = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CALLING: Json = {"role": "assistant", "content": None, "tool_calls": [CALL]}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}


def parse(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"messages": [USER], **fields})


def get_use(**fields: Any) -> ToolUse:
    use = parse(**fields).tool_use
    assert use is not None
    return use


@pytest.mark.parametrize(
    "tool",
    [
        {"function": FUNCTION},
        {"type": None, "function": FUNCTION},
        {"type": "function", **FUNCTION},
        {"name": FUNCTION["name"]} | {k: v for k, v in FUNCTION.items() if k != "name"},
        {
            "name": FUNCTION["name"],
            "description": FUNCTION.get("description"),
            "input_schema": FUNCTION["parameters"],
        },
    ],
)
def test_a_function_in_the_form_of_another_api_is_the_same_function(tool: Json) -> None:
    assert get_use(tools=[tool]).tools == get_use(tools=[ADD]).tools


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        ("any", ToolMode.REQUIRED),
        ({"type": "any"}, ToolMode.REQUIRED),
        ({"type": "required"}, ToolMode.REQUIRED),
        ({"type": "auto"}, ToolMode.AUTO),
        ({"type": "none"}, ToolMode.NONE),
        ({"type": "function", "name": "add"}, ToolMode.NAMED),
        ({"type": "tool", "name": "add"}, ToolMode.NAMED),
        ({"function": {"name": "add"}}, ToolMode.NAMED),
    ],
)
def test_a_choice_in_other_words_is_the_same_choice(choice: Any, mode: ToolMode) -> None:
    use = get_use(tools=[ADD], tool_choice=choice)
    assert use.mode is mode
    assert use.name == ("add" if mode is ToolMode.NAMED else None)


@pytest.mark.parametrize(
    "choice", [{"type": "auto", "disable_parallel_tool_use": True}, {"type": "web_search"}, {}]
)
def test_a_choice_that_asks_for_more_is_refused(choice: Json) -> None:
    with pytest.raises(ValidationError, match="should be"):
        parse(tools=[ADD], tool_choice=choice)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search", "web_search": {"enable": True}},
        {"type": "openrouter:web_search"},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "custom", "custom": {"name": "patch"}},
        {"googleSearch": {}},
    ],
)
async def test_a_tool_that_is_no_function_is_left_out_and_named(serve: Serve, tool: Json) -> None:
    served = serve(wants("</think>yes"), max_model_len=4096)
    for tools, named in (([ADD, tool], "tools[1]"), ([tool], "tools[0]")):
        response = await served.chat(tools=tools)
        assert response.status_code == 200, response.text
        assert response.headers[HEADER] == named
    usage = (await served.chat(tools=[ADD, tool])).json()["usage"]
    assert usage == (await served.chat(tools=[ADD])).json()["usage"]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"a": 1}, '{"a": 1}'),
        (3, "3"),
        (False, "false"),
        (["x"], [{"type": "text", "text": "x"}]),
        (
            [{"type": "json", "value": 1}],
            [{"type": "text", "text": '{"type": "json", "value": 1}'}],
        ),
        ([{"ä": 1}], [{"type": "text", "text": '{"ä": 1}'}]),
    ],
)
def test_the_result_of_a_tool_may_be_any_json(content: Any, shown: Any) -> None:
    result = Message.model_validate({"role": "tool", "tool_call_id": "c1", "content": content})
    assert result.to_prompt()["content"] == shown


@pytest.mark.parametrize("kind", ["input_audio", "file", "image"])
def test_a_file_in_a_result_is_refused(kind: str) -> None:
    with pytest.raises(ValidationError, match="no files"):
        Message.model_validate(
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": kind, "data": "x"}]}
        )


@pytest.mark.parametrize(
    "part", ["hi", {"text": "hi"}, {"type": "text", "text": "hi", "image_url": None, "zone": None}]
)
def test_a_text_part_needs_no_type_and_may_have_nulls(part: Any) -> None:
    message = Message.model_validate({"role": "user", "content": [part]})
    assert message.to_prompt()["content"] == [{"type": "text", "text": "hi"}]


@pytest.mark.parametrize(
    "messages",
    [
        [USER, CALLING, {"role": "tool", "content": "3"}],
        [USER, CALLING, {"role": "tool", "content": "3", "tool_name": "add"}],
        [USER, {"role": "assistant", "tool_calls": [CALL | {"index": "0"}]}],
        [USER | {"tool_calls": None, "function_call": None, "tool_call_id": None, "name": None}],
        [USER | {"signature": "x", "image": None}],
        [USER, {"role": "assistant", "content": "x", "is_thinking": False, "reasoning_id": "r"}],
    ],
)
async def test_history_of_other_servers_is_accepted(serve: Serve, messages: list[Json]) -> None:
    response = await serve(wants("</think>yes"), max_model_len=2048).chat(messages=messages)
    assert response.status_code == 200, response.text


async def test_a_call_that_another_server_ran_is_left_out_and_named(serve: Serve) -> None:
    call = {"id": "c", "type": "web_search", "web_search": {"q": "x"}}
    reply = {"role": "assistant", "content": "x", "tool_calls": [call]}
    response = await serve(wants("</think>yes")).chat(messages=[USER, reply, USER])
    assert response.status_code == 200, response.text
    assert "messages[1].tool_calls[0]" in response.headers[HEADER].split(", ")


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "json_object", "schema": SCHEMA},
        {"type": "json_schema", "schema": SCHEMA},
        {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
        {"type": "json_schema", "json_schema": {"name": "Response[int]", "schema": SCHEMA}},
    ],
)
def test_a_schema_is_enforced_wherever_servers_have_it(sent: Json) -> None:
    usual = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    found, expected = (parse(response_format=each).constraint for each in (sent, usual))
    assert found is not None
    assert expected is not None
    assert (found.kind, found.text) == (expected.kind, expected.text)


@pytest.mark.parametrize("more", [{}, {"stream": False}])
async def test_options_of_a_stream_are_named_where_there_is_none(serve: Serve, more: Json) -> None:
    served = serve(wants("</think>yes"))
    options = {"stream_options": {"include_usage": True}, **more}
    text = partial(served.http.post, "/v1/completions")
    for response in (
        await served.chat(**options),
        await text(json={"model": "scripted", "prompt": "a", **options}),
    ):
        assert response.status_code == 200, response.text
        assert response.headers[HEADER] == "stream_options"
