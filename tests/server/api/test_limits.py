"""Requests beyond the documented limits are refused on every endpoint, and quickly."""

from typing import Any

import pytest

from server.prompt.messages import MAX_MESSAGES
from tests.server.conftest import MODEL, Serve

USER = {"role": "user", "content": "x"}
TOO_MANY = [USER] * (MAX_MESSAGES + 1)
LARGE_SCHEMA = {"type": "object", "description": "x" * 70_000}
DEEP: dict[str, Any] = {}
for _ in range(40):  # two levels each
    DEEP = {"type": "object", "properties": {"a": DEEP}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": LARGE_SCHEMA}}
SMALL_TOOL = {"type": "function", "function": {"name": "f"}}

# Path, fields over a limit, and the field that the error names.
TOO_LARGE: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"messages": TOO_MANY}, "messages"),
    ("/v1/messages", {"messages": TOO_MANY, "max_tokens": 9}, "messages"),
    ("/v1/responses", {"input": TOO_MANY}, "input"),
    ("/v1/completions", {"prompt": ["x"] * 257}, "prompt"),
    ("/v1/chat/completions", {"messages": [USER], "tools": [TOOL]}, "tools"),
    ("/v1/chat/completions", {"messages": [USER], "tools": [SMALL_TOOL] * 129}, "tools"),
    (
        "/v1/chat/completions",
        {
            "messages": [USER],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": DEEP},
            },
        },
        "response_format.json_schema.schema",
    ),
    (
        "/v1/responses",
        {"input": "x", "text": {"format": {"type": "json_schema", "name": "s", "schema": DEEP}}},
        "text.format.schema",
    ),
]


@pytest.mark.parametrize(("path", "fields", "param"), TOO_LARGE)
async def test_too_much_is_a_400_that_names_the_field(
    serve: Serve, path: str, fields: dict[str, Any], param: str
) -> None:
    reply = await serve().http.post(path, json={"model": MODEL, **fields})
    assert reply.status_code == 400, reply.text[:300]
    assert param in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/tokenize"],
)
async def test_a_body_that_is_too_large_is_a_413(serve: Serve, path: str) -> None:
    served = serve(max_body_bytes=10_000)
    reply = await served.http.post(path, json={"model": MODEL, "prompt": "x" * 20_000})
    assert reply.status_code == 413
    assert "10000" in reply.json()["error"]["message"]
