"""A tool call as it comes: pieces, and the whole."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """New of the `index`-th call of a reply; its first piece has `call_id` and `name`.

    `arguments` is a piece of JSON text.
    """

    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class ToolCall:
    """A whole call; `arguments` is JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str = ""


def joined_calls(deltas: Iterable[ToolCallDelta]) -> list[ToolCall]:
    """The calls that `deltas` make up, in order."""
    calls: dict[int, ToolCall] = {}
    for delta in deltas:
        if delta.index not in calls:
            calls[delta.index] = ToolCall(delta.call_id or "", delta.name or "")
        calls[delta.index].arguments += delta.arguments
    return [call for _, call in sorted(calls.items())]


def new_call_id() -> str:
    """An id for a call that has none of its model's own."""
    return f"call_{secrets.token_hex(12)}"
