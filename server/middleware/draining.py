"""Middleware: while the server drains, no connection is used again.

A proxy that keeps connections open would otherwise send its next requests to a server that
refuses them. Refuses nothing itself.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.state import ServerState


class DrainingMiddleware:
    """Says ``connection: close`` on responses that begin while `state` drains; the HTTP server
    then does so."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding the header."""

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self.state.draining:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self.app(scope, receive, send_and_close)
