"""Middleware: a body that takes too long to arrive is refused.

Otherwise a client that sends one byte a minute holds its request for ever. Does not read
bodies itself; what comes after a body (the client's leaving) has no time.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors.api import BodyTimeoutError


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
