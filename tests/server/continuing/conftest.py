"""Thoughts that are cut and go on, over all four endpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.engine.scripted_model import RandomLogits
from tests.server.conftest import MODEL, VOCAB_SIZE, Serve, Served
from tests.server.keys.conftest import ALICE, BOB, make_entry

QUESTION = [{"role": "user", "content": "How many?"}]
INCLUDE: dict[str, Any] = {"include": ["thinking.sealed"]}
# Nothing but the budget ends a thought.
FREE: dict[str, Any] = {"loop_guard": False, "grace": 0}
REPLY = 300


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint, a small body for it, and its name for the reply's limit."""

    path: str
    body: dict[str, Any]
    limit: str

    def make_body(self, **fields: Any) -> dict[str, Any]:
        """Return a body for a greedy reply of `REPLY` tokens."""
        return {"model": MODEL, self.limit: REPLY, "temperature": 0, **self.body, **fields}


ENDPOINTS = {
    "chat": Endpoint("/v1/chat/completions", {"messages": QUESTION}, "max_tokens"),
    "completions": Endpoint("/v1/completions", {"prompt": "How many?"}, "max_tokens"),
    "responses": Endpoint("/v1/responses", {"input": "How many?"}, "max_output_tokens"),
    "messages": Endpoint("/v1/messages", {"messages": QUESTION}, "max_tokens"),
}
CHAT = ENDPOINTS["chat"]


def find_receipts(value: Any) -> list[dict[str, Any]]:
    """Return all receipts in a reply, or in the events of a stream."""
    if isinstance(value, list):
        return [receipt for item in value for receipt in find_receipts(item)]
    if not isinstance(value, dict):
        return []
    own = value.get("thinking")
    found = [own] if isinstance(own, dict) and "budget" in own else []
    return found + [receipt for item in value.values() for receipt in find_receipts(item)]


@pytest.fixture
def serve_keys(serve: Serve, tmp_path: Path) -> Callable[..., Served]:
    """Return ``serve`` for a random model, with the keys of Alice and Bob."""
    path = tmp_path / "keys.toml"
    path.write_text("\n".join([make_entry("alice", ALICE), make_entry("bob", BOB)]))
    return lambda **options: serve(RandomLogits(VOCAB_SIZE), keys_file=str(path), **options)


async def post(served: Served, endpoint: Endpoint = CHAT, /, **fields: Any) -> dict[str, Any]:
    """Return a whole reply."""
    response = await served.http.post(endpoint.path, json=endpoint.make_body(**fields))
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


async def ask(served: Served, endpoint: Endpoint = CHAT, /, **fields: Any) -> dict[str, Any]:
    """Return the receipt of a whole reply's only choice."""
    (receipt,) = find_receipts(await post(served, endpoint, **fields))
    return receipt


async def refuse(served: Served, endpoint: Endpoint = CHAT, /, **fields: Any) -> dict[str, Any]:
    """Return the error of a request that is a 400."""
    response = await served.http.post(endpoint.path, json=endpoint.make_body(**fields))
    assert response.status_code == 400, response.text
    error: dict[str, Any] = response.json()["error"]
    return error
