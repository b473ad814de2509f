"""Server-sent events: a stream that stays alive while it is silent.

Ours rather than a library's for two reasons: a thought may run long without an event,
so a client's leaving must be seen at once, and an open stream must outlive SIGTERM until
it has ended. Knows nothing of what the events hold.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.http.disconnect import until_disconnect

KEEP_ALIVE = b": keep-alive\n\n"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx
}
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def sse_event(data: Any, event: str | None = None) -> bytes:
    """One event with JSON `data`; ASCII, as some clients take U+2028 for the end of a line."""
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {_to_json(data)}\n\n".encode()


class EventStream(Response):
    """Sends `events` (encoded already), with comments in long silences.

    Closes `events` in any case; at once where the client leaves.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], keep_alive_seconds: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._keep_alive_seconds = keep_alive_seconds
        self._is_silent = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; return once the events have ended or the client has left."""
        sending = asyncio.create_task(self._send_events(send))
        leaving = asyncio.create_task(until_disconnect(receive))
        pinging = asyncio.create_task(self._keep_alive(send))
        tasks = (sending, leaving, pinging)
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], Exception) and not isinstance(results[0], OSError):
            raise results[0]  # OSError: the client has left

    async def _send_events(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for event in events:
                self._is_silent = False
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep_alive(self, send: Send) -> None:
        """Look twice a period, so that no silence is longer than one."""
        while True:
            self._is_silent = True
            await asyncio.sleep(self._keep_alive_seconds / 2)
            if self._is_silent:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
