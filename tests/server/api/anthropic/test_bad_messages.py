"""Errors of the Messages API have Anthropic's form, and name the field."""

import re
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
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def make_turn(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, block]}]}


def make_image_turn(**source: Any) -> dict[str, Any]:
    return make_turn({"type": "image", "source": source})


def make_document_turn(**source: Any) -> dict[str, Any]:
    return make_turn({"type": "document", "source": source})


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
    (
        make_turn({"type": "text", "text": "b", "cache_contrl": {}}),
        "unknown field",
        "messages[0].content[1].cache_contrl",
    ),
    (make_document_turn(), "messages[0].content[1].source", "type text"),
    (make_document_turn(type="base64", data=""), "messages[0].content[1].source", "PDF"),
    (make_document_turn(type="url", url="x"), "messages[0].content[1].source", "no URLs"),
    (make_document_turn(type="text"), "messages[0].content[1].source.data", "required"),
    (
        make_turn({"type": "server_tool_use", "id": "a", "name": "b", "input": {}}),
        "messages[0].content[1]",
        "role 'user'",
    ),
    (make_turn({"type": "container_upload", "file_id": "f"}), "messages[0].content[1]", "text"),
    (make_turn({"type": "hologram"}), "messages[0].content[1]", "search_result"),
    (make_turn({"type": "tool_reference", "tool_name": "a"}), "messages[0].content[1]", "role"),
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
    (
        make_turn({"type": "tool_result", "tool_use_id": "t"}),
        "messages[0].content[1].tool_use_id: unexpected `tool_use_id` found in `tool_result`",
        "before it",
    ),
    ({"system": [{"type": "image"}]}, "system[0]", "source"),
    ({"temperature": 2.5}, "temperature", "2"),
    ({"stop": ["x"]}, "unknown field 'stop'", "'stop_sequences'"),
    ({"stop_sequences": [""]}, "stop_sequences[0]", "1 char"),
    ({"max_completion_tokens": 3}, "unknown field", "'max_tokens'"),
    ({"budget_tokens": 3}, "unknown field", "'thinking'"),
    ({"thinking": {"type": "always"}}, "thinking.type", "'adaptive'"),
    ({"thinking": make_thinking(-3)}, "thinking.budget_tokens", "integer"),
    (
        {"thinking": {"type": "enabled", "budget_token": 5}},
        "unknown field 'thinking.budget_token'",
        "budget_tokens'",
    ),
    (
        {"thinking": make_thinking(5), "max_thinking_tokens": 6},
        "max_thinking_tokens 6 contradicts thinking.budget_tokens 5",
        "one of them",
    ),
    ({"output_config": {"effort": "huge"}}, "output_config.effort", "'xhigh'"),
    ({"output_config": {"task_budget": 1}}, "output_config.task_budget", ""),
    (
        {"output_config": {"task_budget": {"type": "tokens", "total": 0}}},
        "output_config.task_budget.total",
        "1",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "b", "output_config": {"effort": "low"}},
            ]
        },
        "messages[1].output_config",
        "for the whole request",
    ),
    ({"thinking": make_thinking(5, block_binding="drop")}, "thinking.block_binding", "drop_block"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema", ""),
    ({"tools": [SEARCH], "tool_choice": {"type": "any"}}, "tool_choice", "no tools"),
    (
        {"tools": [TOOL, SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
        "tool_choice.name",
        "does not run",
    ),
    ({"tools": [{"type": "function", "function": TOOL}]}, "tools[0]", "input_schema"),
    ({"tools": [TOOL | {"input_examples": ["a"]}]}, "tools[0].input_examples[0]", "object"),
    ({"tools": [{"type": "bash_20250124"}]}, "tools[0].name", "required"),
    ({"tools": [{"name": "add"}]}, "tools[0].input_schema", "required"),
    ({"tools": [TOOL | {"input_schema": {"type": "array"}}]}, "tools[0].input_schema", "object"),
    ({"tools": [TOOL | {"name": "a b"}]}, "tools[0].name", "pattern"),
    ({"tools": [TOOL | {"name": "a" * 129}]}, "tools[0].name", "pattern"),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique", "name"),
    ({"tool_choice": {"type": "any"}}, "tool_choice: ", "no tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice", "'name'"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name", "tools"),
    ({"thread": {"type": "continue", "previous_message_id": "m"}}, "thread", "send all messages"),
    ({"compaction": {"type": "summarize"}}, "compaction", "does not summarize"),
    ({"context_management": {"edits": [{"type": "a"}] * 17}}, "context_management.edits", "16"),
    ({"tools": [TOOL] * 1025}, "tools", "1024"),
    ({"context_management": {"edits": [{"keep": "all"}]}}, "context_management.edits[0]", "type"),
    (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "some"}]}},
        "context_management.edits[0].keep",
        "",
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
    {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
    {"thinking": {"type": "between_tools"}},
    {"thinking": {"type": "adaptive", "display": "updates", "block_binding": {}}},
    {"diagnostics": {}},
    {"diagnostics": {"previous_message_id": None}},
    {"tools": [TOOL | {"cache_control": {"type": "ephemeral", "ttl": "1h"}, "strict": True}]},
    {"tools": [TOOL | {"name": name} for name in ("calendar.list", "x" * 128, "mcp__a-b")]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
    {"top_k": 5, "top_p": 0.5, "mcp_servers": []},
]


@pytest.mark.parametrize("fields", HARMLESS)
async def test_what_has_no_effect_is_accepted(serve: Serve, fields: dict[str, Any]) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "anything"}
    response = await serve(max_model_len=4096).http.post(
        f"{PATH}?beta=true", json=make_body(**fields), headers=headers
    )
    assert response.status_code == 200, response.text
    assert "x-ignored-fields" not in response.headers


# Body fields, and the paths of those that are not used.
NAMED: list[tuple[dict[str, Any], str]] = [
    ({"diagnostics": {"previous_message_id": "msg_1"}}, "diagnostics.previous_message_id"),
    ({"container": "c", "inference_geo": "us"}, "container, inference_geo"),
    ({"container": {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}}, "container"),
    ({"mcp_servers": [{"type": "url", "url": "http://x", "name": "x"}]}, "mcp_servers"),
    ({"speed": "fast", "service_tier": "priority"}, "speed, service_tier"),
    ({"fallbacks": "default", "thread": {"type": "create"}}, "fallbacks, thread"),
    ({"betas": ["a-2026-01-01"], "user_profile_id": "u"}, "user_profile_id, betas"),
    ({"tools": [SEARCH, TOOL]}, "tools[0]"),
    ({"tools": [TOOL, {"type": "code_execution_20260521", "name": "code_execution"}]}, "tools[1]"),
    ({"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "tools[0]"),
    ({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "m"}]}, "tools[0]"),
    ({"tools": [{"type": "computer_toolset_20260801"}, TOOL]}, "tools[0]"),
    ({"tools": [TOOL | {"allowed_callers": ["code_execution_20260120"]}]}, "tools[0]"),
    (
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        "context_management.edits[0]",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "a"},
                            "citations": {"enabled": True},
                        }
                    ],
                }
            ]
        },
        "messages[0].content[0].citations",
    ),
]


