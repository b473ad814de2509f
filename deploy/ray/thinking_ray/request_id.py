"""Middleware that leaves one `x-request-id` on a response: that of Ray's proxy.

The proxy numbers each request, and the server takes that number for its own; both then send it.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"


class ProxyRequestIdMiddleware:
    """Removes the server's header, which has the same value as the proxy's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; its response does not name the request."""

        async def send_unnamed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                headers = MutableHeaders(scope=message)
                if HEADER in headers:
                    del headers[HEADER]
            await send(message)

        await self.app(scope, receive, send_unnamed)
