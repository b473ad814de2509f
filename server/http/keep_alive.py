"""Middleware that tells clients how long an idle connection stays open.

Pools that read ``Keep-Alive`` then never send a request on a connection that the server is about
to close. Closes nothing itself.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.middleware import HttpMiddleware


class KeepAliveMiddleware(HttpMiddleware):
    """Adds ``keep-alive: timeout=…`` to responses after which the connection stays open."""

    def __init__(self, app: ASGIApp, seconds: int) -> None:
        super().__init__(app)
        self.value = f"timeout={seconds}"

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, adding the header to its response."""
        may_stay = scope["http_version"] == "1.1" and not _has_close(Headers(scope=scope))

        async def send_with_time(message: Message) -> None:
            if may_stay and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if not _has_close(headers):
                    headers["keep-alive"] = self.value
            await send(message)

        await self.app(scope, receive, send_with_time)


def _has_close(headers: Headers) -> bool:
    lines = headers.getlist("connection")
    return "close" in {word.strip().lower() for line in lines for word in line.split(",")}
