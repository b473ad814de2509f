"""Server-sent events, with keep-alive comments while a stream is silent.

Not a library's response class for two reasons: a thought may run long without an event, so a
disconnect must be detected at once; and an open stream must continue after SIGTERM until it ends.
Knows nothing of the content of events.
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.http.disconnect import wait_for_disconnect

# No blank line: some clients (openai-go before 3.4) take a comment with one for an empty event. So
# the comment is the first line of the next event.
KEEP_ALIVE = b": keep-alive\n"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx
}
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def format_sse_event(data: Any, event: str | None = None) -> bytes:
    """Format an event with JSON `data`. ASCII, since some clients read U+2028 as a line break."""
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {_to_json(data)}\n\n".encode()


class EventStream(Response):
    """A response that sends `events` (already encoded), with comments during long silences.

    Always closes `events`, immediately if the client disconnects.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], keep_alive_seconds: float) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._keep_alive_seconds = keep_alive_seconds
        self._is_silent = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Return when the events have ended or the client has disconnected."""
        sending = asyncio.create_task(self._send_events(send))
        leaving = asyncio.create_task(wait_for_disconnect(receive))
        pinging = asyncio.create_task(self._keep_alive(send))
        tasks = (sending, leaving, pinging)
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], Exception) and not isinstance(results[0], OSError):
            raise results[0]  # OSError: the client has disconnected

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
        """Check twice per period, so that no silence is longer than one period."""
        while True:
            self._is_silent = True
            await asyncio.sleep(self._keep_alive_seconds / 2)
            if self._is_silent:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})
