"""An invalid request is a 400 (never a 422) that names the field."""

from typing import Any

import pytest

from tests.server.conftest import MODEL, Serve, chat_body

USER = {"role": "user", "content": "hi"}
JSON = {"content-type": "application/json"}

# A gate, the end of the path that the error must name, and a word of its message.
BAD_GATES: list[tuple[Any, str, str]] = [
    ("entropy", "", "object"),
    ({}, ".mode", "required"),
    ({"mode": "sometimes"}, ".mode", "entropy"),
    ({"mode": "entropy"}, ".threshold", "required"),
    ({"mode": "entropy", "threshold": -1}, ".threshold", "0"),
    ({"mode": "entropy", "threshold": "2"}, ".threshold", "number"),
    ({"mode": "entropy", "threshold": 2, "tokens": 3}, ".tokens", "'every'"),
    ({"mode": "every"}, ".tokens", "required"),
    ({"mode": "every", "tokens": 0}, ".tokens", "1"),
    ({"mode": "every", "tokens": 4, "gap": 0}, ".gap", "1"),
    ({"mode": "every", "tokens": 4, "share": 1}, ".share", "less than 1"),
    ({"mode": "every", "tokens": 4, "share": 0.5, "opening": False}, ".share", "opening"),
    ({"mode": "after"}, ".strings", "required"),
    ({"mode": "after", "strings": []}, ".strings", "1"),
    ({"mode": "after", "strings": ["a"] * 9}, ".strings", "8"),
    ({"mode": "after", "strings": ["ok", "é" * 17]}, ".strings[1]", "34 bytes"),
    ({"mode": "after", "strings": [""]}, ".strings[0]", "0 bytes"),
    ({"mode": "after", "strings": ["\0"]}, ".strings[0]", "NUL"),
    ({"mode": "after", "strings": ["="], "string": "="}, ".string", "strings"),
]

