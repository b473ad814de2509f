"""Earlier replies are accepted as clients send them back, ours and those of other servers."""

from typing import Any

import pytest
from pydantic import BaseModel

from server.api.openai.messages import Message
from tests.server.conftest import Serve, wants

USER = {"role": "user", "content": "hi"}
FUNCTION = {"name": "add", "arguments": '{"a": 1}'}
CALL = {"id": "c1", "type": "function", "function": FUNCTION}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "2"}


def make_reply(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "ho", **fields}


def to_prompt(message: dict[str, Any]) -> dict[str, Any]:
    return Message.model_validate(message).to_prompt()


LITELLM = {
    "content": "ho",
    "role": "assistant",
    "tool_calls": None,
    "function_call": None,
    "reasoning_content": "hm",
    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "x"}],
    "provider_specific_fields": {"refusal": None, "reasoning_content": "hm"},
    "annotations": [],
    "images": [],
    "audio": None,
}
PARSED = {
    "content": None,
    "refusal": None,
    "role": "assistant",
    "annotations": None,
    "audio": None,
    "function_call": None,
    "tool_calls": [
        {
            "id": "c1",
            "type": "function",
            "index": 0,
            "function": FUNCTION | {"parsed_arguments": {"a": 1}},
            "extra_content": {"google": {"thought_signature": "x"}},
            "provider_specific_fields": None,
        }
    ],
    "parsed": None,
}
OPENROUTER = make_reply(
    reasoning="hm",
    reasoning_details=[{"type": "reasoning.text", "text": "hm", "index": 0, "format": None}],
    refusal=None,
)
LANGCHAIN = make_reply(
    content=[
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "id": "rs_1"},
        {"type": "text", "text": "ho", "annotations": [], "id": "msg_1", "index": 1},
    ],
    name=None,
)
MISTRAL = make_reply(
    content=[
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
        {"type": "text", "text": "ho"},
    ]
)


@pytest.mark.parametrize("reply", [LITELLM, OPENROUTER, LANGCHAIN, MISTRAL])
async def test_a_reply_with_a_thought_is_accepted(serve: Serve, reply: dict[str, Any]) -> None:
    response = await serve(max_model_len=2048).chat(messages=[USER, reply, USER], max_tokens=9)
    assert response.status_code == 200, response.text


async def test_a_call_is_accepted_with_what_clients_add(serve: Serve) -> None:
    messages = [USER, PARSED, RESULT]
    response = await serve(max_model_len=2048).chat(messages=messages, max_tokens=9)
    assert response.status_code == 200, response.text
    assert to_prompt(PARSED) == {"role": "assistant", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": "hm"},
        {"reasoning_content": "hm"},
        {"reasoning": "other", "reasoning_content": "hm"},
        {"reasoning": "hm", "reasoning_content": None},
        {"thinking": "hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "h"}, {"thinking": "m"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}, {"text": "hm"}]},
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ho"}]},
        {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "ho"}]},
    ],
)
def test_a_thought_is_read_under_every_name(fields: dict[str, Any]) -> None:
    prompt = to_prompt(make_reply(**fields))
    assert prompt.pop("reasoning_content") == "hm"
    assert prompt["content"] in ("ho", [{"type": "text", "text": "ho"}])
    assert set(prompt) == {"role", "content"}


