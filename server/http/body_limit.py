"""Middleware: a body larger than the limit is refused while it is read.

A declared length is refused before a byte is read; a chunked body as soon as it has
grown too long. Does not read bodies itself.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors.api import BodyTooLargeError


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
