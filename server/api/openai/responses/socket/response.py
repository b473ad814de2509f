"""A response of a socket: its events in order, and the steers that wait for its successor.

Numbers all that is said about the response. Does not know how it is written, nor who sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from server.api.openai.responses.output_items import Event
from server.api.openai.responses.socket.messages import Create, Steer
from server.api.openai.responses.socket_link import SocketLink

_ENDS = ("response.completed", "response.incomplete", "response.failed")
# Items that the client has to answer, and what it answers with.
_OUTPUTS = {
    "function_call": ("function_call_output", ("call_id", "name")),
    "custom_tool_call": ("custom_tool_call_output", ("call_id",)),
}
# Fields that are about the conversation, not settings: a successor has its own.
_NOT_INHERITED = ("input", "previous_response_id", "continue_thinking")
MAX_STEERS = 8
SteerErrorCode = Literal[
    "response_not_found",
    "invalid_input",
    "too_many_pending_steers",
    "response_already_completed",
    "response_not_active",
    "successor_creation_failed",
]


@dataclass(eq=False)
class SocketResponse:
    """A response that was asked for; `response` is its last state, {} before it is created.

    `steers` were accepted, and no successor has begun with them yet. `parent` is the response whose
    steers this one begins with.
    """

    create: Create
    link: SocketLink
    parent: "SocketResponse | None" = None
    response: dict[str, Any] = field(default_factory=dict)
    steers: list[Steer] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count, init=False)

    @property
    def response_id(self) -> str:
        """The id; "" before it is created."""
        return str(self.response.get("id", ""))

    @property
    def is_over(self) -> bool:
        """True once its last event is known."""
        return self.response.get("status") not in (None, "queued", "in_progress")

    def note(self, event: Event) -> None:
        """Take in what an event tells; the first one commits the steers of the parent."""
        kind = event["type"]
        if kind == "response.created":
            self.response = event["response"]
            if self.parent is not None:
                self.parent.steers.clear()
        elif kind in _ENDS:
            self.response = event["response"]

    def number(self, event: Event) -> Event:
        """Return `event` with its number, and with the lane of the response."""
        if event["type"] == "error":
            event = {"type": "error", "error": event["error"]}
        numbered = {**event, "sequence_number": next(self._numbers)}
        stream_id = self.create.stream_id
        return numbered if stream_id is None else {**numbered, "stream_id": stream_id}

    def find_refusal(self) -> tuple[SteerErrorCode, str] | None:
        """Return why this response takes no steer; None: it does."""
        if self.response.get("status") in ("failed", "cancelled"):
            return "response_not_active", "the response has failed"
        if self.is_over:
            return (
                "response_already_completed",
                "the response has ended: send the input in a response.create",
            )
        if len(self.steers) >= MAX_STEERS:
            return "too_many_pending_steers", f"{MAX_STEERS} steers wait for this response already"
        return None

    def accept(self, steer: Steer) -> Event:
        """Take a steer; return the event that tells so."""
        self.steers.append(steer)
        return self.number({"type": "response.steer.accepted", "steer": _name(steer)})

    def find_required_input(self) -> list[dict[str, Any]]:
        """Return the stubs of what the client has to answer before the conversation goes on."""
        return [
            {"type": kind, **{name: item[name] for name in names}}
            for item in self.response.get("output", ())
            if item["type"] in _OUTPUTS
            for kind, names in (_OUTPUTS[item["type"]],)
        ]

    def make_pending_event(self, steer: Steer, required: Sequence[dict[str, Any]]) -> Event:
        """Return the event of a steer that waits for the client's answers to calls."""
        return self.number(
            {
                "type": "response.steer.pending",
                "reason": "waiting_for_required_input",
                "required_input": list(required),
                "steer": _name(steer),
            }
        )

    def make_successor(self) -> Create:
        """Return the request that goes on from this response with the steers."""
        settings = {k: v for k, v in self.create.body.items() if k not in _NOT_INHERITED}
        body = {
            **settings,
            **self.steered_fields,
            "previous_response_id": self.response_id,
            "input": self.steered_items,
        }
        return Create(body, self.create.stream_id)

    @property
    def steered_items(self) -> list[dict[str, Any]]:
        """The items of all steers, in the order in which they came."""
        return [item for steer in self.steers for item in steer.to_items()]

    @property
    def steered_fields(self) -> dict[str, Any]:
        """The further fields of all steers; the last one's word counts."""
        return {name: value for steer in self.steers for name, value in steer.fields.items()}


def make_failed_event(
    steer: Steer, code: SteerErrorCode, message: str, *, has_id: bool = False
) -> Event:
    """Return the event of a steer that comes to nothing, with its input."""
    named = {"id": steer.steer_id} if has_id else {}
    return {
        "type": "response.steer.failed",
        "steer": {
            **named,
            "previous_response_id": steer.previous_response_id,
            "input": steer.input,
        },
        "error": {"type": "invalid_request_error", "code": code, "message": message},
    }


def _name(steer: Steer) -> dict[str, str]:
    return {"id": steer.steer_id, "previous_response_id": steer.previous_response_id}
