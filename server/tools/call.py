"""Tool calls: streamed deltas and complete calls."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A delta of the `index`-th call of a reply. Its first delta has `call_id` and `name`.

    `arguments` is a piece of JSON text.
    """

    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(slots=True)
class ToolCall:
    """A complete call. `arguments` is JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str = ""


def join_calls(deltas: Iterable[ToolCallDelta]) -> list[ToolCall]:
    """Merge `deltas` into complete calls, in order."""
    calls: dict[int, ToolCall] = {}
    for delta in deltas:
        if delta.index not in calls:
            calls[delta.index] = ToolCall(delta.call_id or "", delta.name or "")
        calls[delta.index].arguments += delta.arguments
    return [call for _, call in sorted(calls.items())]


def make_call_id() -> str:
    """Return a new id for a call to which the model gave none."""
    return f"call_{secrets.token_hex(12)}"


def make_short_call_id() -> str:
    """Return an id of nine characters: Mistral's templates reject others in the next turn."""
    return secrets.token_hex(5)[:9]
