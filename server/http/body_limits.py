"""Middleware that limits the size of request bodies and the time that they take to arrive.

A body whose declared length is too large is rejected before a byte is read, a chunked body as soon
as it exceeds the limit. Without a time limit, a client that sends one byte a minute could keep its
request open forever. Does not read bodies itself. Messages after the body (the disconnect) have no
time limit.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors.api import BodyTimeoutError, BodyTooLargeError
from server.http.middleware import HttpMiddleware


class BodyLimitMiddleware(HttpMiddleware):
    """Raises BodyTooLargeError when the app reads too large a body."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        super().__init__(app)
        self.max_body_bytes = max_body_bytes

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with a `receive` that counts the bytes of the body."""
        declared = Headers(scope=scope).get("content-length", "")
        is_too_long = declared.isdecimal() and int(declared[:20]) > self.max_body_bytes
        num_read = 0

        async def receive_counted() -> Message:
            nonlocal num_read
            if is_too_long:
                raise BodyTooLargeError(self.max_body_bytes)
            message = await receive()
            num_read += len(message.get("body", b""))
            if num_read > self.max_body_bytes:
                raise BodyTooLargeError(self.max_body_bytes)
            return message

        await self.app(scope, receive_counted, send)


class BodyTimeoutMiddleware(HttpMiddleware):
    """Raises BodyTimeoutError when the app waits too long for the body."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        super().__init__(app)
        self.seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app with a `receive` that has a deadline until the body is complete."""
        deadline = asyncio.get_running_loop().time() + self.seconds
        is_complete = False

        async def receive_in_time() -> Message:
            nonlocal is_complete
            if is_complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise BodyTimeoutError(self.seconds) from None
            is_complete = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)