@pytest.mark.parametrize(("fields", "paths"), NAMED)
async def test_what_is_not_used_is_accepted_and_named(
    serve: Serve, fields: dict[str, Any], paths: str
) -> None:
    response = await post(serve(max_model_len=4096), **fields)
    assert response.status_code == 200, response.text
    assert response.headers["x-ignored-fields"] == paths


async def test_counting_tokens_names_the_same_fields(serve: Serve) -> None:
    fields = {"tools": [SEARCH, TOOL], "speed": "fast"}
    asked = {key: make_body(**fields)[key] for key in ("model", "messages", *fields)}
    response = await serve(max_model_len=4096).http.post(f"{PATH}/count_tokens", json=asked)
    assert response.headers["x-ignored-fields"] == "speed, tools[0]"


async def test_a_cache_miss_is_not_explained(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    asked = make_arguments()
    message = await client.beta.messages.create(
        **asked | {"diagnostics": {"previous_message_id": "msg_1"}}
    )
    assert message.diagnostics is not None
    assert message.diagnostics.cache_miss_reason is not None
    assert message.diagnostics.cache_miss_reason.type == "unavailable"


async def test_a_prompt_that_is_too_long_is_refused_in_anthropics_words(serve: Serve) -> None:
    turn = {"role": "user", "content": "x" * 500}
    refused = await post(serve(max_model_len=64), messages=[turn])
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert re.match(r"prompt is too long: (\d+) tokens > 63 maximum", error["message"])


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


# As Claude Code 2.1.197 sends it, shortened, with what its newer features add.
CLAUDE_CODE: dict[str, Any] = {
    "max_tokens": 100,
    "stream": True,
    "metadata": {"user_id": '{"device_id":"d","account_uuid":"","session_id":"s"}'},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197"},
        {
            "type": "text",
            "text": "You are Claude Code.",
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
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "ErUBCkYIBRgCKkA="},
                {"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {}}
                | {"caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "tool_reference", "tool_name": "mcp__a__b"}],
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "Go on."},
            ],
        },
        {"role": "system", "content": "The date has changed."},
    ],
    "tools": [
        TOOL | {"description": "Adds.", "eager_input_streaming": True},
        {"name": "ToolSearch", "input_schema": {"type": "object"}, "strict": True},
        {"name": "mcp__a__b", "input_schema": {"type": "object"}, "defer_loading": True},
        {"name": "mcp__a__c", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "diagnostics": {"previous_message_id": None},
}
CLAUDE_CODE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,"
    "thinking-token-count-2026-05-13,context-management-2025-06-27,effort-2025-11-24,"
    "advanced-tool-use-2025-11-20,prompt-caching-scope-2026-01-05,something-2099-01-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
}


async def test_what_claude_code_sends_is_answered(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    response = await served.http.post(
        f"{PATH}?beta=true", json=make_body(**CLAUDE_CODE), headers=CLAUDE_CODE_HEADERS
    )
    assert response.status_code == 200, response.text
    assert response.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert response.headers["x-ignored-fields"] == "messages[1].content[0]"
    assert served.engine.last_request is not None
    prompt = served.engine.tokenizer.decode(served.engine.last_request.prompt_token_ids)
    assert '"name": "mcp__a__b"' in prompt
    assert "mcp__a__c" not in prompt


async def test_what_claude_code_sends_is_counted(serve: Serve) -> None:
    served = serve(max_model_len=4096)
    names = ("model", "messages", "system", "tools", "thinking", "context_management")
    asked = {name: make_body(**CLAUDE_CODE)[name] for name in names}
    response = await served.http.post(
        f"{PATH}/count_tokens?beta=true", json=asked, headers=CLAUDE_CODE_HEADERS
    )
    assert response.status_code == 200, response.text
    assert response.json()["input_tokens"] > 0