# Body fields, the path that the error must name, and a word of its message.
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"reasoning_budget": 5}, "reasoning_budget", "'max_thinking_tokens'"),
    ({"thinking_tokens": 5}, "thinking_tokens", "'max_thinking_tokens'"),
    ({"extra_body": {"max_thinking_tokens": 5}}, "extra_body", "top level"),
    ({"think_stop_sentence": "x"}, "think_stop_sentence", "thinking_options.wrap_up"),
    ({"nvext": {"max_thinking_token": 1}}, "nvext.max_thinking_token", "max_thinking_tokens'"),
    ({"thinking_tokens_budget": 5}, "thinking_tokens_budget", "'thinking_token_budget'"),
    ({"max_thinking_token": 5}, "max_thinking_token", "'max_thinking_tokens'"),
    ({"temprature": 1}, "temprature", "'temperature'"),
    ({"grace": 5}, "grace", "'thinking_options.grace'"),
    (
        {"thinking_options": {"max_thinking_tokens": 1}},
        "thinking_options.max_thinking_tokens",
        "'max_thinking_tokens'",
    ),
    ({"thinking_options": {"graze": 1}}, "thinking_options.graze", "'thinking_options.grace'"),
    (
        {"thinking_options": {"thinking_budget": 1}},
        "thinking_options.thinking_budget",
        "top level",
    ),
    ({"thinking_options": {"strategy": "beam"}}, "thinking_options.strategy", "--scorer-url"),
    ({"thinking_options": {"mix": 0.5}}, "thinking_options.mix", "thinking_options.gate"),
    ({"thinking_options": {"mix": 1.5}}, "thinking_options.mix", "less than or equal to 1"),
    ({"thinking_options": {"max_segments": 2}}, "thinking_options.max_segments", "gate"),
    ({"thinking_options": {"max_segments": 0}}, "thinking_options.max_segments", "1"),
    ({"thinking_options": {"segment_tokens": True}}, "thinking_options.segment_tokens", "integer"),
    *(
        ({"thinking_options": {"gate": gate}}, f"thinking_options.gate{path}", word)
        for gate, path, word in BAD_GATES
    ),
    (
        {"thinking_options": {"gate": {"mode": "every", "tokens": 5}, "segment_tokens": 2}},
        "thinking_options.segment_tokens",
        "at least",
    ),
    ({"thinking_options": {"early_exit": 1.0}}, "thinking_options.early_exit", "less than 1"),
    ({"thinking_options": {"early_exit": True}}, "thinking_options.early_exit", "number"),
    (
        {"thinking_options": {"loop_guard": {"max_period": 65}}},
        "thinking_options.loop_guard.max_period",
        "64",
    ),
    (
        {"thinking_options": {"loop_guard": {"period": 5}}},
        "thinking_options.loop_guard.period",
        "max_period",
    ),
    ({"thinking_options": {"continuation": ""}}, "thinking_options.continuation", "1 character"),
    (
        {
            "thinking_options": {"continuation": "so " * 600},
            "min_thinking_tokens": 9,
            "max_thinking_tokens": 90,
        },
        "thinking_options.continuation",
        "fit together",
    ),
    ({"min_thinking_tokens": -1}, "min_thinking_tokens", "0"),
    ({"min_thinking_tokens": 9, "max_thinking_tokens": 8}, "min_thinking_tokens", "(8)"),
    ({"max_thinking_tokens": True}, "max_thinking_tokens", "integer"),
    ({"max_thinking_tokens": 5.0}, "max_thinking_tokens", "integer"),
    ({"max_thinking_tokens": "5"}, "max_thinking_tokens", "integer"),
    ({"max_thinking_tokens": -2}, "max_thinking_tokens", "-1"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "'xhigh'"),
    ({"reasoning_effort": "none", "max_thinking_tokens": 5}, "reasoning_effort", "contradicts"),
    ({"thinking_options": {"grace": 1.5}}, "thinking_options.grace", "share"),
    ({"thinking_options": {"grace": True}}, "thinking_options.grace", "tokens"),
    ({"thinking_options": {"answer_reserve": 0}}, "thinking_options.answer_reserve", "1"),
    (
        {"thinking_options": {"answer_reserve": 9}, "max_tokens": 8},
        "thinking_options.answer_reserve",
        "8",
    ),
    ({"include_reasoning": 1}, "include_reasoning", "true or false"),
    ({"temperature": 2.1}, "temperature", "2"),
    ({"temperature": "1"}, "temperature", "number"),
    ({"top_p": -0.1}, "top_p", "greater than or equal to 0"),
    ({"n": 0}, "n", "1"),
    ({"n": 17}, "n", "16"),
    ({"seed": 2**63}, "seed", "9223372036854775807"),
    ({"stop": ""}, "stop[0]", "1 character"),
    ({"stop": ["x"] * 65}, "stop", "64"),
    ({"presence_penalty": 3}, "presence_penalty", "2"),
    ({"repetition_penalty": 0}, "repetition_penalty", "0"),
    ({"logit_bias": {"x": 1}}, "logit_bias", "token id"),
    ({"logit_bias": {"99999": 1}}, "logit_bias", "token id"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1", "100"),
    ({"top_logprobs": 3}, "", "logprobs: true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "20"),
    ({"max_tokens": 0}, "max_tokens", "1"),
    ({"max_tokens": -2}, "max_tokens", "1"),
    ({"max_tokens": 5, "max_completion_tokens": 6}, "", "max_completion_tokens"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "required"),
    ({"functions": [{"name": "f"}]}, "functions", "send tools"),
    ({"audio": {}}, "audio", "not supported yet"),
    ({"store": True}, "store", "--trace-store"),
    ({"messages": []}, "messages", "at least 1"),
    ({"messages": "hi"}, "messages", "array"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "'user'"),
    ({"messages": [{"role": "user"}]}, "messages[0]", "content is required"),
    ({"messages": [USER, {**USER, "content": 5}]}, "messages[1].content", "string"),
    (
        {"messages": [{**USER, "content": [{"type": "input_audio", "input_audio": {}}]}]},
        "messages[0].content",
        "only text",
    ),
    (
        {"messages": [{**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages[0].content[0].image_url",
        "data:image/png",
    ),
    (
        {"messages": [{**USER, "content": [{"type": "image_url", "image_url": "data:"}]}]},
        "messages[0].content",
        "image_url",
    ),
    (
        {
            "messages": [
                {
                    **USER,
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
                    ],
                }
            ]
        },
        "messages",
        "text only",
    ),
    ({"messages": [{**USER, "max_thinking_tokens": 3}]}, "messages[0].max_thinking_tokens", "at"),
    ({"model": 5}, "model", "string"),
]


@pytest.mark.parametrize(("fields", "param", "word"), BAD_FIELDS)
async def test_bad_field_is_named(
    serve: Serve, fields: dict[str, Any], param: str, word: str
) -> None:
    response = await serve().chat(**fields)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == (param or None)
    assert word in error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [], "tool_choice": "none", "functions": None, "store": False},
        {"response_format": {"type": "text"}, "modalities": ["text"], "service_tier": "auto"},
        {"user": "u", "metadata": {"a": "b"}, "parallel_tool_calls": True, "verbosity": None},
        {"max_thinking_tokens": None, "min_thinking_tokens": None, "thinking_options": None},
        {"thinking_options": {"gate": None, "grace": 0.5, "answer_reserve": 3}},
        {"top_k": -1, "min_p": 0.1, "seed": -5, "logit_bias": {"3": -100}, "top_p": 1},
        {"max_tokens": 9, "max_completion_tokens": 9},
        {"max_tokens": -1, "max_thinking_tokens": 0},
        {"max_tokens": -1, "max_completion_tokens": 9},
        {"top_p": 0, "top_logprobs": 0, "stop": [], "logit_bias": {}},
        {"metadata": {"files": None, "tags": ["a"], "features": {"web": False}}},
        {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "short"}]},
                USER,
                {"role": "assistant", "content": "ho", "reasoning_content": "hm", "audio": None},
                USER,
            ]
        },
    ],
)
async def test_harmless_fields_are_accepted(serve: Serve, fields: dict[str, Any]) -> None:
    response = await serve().chat(**{"max_tokens": 9} | fields)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "invalid_json"),
        (b'{"model": "\xff"}', "invalid_json"),
        (b'{"temperature": NaN}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "invalid_value"),
        (b"null", "invalid_value"),
        (b"{}", "missing_field"),
    ],
)
async def test_malformed_body_is_400(serve: Serve, content: bytes, code: str) -> None:
    http = serve().http
    response = await http.post("/v1/chat/completions", content=content, headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


async def test_body_must_be_declared_as_json(serve: Serve) -> None:
    """Otherwise any web page could post here without a CORS preflight."""
    response = await serve().http.post("/v1/chat/completions", content=b"{}")
    assert response.status_code == 415


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_too_large_a_body_is_413(serve: Serve, is_chunked: bool) -> None:
    async def yield_chunks() -> Any:
        for _ in range(20):
            yield b" " * 100

    http = serve(max_body_bytes=1000).http
    content = yield_chunks() if is_chunked else b" " * 2000
    response = await http.post("/v1/chat/completions", content=content, headers=JSON)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"
    assert (await http.post("/v1/chat/completions", json=chat_body())).status_code == 200


async def test_unknown_paths_models_and_methods(serve: Serve) -> None:
    served = serve()
    for response, status, code in (
        (await served.http.get("/v1/nope"), 404, "not_found"),
        (await served.http.get("/v1/chat/completions"), 405, "method_not_allowed"),
        (await served.chat(model="other"), 404, "model_not_found"),
        (await served.http.get("/v1/models/other"), 404, "model_not_found"),
    ):
        assert response.status_code == status
        assert response.json()["error"]["code"] == code
        assert response.headers["x-request-id"]
    assert (await served.http.get(f"/v1/models/{MODEL}")).json()["id"] == MODEL
    assert [m.id async for m in served.openai.models.list()] == [MODEL]


async def test_too_long_a_prompt_says_both_lengths(serve: Serve) -> None:
    served = serve(max_model_len=100)
    response = await served.chat(messages=[{"role": "user", "content": "x" * 200}])
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "100" in error["message"]
    assert "218" in error["message"]


async def test_errors_quote_no_values(serve: Serve) -> None:
    response = await serve().chat(messages=[{"role": "hunter2", "content": "hunter2"}])
    assert response.status_code == 400
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:3_4", True), ("x" * 129, False), ("a b", False), ("é", False)]
)
async def test_request_id_is_echoed_where_sane(serve: Serve, given: str, kept: bool) -> None:
    http = serve().http
    response = await http.get("/health", headers={b"x-request-id": given.encode()})
    assert (response.headers["x-request-id"] == given) == kept


async def test_openapi_describes_the_body(serve: Serve) -> None:
    http = serve().http
    document = (await http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    properties = schemas["ChatCompletionRequest"]["properties"]
    assert {"max_thinking_tokens", "reasoning_effort", "thinking_options"} <= set(properties)
    assert "422" not in str(document["paths"])
    assert document["security"] == [{"bearer": []}, {"x-api-key": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in document["paths"]["/metrics"]["get"]
    references = set(_find_references(document))
    assert {f"#/components/schemas/{name}" for name in schemas} >= references
    assert (await http.get("/docs")).status_code == 200


def _find_references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _find_references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _find_references(value)]
    return []
