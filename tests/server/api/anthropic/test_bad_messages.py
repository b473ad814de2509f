"""Errors of the Messages API have Anthropic's form, and name the field."""

from typing import Any

import anthropic
import pytest

from server.api import openapi
from server.app import create_app
from tests.server.api.anthropic.conftest import (
    PATH,
    Connect,
    make_arguments,
    make_body,
    make_thinking,
    post,
)
from tests.server.conftest import Serve, Served, make_services

JSON = {"content-type": "application/json"}
TOOL = {"name": "add", "input_schema": {"type": "object"}}


def make_turn(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, block]}]}


def make_image_turn(**source: Any) -> dict[str, Any]:
    return make_turn({"type": "image", "source": source})


# Body fields, the beginning of the error message, and a word of it.
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"max_tokens": None}, "max_tokens", "integer"),
    ({"max_tokens": 0}, "max_tokens", "1"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role", "'assistant'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "required"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "array"),
    (make_turn({"text": "b"}), "messages[0].content[1]", "tool_use"),
    (make_turn({"type": "text"}), "messages[0].content[1].text", "required"),
    (make_turn({"type": "text", "text": 3}), "messages[0].content[1].text", "string"),
    (make_turn({"type": "text", "text": "b", "x": 1}), "unknown field", "messages[0].content[1].x"),
    (make_turn({"type": "document", "source": {}}), "messages[0].content[1]", "document blocks"),
    (make_turn({"type": "server_tool_use"}), "messages[0].content[1]", "no tools of its own"),
    (
        make_image_turn(type="url", url="http://x"),
        "messages[0].content[1].source",
        "no URLs",
    ),
    (make_image_turn(type="file", file_id="f"), "messages[0].content[1].source", "stores no files"),
    (
        make_image_turn(type="base64", media_type="a/b", data=""),
        "messages[0].content[1].source",
        "png",
    ),
    (
        make_turn({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_use"}]}),
        "messages[0].content[1].content[0]",
        "required",
    ),
    ({"system": [{"type": "image"}]}, "system[0]", "source"),
    ({"temperature": 2.5}, "temperature", "2"),
    ({"stop": ["x"]}, "unknown field 'stop'", "'stop_sequences'"),
    ({"stop_sequences": [""]}, "stop_sequences[0]", "1 char"),
    ({"max_completion_tokens": 3}, "unknown field", "'max_tokens'"),
    ({"budget_tokens": 3}, "unknown field", "'thinking'"),
    ({"thinking": {"type": "between_tools"}}, "thinking.type", "'adaptive'"),
    ({"thinking": make_thinking(-3)}, "thinking.budget_tokens", "integer"),
    ({"thinking": make_thinking(5, x=1)}, "unknown field 'thinking.x'", "'budget_tokens'"),
    (
        {"thinking": make_thinking(5), "max_thinking_tokens": 6},
        "max_thinking_tokens 6 contradicts thinking.budget_tokens 5",
        "one of them",
    ),
    ({"output_config": {"effort": "huge"}}, "output_config.effort", "'xhigh'"),
    ({"output_config": {"task_budget": 1}}, "unknown field 'output_config.task_budget'", ""),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema", ""),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]", "web_search"),
    ({"tools": [{"name": "add"}]}, "tools[0].input_schema", "required"),
    ({"tools": [TOOL | {"input_schema": {"type": "array"}}]}, "tools[0].input_schema", "object"),
    ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading", "not supported"),
    ({"tools": [TOOL | {"name": "a b"}]}, "tools[0].name", "pattern"),
    ({"tools": [TOOL, TOOL]}, "tools: each", "name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice: ", "no tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice", "'name'"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name", "tools"),
    ({"container": "c"}, "container", "not supported"),
    ({"speed": "fast"}, "speed", "standard"),
    ({"service_tier": "priority"}, "service_tier", "'auto'"),
    (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        "context_management.edits",
        "nothing is cleared",
    ),
]


@pytest.mark.parametrize(("fields", "begins", "word"), BAD_FIELDS)
async def test_a_bad_field_is_named(
    serve: Serve, fields: dict[str, Any], begins: str, word: str
) -> None:
    response = await post(serve(), **fields)
    assert response.status_code == 400
    answer = response.json()
    assert (answer["type"], answer["error"]["type"]) == ("error", "invalid_request_error")
    assert answer["request_id"] == response.headers["request-id"]
    assert answer["error"]["message"].startswith(begins)
    assert word in answer["error"]["message"]


HARMLESS: list[dict[str, Any]] = [
    {"metadata": {"user_id": "u"}, "service_tier": "auto"},
    {"cache_control": {"type": "ephemeral", "ttl": "1h"}, "speed": "standard"},
    {"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
    {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    {"thinking": {"type": "adaptive", "budget_tokens": 0}},
    {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
    {"top_k": 5, "top_p": 0.5, "mcp_servers": []},
]


@pytest.mark.parametrize("fields", HARMLESS)
async def test_what_has_no_effect_is_accepted(serve: Serve, fields: dict[str, Any]) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "anything"}
    response = await serve().http.post(
        f"{PATH}?beta=true", json=make_body(**fields), headers=headers
    )
    assert response.status_code == 200, response.text


async def request_error(served: Served, method: str, path: str, **fields: Any) -> tuple[int, str]:
    response = await served.http.request(method, path, **fields)
    answer = response.json()
    assert answer["type"] == "error"
    assert answer["request_id"] == response.headers["request-id"]
    return response.status_code, answer["error"]["type"]


async def test_errors_from_before_the_endpoint_have_the_shape_too(serve: Serve) -> None:
    served = serve(max_body_bytes=1000)
    for path in (PATH, f"{PATH}/count_tokens"):
        assert await request_error(served, "GET", path) == (405, "invalid_request_error")
        found = await request_error(served, "POST", path, content="{}")
        assert found == (415, "invalid_request_error")
        found = await request_error(served, "POST", path, content="{", headers=JSON)
        assert found == (400, "invalid_request_error")
        found = await request_error(served, "POST", path, content="x" * 2000, headers=JSON)
        assert found == (413, "request_too_large")
        found = await request_error(
            served,
            "POST",
            path,
            json={"model": "x", "messages": make_body()["messages"]}
            | ({"max_tokens": 5} if path == PATH else {}),
        )
        assert found == (404, "not_found_error")
    assert await request_error(served, "GET", f"{PATH}/batches") == (404, "not_found_error")
    served.services.slot.is_draining = True
    found = await request_error(served, "POST", PATH, json=make_body())
    assert found == (503, "overloaded_error")


async def test_the_other_paths_keep_openais_shape(serve: Serve) -> None:
    for path in ("/v1/messagesx", "/v1/chat/completions"):
        response = await serve().http.get(path, headers={"anthropic-version": "2023-06-01"})
        assert set(response.json()) == {"error"}
        assert "request-id" not in response.headers


async def test_the_client_raises_what_it_raises_with_anthropic(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve())
    with pytest.raises(anthropic.NotFoundError) as missing:
        await client.messages.create(**make_arguments(model="other"))
    assert missing.value.type == "not_found_error"
    assert missing.value.request_id
    with pytest.raises(anthropic.BadRequestError, match=r"max_tokens"):
        await client.messages.create(**make_arguments(max_tokens=-1))


def test_the_bodies_are_documented() -> None:
    document = create_app(make_services()).openapi()
    schemas = document["components"]["schemas"]
    for name in ("MessagesRequest", "CountTokensRequest"):
        fields = schemas[name]["properties"]
        assert {"thinking", "max_thinking_tokens", "output_config", "tools"} <= set(fields)
    assert "effort" in schemas["OutputConfig"]["properties"]
    responses = document["paths"][PATH]["post"]["responses"]
    reference = responses["400"]["content"]["application/json"]["schema"]["$ref"]
    assert reference.endswith("/AnthropicError")
    references = {
        part.rpartition("/")[2]
        for part in str(document).split("'")
        if part.startswith("#/components/schemas/")
    }
    assert references <= set(schemas)


def test_no_two_bodies_mean_different_things_by_one_name() -> None:
    """The document has all bodies: a later one would replace an earlier one of the same name."""
    create_app(make_services())
    known: dict[str, Any] = {}
    for name, model in openapi._documented.items():
        schema = model.model_json_schema(ref_template="{model}")
        for each, meaning in {name: schema, **schema.pop("$defs", {})}.items():
            assert known.setdefault(each, meaning) == meaning, each


# As Claude Code 2 sends it, shortened.
CLAUDE_CODE: dict[str, Any] = {
    "max_tokens": 100,
    "stream": True,
    "metadata": {"user_id": "user_1_account__session_2"},
    "system": [
        {"type": "text", "text": "You are Claude Code."},
        {
            "type": "text",
            "text": "You help.",
            "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"},
        },
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>…</system-reminder>"},
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
            ],
        }
    ],
    "tools": [TOOL | {"description": "Adds.", "eager_input_streaming": True}],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}


async def test_what_claude_code_sends_is_answered(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    response = await served.http.post(f"{PATH}?beta=true", json=make_body(**CLAUDE_CODE))
    assert response.status_code == 200, response.text
    assert response.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
