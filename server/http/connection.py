"""A connection that nobody can hold for nothing: uvicorn's, with limits of time and size.

uvicorn has none for a head that trickles or never ends, a body that never ends, a client
that takes no answer, and requests that are sent before the last one is answered. What a
request asks for is not known here.
"""

import asyncio
import json
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from server.errors.shapes import openai_error
from server.http.connection_limits import (
    LINGER_SECONDS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MIN_SEND_RATE,
    ConnectionLimits,
)

_VERSIONS = ("1.0", "1.1")


class HttpConfig(Config):
    """uvicorn's configuration, with the limits of its connections."""

    def __init__(self, app: Any, limits: ConnectionLimits, **options: Any) -> None:
        # No WebSockets: nothing here speaks them.
        super().__init__(
            app, http=GuardedConnection, ws="none", lifespan="off", server_header=False, **options
        )
        self.limits = limits


class RefusedHeadError(ValueError):
    """A head that is not read on. Raised in the parser's callbacks, which answers it."""


class GuardedConnection(HttpToolsProtocol):
    """One connection. Each wait has a timer; what comes too early is dropped.

    A client that sends a request before the last one is answered (pipelining) gets that
    answer, and the connection is closed: no request waits in memory, and the client's leaving
    is always seen.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _silent_since = 0.0
    _num_head_bytes = 0
    _num_waiting_bytes = 0  # of a head that is not complete, counted by what arrives
    _in_head = False
    _in_body = False
    _is_early = False  # bytes came before the last answer was out
    _refusal = 400

    @property
    def limits(self) -> ConnectionLimits:
        """The server's."""
        return cast(HttpConfig, self.config).limits

    @property
    def is_answering(self) -> bool:
        """Whether a request is with the app."""
        current = self.current
        return current is not None and not current.response_complete

    @property
    def current(self) -> RequestResponseCycle | None:
        """The last request, answered or not; before the first there is none."""
        return self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections and not self._displace_another():
            self._refuse(503, "too many connections", "too_many_connections")
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._head_timer, self._body_timer, self._send_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.is_answering and not self._in_body:
            if data.strip(b"\r\n"):  # some clients end a body with a line
                self._come_early()
            return
        was_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if was_in_head and self._in_head:
            self._num_waiting_bytes += len(data)
            if self._num_waiting_bytes > MAX_HEAD_BYTES:
                self._refuse_head(431)
                return
        if not self.is_answering and not self._in_body:
            self._await_head()

    def on_message_begin(self) -> None:
        if self.is_answering:
            self._come_early()
            return
        if not self.transport.get_write_buffer_size():  # the last answer has been taken
            self._stop(self._send_timer)
        self._in_head = True
        self._num_head_bytes = self._num_waiting_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_early:
            self._count_head(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_early:
            return
        self._count_head(len(name) + len(value) + 4)
        if not self._in_body:  # a trailer is no header: it comes after all checks
            super().on_header(name, value)
            if len(self.headers) > MAX_HEADERS:
                raise self._refused(431)

    def on_headers_complete(self) -> None:
        if self._is_early:
            return
        num_hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in _VERSIONS or num_hosts > 1 or (num_hosts == 0 and version != "1.0"):
            raise self._refused(400)
        self._stop(self._head_timer)
        self._head_timer = None
        self._in_head, self._in_body = False, True
        seconds = self.limits.body_seconds + LINGER_SECONDS  # after the app's own 408
        self._body_timer = self.loop.call_later(seconds, self._close_unread)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_early:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_early:
            return
        self._in_body = False
        self._stop(self._body_timer)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._silent_since = self.loop.time()
        if self.transport.get_write_buffer_size():
            self._await_taking()
        if self._is_early:
            self.transport.close()
        elif self._in_body:
            self._stop(self._body_timer)
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self._close_unread)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._send_timer)

    def send_400_response(self, msg: str) -> None:
        """What the parser does not take; in the shape of our API."""
        current = self.current
        if current is not None and current.response_started and self._in_body:
            self.transport.close()  # it has been answered
            return
        self._refuse_head(self._refusal)

    def _come_early(self) -> None:
        self._is_early = True
        self.cycle.keep_alive = False

    def _count_head(self, num_bytes: int) -> None:
        self._num_head_bytes += num_bytes
        if self._num_head_bytes > MAX_HEAD_BYTES:
            raise self._refused(431)

    def _refused(self, status: int) -> type[RefusedHeadError]:
        self._refusal = status
        return RefusedHeadError

    def _refuse_head(self, status: int) -> None:
        messages = {
            400: "malformed HTTP request",
            408: "the request's headers took too long",
            431: f"more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} lines of headers",
        }
        self._refuse(status, messages[status], "malformed_http")

    def _refuse(self, status: int, message: str, code: str) -> None:
        kind = "invalid_request_error" if status < 500 else "service_unavailable"
        body = json.dumps(openai_error(message, kind, None, code)).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()

    def _await_head(self) -> None:
        """A head is to come, within its time; between two requests uvicorn's own is shorter."""
        if self._head_timer is None and self.timeout_keep_alive_task is None:
            self._silent_since = self.loop.time()
            self._head_timer = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._in_head:
            self._refuse_head(408)
        else:
            self.transport.close()

    def _await_taking(self) -> None:
        self._stop(self._send_timer)
        unsent = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(
            self.limits.send_seconds, self._abort_untaken, unsent
        )

    def _abort_untaken(self, num_before: int) -> None:
        """Cut the client off, but for one that takes what waits, if slowly."""
        num_unsent = self.transport.get_write_buffer_size()
        if not num_unsent:
            return
        if num_before - num_unsent < MIN_SEND_RATE * self.limits.send_seconds:
            self.transport.abort()
        else:
            self._await_taking()

    def _close_unread(self) -> None:
        if self._in_body:
            self.transport.close()

    def _displace_another(self) -> bool:
        """Close the connection that has been without a request for longest; False: none is."""
        others = [
            other
            for other in self.connections
            if isinstance(other, GuardedConnection)
            and other is not self
            and not (other.is_answering or other._in_body or other.transport.is_closing())
        ]
        if others:
            min(others, key=lambda other: other._silent_since).transport.abort()
        return bool(others)

    @staticmethod
    def _stop(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
