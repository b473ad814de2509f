"""uvicorn's HTTP connection with limits on time and size.

uvicorn has no limits for a request head that is slow or endless, a body that never ends, a client
that does not read its response, and pipelined requests. Does not know the content of requests.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.http.connection_limits import (
    KEEP_ALIVE_GRACE_SECONDS,
    LINGER_SECONDS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MIN_SEND_RATE,
    ConnectionLimits,
)
from server.http.refusals import HEAD_REFUSALS, format_refusal
from server.http.request_parser import RequestParser
from server.http.websocket import GuardedWebSocket

_VERSIONS = ("1.0", "1.1")


class HttpConfig(Config):
    """uvicorn's configuration with connection limits."""

    def __init__(
        self,
        app: Any,
        limits: ConnectionLimits,
        *,
        socket_paths: Sequence[str] = (),
        max_message_bytes: int = 0,
        **options: Any,
    ) -> None:
        """A WebSocket may be opened on `socket_paths` only.

        A request for one on another path is answered as the HTTP request that it is.
        """
        super().__init__(
            app,
            http=GuardedConnection,
            ws=GuardedWebSocket,
            ws_max_size=max_message_bytes,
            ws_per_message_deflate=False,  # a small message could be a large one
            lifespan="off",
            server_header=False,
            timeout_keep_alive=limits.keep_alive_seconds + KEEP_ALIVE_GRACE_SECONDS,
            **options,
        )
        self.limits = limits
        self.socket_paths = frozenset(path.encode() for path in socket_paths)


class RefusedHeadError(ValueError):
    """The request head is rejected. Raised in callbacks of the parser, which sends the response."""


class GuardedConnection(HttpToolsProtocol):
    """An HTTP connection on which every wait has a time limit.

    If a client sends a request before the previous response is complete (pipelining), it gets that
    response, the early request is dropped, and the connection is closed. So no request waits in
    memory, and a disconnect is always detected.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _silent_since = 0.0
    _num_head_bytes = 0
    _num_waiting_bytes = 0  # received bytes of an incomplete head
    _in_head = False
    _in_body = False
    _is_handshake = False  # of a WebSocket; what follows its head is none of ours
    _is_early = False  # bytes arrived before the last response was complete
    _refusal = 400

    @property
    def limits(self) -> ConnectionLimits:
        """The server's connection limits."""
        return cast(HttpConfig, self.config).limits

    @property
    def is_answering(self) -> bool:
        """True while the app handles a request."""
        current = self.current
        return current is not None and not current.response_complete

    @property
    def current(self) -> RequestResponseCycle | None:
        """The last request, complete or not; None before the first."""
        return self.cycle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.parser = RequestParser(self)  # type: ignore[assignment]
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
            if data.strip(b"\r\n"):  # some clients send a line break after the body
                self._mark_early()
            return
        was_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_handshake:
            self._stop(self._head_timer, self._body_timer, self._send_timer)
            self.scope["method"] = "GET"
            self.handle_websocket_upgrade()
            return
        if was_in_head and self._in_head:
            self._num_waiting_bytes += len(data)
            if self._num_waiting_bytes > MAX_HEAD_BYTES:
                self._refuse_head(431)
                return
        if not self.is_answering and not self._in_body:
            self._await_head()

    def on_message_begin(self) -> None:
        if self._is_handshake:  # its client may send nothing before it is answered
            raise self._make_refusal(400)
        if self.is_answering:
            self._mark_early()
            return
        if not self.transport.get_write_buffer_size():  # the client has read the last response
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
        if not self._in_body:  # trailers are ignored: they arrive after all checks
            super().on_header(name, value)
            if len(self.headers) > MAX_HEADERS:
                raise self._make_refusal(431)

    def on_headers_complete(self) -> None:
        if self._is_early:
            return
        num_hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in _VERSIONS or num_hosts > 1 or (num_hosts == 0 and version != "1.0"):
            raise self._make_refusal(400)
        self._stop(self._head_timer)
        self._head_timer = None
        self._in_head, self._in_body = False, True
        if self._asks_for_socket(version):
            self._is_handshake = True
            return
        seconds = self.limits.body_seconds + LINGER_SECONDS  # later than the app's own 408
        self._body_timer = self.loop.call_later(seconds, self._close_unread)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._is_early:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_early:
            return
        self._in_body = False
        if self._is_handshake:
            return
        self._stop(self._body_timer)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._silent_since = self.loop.time()
        if self.transport.get_write_buffer_size():
            self._start_send_timer()
        if self._is_early:
            self.transport.close()
        elif self._in_body:
            self._stop(self._body_timer)
            self._body_timer = self.loop.call_later(LINGER_SECONDS, self._close_unread)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_send_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._send_timer)

    def send_400_response(self, msg: str) -> None:
        """Reject what the parser does not accept, with an error object of the API."""
        current = self.current
        if current is not None and current.response_started and self._in_body:
            self.transport.close()  # the response has already started
            return
        self._refuse_head(self._refusal)

    def _asks_for_socket(self, version: str) -> bool:
        """Return whether the head is the handshake of a WebSocket, on a path that has one."""
        paths = cast(HttpConfig, self.config).socket_paths
        path = self.url.partition(b"?")[0].rstrip(b"/")
        if path not in paths or version != "1.1" or self.parser.get_method() != b"GET":
            return False
        lines = dict(self.headers)
        if b"transfer-encoding" in lines or lines.get(b"content-length", b"0") != b"0":
            return False
        return self._get_upgrade() == b"websocket" and b"sec-websocket-key" in lines

    def _mark_early(self) -> None:
        self._is_early = True
        self.cycle.keep_alive = False

    def _count_head(self, num_bytes: int) -> None:
        self._num_head_bytes += num_bytes
        if self._num_head_bytes > MAX_HEAD_BYTES:
            raise self._make_refusal(431)

    def _make_refusal(self, status: int) -> type[RefusedHeadError]:
        self._refusal = status
        return RefusedHeadError

    def _refuse_head(self, status: int) -> None:
        self._refuse(status, HEAD_REFUSALS[status], "malformed_http")

    def _refuse(self, status: int, message: str, code: str) -> None:
        self.transport.write(format_refusal(status, message, code))
        self.transport.close()

    def _await_head(self) -> None:
        """Start the timer for the next head. Between requests uvicorn's timer applies."""
        if self._head_timer is None and self.timeout_keep_alive_task is None:
            self._silent_since = self.loop.time()
            self._head_timer = self.loop.call_later(self.limits.head_seconds, self._close_late_head)

    def _close_late_head(self) -> None:
        if self._in_head:
            self._refuse_head(408)
        else:
            self.transport.close()

    def _start_send_timer(self) -> None:
        self._stop(self._send_timer)
        unsent = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(
            self.limits.send_seconds, self._abort_if_stalled, unsent
        )

    def _abort_if_stalled(self, num_before: int) -> None:
        """Abort the connection unless the client reads the pending data at the minimum rate."""
        num_unsent = self.transport.get_write_buffer_size()
        if not num_unsent:
            return
        if num_before - num_unsent < MIN_SEND_RATE * self.limits.send_seconds:
            self.transport.abort()
        else:
            self._start_send_timer()

    def _close_unread(self) -> None:
        if self._in_body:
            self.transport.close()

    def _displace_another(self) -> bool:
        """Close the connection that has been idle for longest. Return False if none is idle."""
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
