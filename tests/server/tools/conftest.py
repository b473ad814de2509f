"""Tools for the scripted engine, and replies read back from the wire."""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.server.conftest import Serve, Served

ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a"],
        },
    },
}
LOOK_UP: dict[str, Any] = {"type": "function", "function": {"name": "look-up"}}
NAMED_ADD: dict[str, Any] = {"type": "function", "function": {"name": "add"}}


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """`serve` with a context long enough for tools in a byte-level prompt."""
    return partial(serve, max_model_len=4096)


def write_call(name: str, arguments: str) -> str:
    """Return a call in the format of Hermes."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


@dataclass(frozen=True)
class Turn:
    """A choice: content, calls as (name, arguments), and finish reason."""

    content: str | None
    calls: list[tuple[str, str]]
    finish_reason: str


async def get_turn(served: Served, **fields: Any) -> Turn:
    """Return the choice of a reply that is not streamed."""
    response = await served.chat(**({"temperature": 0} | fields))
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    calls = choice["message"].get("tool_calls", [])
    assert all(call["type"] == "function" and call["id"] for call in calls)
    assert len({call["id"] for call in calls}) == len(calls)
    pairs = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    return Turn(choice["message"]["content"], pairs, choice["finish_reason"])


async def stream_turn(served: Served, **fields: Any) -> Turn:
    """Return the choice of a streamed reply; assert that each call starts with its id and name."""
    content, finish_reason = "", ""
    calls: list[tuple[str, str]] = []
    for event in await served.events(**({"temperature": 0} | fields)):
        (choice,) = event["choices"]
        content += choice["delta"].get("content") or ""
        finish_reason = choice["finish_reason"] or finish_reason
        for piece in choice["delta"].get("tool_calls", []):
            function = piece["function"]
            if piece["index"] == len(calls):
                assert piece["id"]
                assert piece["type"] == "function"
                calls.append((function["name"], ""))
            name, arguments = calls[piece["index"]]
            calls[piece["index"]] = name, arguments + function["arguments"]
    return Turn(content or (None if calls else ""), calls, finish_reason)


async def get_both(served: Served, **fields: Any) -> Turn:
    """Return the choice, and assert that it is the same with streaming."""
    turn = await get_turn(served, **fields)
    assert await stream_turn(served, **fields) == turn
    return turn


def write_call_list(*calls: tuple[str, dict[str, Any]]) -> str:
    """Return calls in the format of the grammar for required calls."""
    return json.dumps([{"name": name, "parameters": arguments} for name, arguments in calls])
