"""Each spelling works on each endpoint."""

from typing import Any

import pytest

from tests.server.conftest import MODEL, Serve, wants
from tests.server.dialects.rows import HIGH, LOW, REPLY_LIMIT, ROWS, Row

DEFAULT = 60
OPTIONS = {"default_thinking_tokens": DEFAULT, "effort_tokens": {"low": LOW, "high": HIGH}}
THOUGHT = "so it goes on, " * 40
ASKED = [{"role": "user", "content": "How many?"}]
# A body for each, whose reply may have REPLY_LIMIT tokens.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "How many?", "max_tokens": REPLY_LIMIT},
    "/v1/responses": {"input": "How many?", "max_output_tokens": REPLY_LIMIT},
    "/v1/messages": {"messages": ASKED, "max_tokens": REPLY_LIMIT},
}


def get_receipt(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the receipt, which is at the top level or in the choice."""
    receipt: dict[str, Any] = reply["choices"][0]["thinking"] if "choices" in reply else {}
    return receipt or reply["thinking"]


def shows_thought(path: str, reply: dict[str, Any]) -> bool:
    """Return whether the reply shows a thought."""
    match path:
        case "/v1/completions":
            return bool(reply["choices"][0].get("reasoning"))
        case "/v1/responses":
            return any(item.get("content") for item in reply["output"] if "summary" in item)
        case _:
            return any(block.get("thinking") for block in reply["content"])


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_a_spelling_is_understood_on_every_endpoint(
    serve: Serve, row: Row, path: str
) -> None:
    served = serve(wants(THOUGHT), **OPTIONS)
    body = {"model": MODEL, "temperature": 0, **BODIES[path], **row.make_body(row.value)}
    reply = await served.http.post(path, json=body)
    assert reply.status_code == 200, reply.text
    receipt = get_receipt(reply.json())
    assert receipt["budget"] == (DEFAULT if row.budget is None else row.budget)
    assert receipt["source"] == ("default" if row.budget is None else row.path)
    assert receipt["used"] <= receipt["budget"]
    assert shows_thought(path, reply.json()) == row.shows


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
async def test_a_wrong_value_is_named_on_every_endpoint(serve: Serve, row: Row, path: str) -> None:
    body = {"model": MODEL, **BODIES[path], **row.make_body(row.wrong)}
    reply = await serve().http.post(path, json=body)
    assert reply.status_code == 400
    assert row.path in reply.json()["error"]["message"]
