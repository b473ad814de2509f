"""An open socket: reads its client's messages, and sends the events of all its lanes.

Ends when the client leaves, and closes the connection itself when it has been open or idle for
too long, or when the server drains; responses that are being written end first. Does not know
how a response is written.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from server.api.openai.responses.output_items import Event
from server.api.openai.responses.socket.lane import Lane, SocketContext
from server.api.openai.responses.socket.messages import (
    Create,
    Steer,
    SteerInputError,
    read_message,
)
from server.api.openai.responses.socket.request import make_error_event
from server.api.openai.responses.socket.response import SocketResponse, make_failed_event
from server.errors.api import ApiError, BadRequestError
from server.errors.internal import EngineError
from server.state import Services
from server.stored_responses.memory import MemoryResponses

# OpenAI's limit.
MAX_SECONDS = 3_600.0
IDLE_SECONDS = 900.0
# Responses of a connection that run or wait.
MAX_OPEN = 16
MAX_KNOWN = 64
# Unstored responses that can be continued from, and their size as a multiple of a body's.
MAX_UNSTORED, UNSTORED_BODIES = 16, 4
GOING_AWAY, RESTARTING = 1001, 1012
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class KnownOfConnection:
    """The last responses of a connection, by their ids."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, SocketResponse] = OrderedDict()

    def add(self, response: SocketResponse) -> None:
        """Remember a response; the oldest is forgotten."""
        self._by_id[response.response_id] = response
        if len(self._by_id) > MAX_KNOWN:
            self._by_id.popitem(last=False)

    def find(self, response_id: object) -> SocketResponse | None:
        """Return a response; None: this connection does not know it."""
        return self._by_id.get(response_id) if isinstance(response_id, str) else None


class ResponsesSocket:
    """Connection that has been accepted, to be served once."""

    def __init__(
        self, websocket: WebSocket, services: Services, clock: Callable[[], float] = time.monotonic
    ) -> None:
        settings = services.settings
        max_bytes = settings.max_body_bytes
        unstored = MemoryResponses(MAX_UNSTORED, UNSTORED_BODIES * max_bytes, MAX_SECONDS / 3600)
        self._websocket = websocket
        self._draining = services.slot.draining
        self._max_bytes = max_bytes
        self._known = KnownOfConnection()
        self._context = SocketContext(
            websocket.app, websocket.scope, unstored, self._known, self._send
        )
        self._lanes: dict[str | None, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self._is_closed = False
        self._clock = clock
        self._opened = self._last_active = clock()

    async def serve(self) -> None:
        """Serve the connection until one side closes it. Nothing runs any more afterwards."""
        try:
            await self._read_messages()
        finally:
            self._is_closed = True
            for lane in self._lanes.values():
                lane.hang_up()
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def _read_messages(self) -> None:
        receiving = asyncio.create_task(self._websocket.receive())
        draining = asyncio.create_task(self._draining.wait())
        try:
            while not await self._close_if_due():
                waits = {receiving, *self._tasks}
                if not self._draining.is_set():
                    waits.add(draining)  # type: ignore[arg-type]
                left = None if self._tasks else self._count_seconds_left()
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    continue
                message = receiving.result()
                if message["type"] == "websocket.disconnect":
                    return
                await self._take(message.get("text") or message.get("bytes") or b"")
                receiving = asyncio.create_task(self._websocket.receive())
        finally:
            for task in (receiving, draining):
                task.cancel()
            await asyncio.gather(receiving, draining, return_exceptions=True)

    def _count_seconds_left(self) -> float:
        """Return the seconds until the connection has been open, or idle, for too long."""
        ends = min(self._opened + MAX_SECONDS, self._last_active + IDLE_SECONDS)
        return max(0.0, ends - self._clock())

    async def _close_if_due(self) -> bool:
        """Close the connection if its time is over and nothing runs; return whether it was."""
        if self._is_closed:
            return True
        if self._tasks:
            return False
        if self._draining.is_set():
            await self._close(RESTARTING, "the server is shutting down")
        elif self._clock() >= self._opened + MAX_SECONDS:
            message = f"the connection has been open for {MAX_SECONDS / 60:g} minutes: open another"
            await self._refuse(BadRequestError(message, code="websocket_connection_limit_reached"))
            await self._close(GOING_AWAY, "open for too long")
        elif self._count_seconds_left() == 0:
            await self._close(GOING_AWAY, "idle for too long")
        return self._is_closed

    async def _take(self, data: str | bytes) -> None:
        """Carry out one message of the client; one that is no good is answered and forgotten."""
        self._last_active = self._clock()
        try:
            message = read_message(data)
            if isinstance(message, Steer):
                await self._steer(message)
            else:
                self._enqueue(message)
        except ApiError as error:
            await self._refuse(error)

    def _enqueue(self, create: Create) -> None:
        """Have a response written after those of its lane.

        Raises:
            ApiError: 429, too much waits.
        """
        waiting = [other for lane in self._lanes.values() for other in lane.waiting]
        num_bytes = sum(other.num_bytes for other in waiting)
        is_too_much = bool(waiting) and num_bytes + create.num_bytes > self._max_bytes
        if is_too_much or len(waiting) + len(self._tasks) >= MAX_OPEN:
            raise ApiError(
                429,
                "too many responses of this connection wait; wait for one of them to end",
                type="rate_limit_error",
                code="too_many_waiting_responses",
            )
        lane = self._lanes.get(create.stream_id)
        if lane is not None:
            lane.waiting.append(create)
            return
        lane = self._lanes[create.stream_id] = Lane(self._context)
        lane.waiting.append(create)
        task = asyncio.create_task(self._work(create.stream_id, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, stream_id: str | None, lane: Lane) -> None:
        try:
            await lane.work()
        finally:
            del self._lanes[stream_id]
            self._last_active = self._clock()

    async def _steer(self, steer: Steer) -> None:
        """Accept a steer and have its response end soon, or tell why not."""
        target = self._known.find(steer.previous_response_id)
        if target is None:
            message = "no response with this id was created on this connection"
            event = make_failed_event(steer, "response_not_found", message)
            await self._send({**event, "sequence_number": 0})
            return
        refusal = target.find_refusal()
        try:
            steer.to_items()
        except SteerInputError as error:
            refusal = "invalid_input", str(error)
        if refusal is not None:
            await self._send(target.number(make_failed_event(steer, *refusal)))
            return
        await self._send(target.accept(steer))
        if target.link.reply is not None:
            # An engine that is dead ends the response by itself.
            with suppress(EngineError):
                await target.link.reply.stop()

    async def _refuse(self, error: ApiError) -> None:
        await self._send(make_error_event(error.status, error.to_dict()["error"]))

    async def _send(self, event: Event) -> None:
        """Send an event; once the client has left, do nothing."""
        if self._is_closed:
            return
        try:
            async with self._sending:
                await self._websocket.send_text(_to_json(event))
        except (WebSocketDisconnect, RuntimeError):
            self._is_closed = True

    async def _close(self, code: int, reason: str) -> None:
        self._is_closed = True
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # the client was faster
