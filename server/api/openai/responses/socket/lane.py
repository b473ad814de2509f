"""Lane of a socket: responses with the same `stream_id`, written one after the other.

A response that was steered is followed by its successor before anything else of the lane. Does
not know other lanes.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from starlette.types import ASGIApp, Scope

from server.api.openai.responses.output_items import Event
from server.api.openai.responses.socket.messages import Create
from server.api.openai.responses.socket.request import Answer, SocketRequest
from server.api.openai.responses.socket.response import (
    SocketResponse,
    SteerErrorCode,
    make_failed_event,
)
from server.api.openai.responses.socket_link import STATE, SocketLink
from server.stored_responses.memory import MemoryResponses


class KnownResponses(Protocol):
    """The responses of a connection that can be steered or continued, by their ids."""

    def add(self, response: SocketResponse) -> None:
        """Remember a response that has been created."""

    def find(self, response_id: object) -> SocketResponse | None:
        """Return a response; None: this connection does not know it."""


@dataclass(frozen=True, slots=True)
class SocketContext:
    """Context that all lanes of a connection share. `send` sends an event to the client."""

    app: ASGIApp
    scope: Scope
    unstored: MemoryResponses
    known: KnownResponses
    send: Callable[[Event], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Lane:
    """The lane `stream_id`: `waiting` begin when what is before them has ended."""

    context: SocketContext
    waiting: deque[Create] = field(default_factory=deque)
    _request: SocketRequest | None = None
    _has_left: bool = False

    async def work(self) -> None:
        """Write all responses that wait, and those that come meanwhile."""
        while self.waiting and not self._has_left:
            create, parent = self._join_steers(self.waiting.popleft())
            response = await self._write(create, parent, is_successor=False)
            while await self._needs_successor(response):
                response = await self._write(response.make_successor(), response, is_successor=True)

    def hang_up(self) -> None:
        """Give up all responses: the client has left."""
        self._has_left = True
        self.waiting.clear()
        if self._request is not None:
            self._request.hang_up()

    def _join_steers(self, create: Create) -> tuple[Create, SocketResponse | None]:
        """Put the steers that wait for what this request answers before its own input."""
        parent = self.context.known.find(create.body.get("previous_response_id"))
        if parent is None or not parent.steers or parent.create.stream_id != create.stream_id:
            return create, None
        given = create.body.get("input", [])
        if isinstance(given, str):
            given = [{"type": "message", "role": "user", "content": given}]
        if not isinstance(given, list):
            return create, None
        given = [*parent.steered_items, *given]
        body = {**parent.steered_fields, **create.body, "input": given}
        return replace(create, body=body), parent

    async def _write(
        self, create: Create, parent: SocketResponse | None, *, is_successor: bool
    ) -> SocketResponse:
        """Write one response to its end; a request that is refused has none."""
        context = self.context
        link = SocketLink(context.unstored, generates=create.generates)
        response = SocketResponse(create, link, parent)

        async def pass_on(event: Event) -> None:
            response.note(event)
            if event["type"] == "response.created":
                context.known.add(response)
            await context.send(response.number(event))

        body = json.dumps(create.body).encode()
        self._request = SocketRequest(context.scope, "POST", {STATE: link}, body, pass_on)
        if self._has_left:
            self._request.hang_up()
        answer = await self._request.run(context.app)
        self._request = None
        if answer is not None and not self._has_left:
            await self._tell_refusal(response, answer, is_successor=is_successor)
        return response

    async def _tell_refusal(
        self, response: SocketResponse, answer: Answer, *, is_successor: bool
    ) -> None:
        """Report that a request was refused; steers that it would have begun with go back."""
        if is_successor and response.parent is not None:
            message = f"the successor was refused: {answer.error['message']}"
            await self._fail_steers(response.parent, "successor_creation_failed", message)
            return
        event = answer.to_error_event()
        if response.create.stream_id is not None:
            event["stream_id"] = response.create.stream_id
        await self.context.send(event)

    async def _needs_successor(self, response: SocketResponse) -> bool:
        """Return whether `response` has ended with steers that the server itself goes on with."""
        if not response.steers or self._has_left:
            return False
        if response.response["status"] not in ("completed", "incomplete"):
            message = "the response has ended before the input could be used"
            await self._fail_steers(response, "response_not_active", message)
            return False
        required = response.find_required_input()
        for steer in response.steers if required else ():
            await self.context.send(response.make_pending_event(steer, required))
        return not required

    async def _fail_steers(
        self, response: SocketResponse, code: SteerErrorCode, message: str
    ) -> None:
        steers = list(response.steers)
        response.steers.clear()
        for steer in steers:
            event = make_failed_event(steer, code, message, has_id=True)
            await self.context.send(response.number(event))
