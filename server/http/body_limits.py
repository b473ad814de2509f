"""Middleware: a body that is too large, or takes too long to arrive, is refused.

A declared length is refused before a byte is read; a chunked body as soon as it has grown too
long. Without a deadline a client that sends one byte a minute would hold its request for ever.
Does not read bodies itself; what comes after a body (the client's leaving) has no time limit.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors.api import BodyTimeoutError, BodyTooLargeError


class BodyLimitMiddleware:
    """Raises where the body is read; the error handlers answer it."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with a counting `receive`."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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


class BodyTimeoutMiddleware:
    """Raises where the body is read; the error handlers answer it."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with a `receive` that has a deadline until the body is complete."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
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
