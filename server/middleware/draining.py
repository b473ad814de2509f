"""Middleware that prevents connections from being reused while the server drains.

A proxy that keeps connections open would otherwise send its next requests to a server that
refuses them. Refuses nothing itself.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.middleware import HttpMiddleware
from server.state import EngineSlot


class DrainingMiddleware(HttpMiddleware):
    """Adds ``connection: close`` to responses that begin while `slot` drains.

    The HTTP server closes the connection because of that header.
    """

    def __init__(self, app: ASGIApp, slot: EngineSlot) -> None:
        super().__init__(app)
        self.slot = slot

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, adding the header to its response."""

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self.slot.is_draining:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self.app(scope, receive, send_and_close)
