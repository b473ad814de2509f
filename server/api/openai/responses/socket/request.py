"""A message of a socket as an HTTP request of its own, which the server sends to itself.

So it is authenticated, limited, admitted, counted, logged and settled as a request over HTTP is,
by the same code. Its client has left when the socket's has. Does not know what a message means.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from server.api.openai.responses.output_items import Event
from server.errors.api import ApiError

PATH = "/v1/responses"
# Headers of the handshake that are about its connection, body or page, not about its caller.
_OF_HANDSHAKE = frozenset(
    {b"connection", b"upgrade", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"expect"}
    | {b"content-type", b"content-length", b"content-encoding", b"accept", b"x-request-id"}
)
_OF_PAGE = b"origin"
_OF_PROTOCOL = b"sec-websocket-"
_JSON = (b"content-type", b"application/json")
_EVENTS = b"text/event-stream"
# What of an error's headers its event has.
_SHOWN = ("retry-after", "x-request-id", "x-ratelimit-")
_DATA = b"data: "

logger = logging.getLogger(__name__)
EventSink = Callable[[Event], Awaitable[None]]


@dataclass(slots=True)
class Answer:
    """Response to a request that has no events."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def to_error_event(self) -> Event:
        """Return the event of a request that was refused, as OpenAI's WebSocket mode has it."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in self.headers
            if name.decode("latin-1").startswith(_SHOWN)
        }
        return make_error_event(self.status, self.error | {"headers": headers})

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


@dataclass(eq=False)
class SocketRequest:
    """Request of a socket with the scope `socket`, to be run once.

    `state` is what it shares with its socket. Each event of the response goes to `sink`.
    """

    socket: Scope
    method: str
    state: dict[str, Any]
    body: bytes = b""
    sink: EventSink | None = None
    _left: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _is_read: bool = field(default=False, init=False)
    _answer: Answer | None = field(default=None, init=False)
    _has_events: bool = field(default=False, init=False)
    _unread: bytes = field(default=b"", init=False)

    def hang_up(self) -> None:
        """Let the request know that its client has left."""
        self._left.set()

    async def run(self, app: ASGIApp) -> Answer | None:
        """Run the request to its end; return its response, or None if that was its events."""
        try:
            await app(self._make_scope(), self._receive, self._send)
        except Exception:  # answered before it was raised, for the HTTP server to log
            logger.exception("a request of a socket failed")
        if self._has_events:
            return None
        return self._answer or Answer(500, [], json.dumps(_internal_error()).encode())

    def _make_scope(self) -> Scope:
        socket, is_handshake = self.socket, self.method == "GET"
        headers = [
            (name, value)
            for name, value in socket["headers"]
            if name not in _OF_HANDSHAKE
            and not name.startswith(_OF_PROTOCOL)
            and (is_handshake or name != _OF_PAGE)
        ]
        if self.body:
            headers += [_JSON, (b"content-length", b"%d" % len(self.body))]
        return {
            "type": "http",
            "asgi": socket["asgi"],
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https" if socket["scheme"] == "wss" else "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": socket.get("client"),
            "server": socket.get("server"),
            "state": dict(self.state),
        }

    async def _receive(self) -> Message:
        if not self._is_read:
            self._is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            self._answer = Answer(message["status"], headers)
            kinds = [value for name, value in headers if name.lower() == b"content-type"]
            self._has_events = bool(kinds) and kinds[0].startswith(_EVENTS)
            return
        assert self._answer is not None  # the start comes first
        if not self._has_events:
            self._answer.body += message.get("body", b"")
        elif self.sink is not None:
            for event in self._read_events(message.get("body", b"")):
                await self.sink(event)

    def _read_events(self, data: bytes) -> Iterator[Event]:
        """Yield the events that are complete; comments and names of events are not needed."""
        *frames, self._unread = (self._unread + data).split(b"\n\n")
        for frame in frames:
            for line in frame.split(b"\n"):
                if line.startswith(_DATA):
                    yield json.loads(line.removeprefix(_DATA))


def make_error_event(status: int, error: dict[str, Any]) -> Event:
    """Return the event of a message that was refused."""
    return {"type": "error", "status": status, "error": error}


def _internal_error() -> dict[str, Any]:
    return ApiError(500, "internal error", type="internal_error", code="internal_error").to_dict()
