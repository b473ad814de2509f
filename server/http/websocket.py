"""uvicorn's WebSocket connection with a limit on the time in which its client reads nothing.

Does not know the content of messages.
"""

import asyncio
from typing import cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.http.connection_limits import ConnectionLimits


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is aborted if its client does not read what is sent to it."""

    _send_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop_timer()
        limits = cast(ConnectionLimits, self.config.limits)  # type: ignore[attr-defined]
        self._send_timer = self.loop.call_later(limits.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