@pytest.mark.parametrize(
    ("fields", "unused"),
    [
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, "details[0]"),
        ({"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}, "blocks[0]"),
        ({"content": [{"type": "redacted_thinking", "data": "x"}]}, "content[0]"),
        ({"content": [{"type": "thinking", "thinking": "", "signature": "x"}]}, "content[0]"),
        ({"content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]}, "content[0]"),
        ({"audio": {"id": "audio_1"}}, "audio"),
        ({"reasoning": {"encrypted": "x"}}, "reasoning"),
    ],
)
async def test_what_cannot_be_read_is_left_out_and_named(
    serve: Serve, fields: dict[str, Any], unused: str
) -> None:
    messages = [USER, make_reply(**fields), USER]
    response = await serve().chat(messages=messages, max_tokens=9)
    assert response.status_code == 200, response.text
    assert response.headers["x-ignored-fields"].startswith("messages[1].")
    assert response.headers["x-ignored-fields"].endswith(unused)
    assert "reasoning_content" not in to_prompt(messages[1])


@pytest.mark.parametrize(
    "messages",
    [
        [USER, RESULT],  # the call was trimmed away
        [USER, RESULT, make_reply(content=None, tool_calls=[CALL])],
        [USER, make_reply(tool_calls=[CALL]), {**RESULT, "content": None}],
        [USER, make_reply(tool_calls=[CALL]), {**RESULT, "content": []}],
        [USER, make_reply(tool_calls=[{"function": FUNCTION}]), RESULT],
        [USER, make_reply(tool_calls=[{**CALL, "function": {"name": "f", "arguments": {}}}])],
        [USER, make_reply(tool_calls=[{**CALL, "function": {"name": "f", "arguments": ""}}])],
        [USER, make_reply(tool_calls=[{**CALL, "function": {"name": "f"}}]), RESULT],
        [USER, make_reply(tool_calls=[]), USER],
        [
            USER,
            make_reply(function_call=FUNCTION),
            {"role": "function", "name": "add"} | {"content": "2"},
        ],
    ],
)
async def test_calls_and_results_are_accepted_as_clients_keep_them(
    serve: Serve, messages: list[dict[str, Any]]
) -> None:
    response = await serve(max_model_len=2048).chat(messages=messages, max_tokens=9)
    assert response.status_code == 200, response.text


def test_calls_of_all_forms_reach_the_template_in_one() -> None:
    custom = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}
    arguments: Any = {"a": 1}
    for reply, expected in (
        (make_reply(function_call=FUNCTION), [{**CALL, "id": "add"}]),
        (make_reply(tool_calls=[{"function": FUNCTION}]), [{**CALL, "id": "call_0"}]),
        (
            make_reply(tool_calls=[{**CALL, "function": FUNCTION | {"arguments": arguments}}]),
            [CALL],
        ),
        (
            make_reply(tool_calls=[custom]),
            [
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "patch", "arguments": '{"input": "*** x"}'},
                }
            ],
        ),
    ):
        assert to_prompt(reply)["tool_calls"] == expected
    older = {"role": "function", "name": "add", "content": "2"}
    assert to_prompt(older) == {"role": "tool", "content": "2", "tool_call_id": "add"}


def test_a_refusal_is_the_content_of_a_reply_without_one() -> None:
    assert to_prompt(make_reply(content=None, refusal="No."))["content"] == "No."
    assert to_prompt(make_reply(content="Yes.", refusal=None))["content"] == "Yes."


class Answer(BaseModel):
    """An answer as OpenAI's client parses it."""

    number: int


async def test_openais_client_may_send_back_what_it_parsed(serve: Serve) -> None:
    served = serve(wants('hm</think>{"number": 3}'), max_model_len=2048)
    ask: Any = USER
    extra = {"max_thinking_tokens": 30, "include_reasoning": True}
    completion = await served.openai.chat.completions.parse(
        model="scripted", messages=[ask], response_format=Answer, extra_body=extra
    )
    message = completion.choices[0].message
    assert message.parsed == Answer(number=3)
    for back in (message, message.model_dump()):
        turns: Any = [ask, back, ask]
        await served.openai.chat.completions.create(model="scripted", messages=turns)


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "flex"},
        {"verbosity": "low"},
        {"prediction": {"type": "content", "content": "x"}},
        {"web_search_options": {}},
        {"stream": True, "stream_options": {"include_obfuscation": True}},
    ],
)
async def test_what_this_server_does_not_do_is_named(serve: Serve, fields: dict[str, Any]) -> None:
    response = await serve().chat(max_tokens=9, **fields)
    assert response.status_code == 200, response.text
    (name,) = fields.keys() - {"stream"}
    assert response.headers["x-ignored-fields"].startswith(name)


@pytest.mark.parametrize("fields", [{"model": None}, {}])
async def test_a_request_without_a_model_is_for_the_served_one(
    serve: Serve, fields: dict[str, Any]
) -> None:
    http = serve().http
    for path, body in (
        ("/v1/chat/completions", {"messages": [USER], "max_tokens": 9}),
        ("/v1/completions", {"prompt": "hi", "max_tokens": 9}),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 30}),
    ):
        response = await http.post(path, json=body | fields)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == "scripted"


@pytest.mark.parametrize("name", ["x" * 128, "calendar.list", "mcp__a/b", "a:b"])
async def test_tools_have_long_names_with_dots_and_slashes(serve: Serve, name: str) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {}}}
    tools = [{"type": "function", "function": {"name": name, "parameters": schema}}]
    served = serve(max_model_len=4096)
    for choice in ("auto", "required"):
        response = await served.chat(tools=tools, tool_choice=choice, max_tokens=9)
        assert response.status_code == 200, response.text


async def test_150_tools_are_accepted(serve: Serve) -> None:
    tools = [{"type": "function", "function": {"name": f"t{i}"}} for i in range(150)]
    response = await serve(max_model_len=100_000).chat(tools=tools, max_tokens=9)
    assert response.status_code == 200, response.text
