"""Middleware that answers HEAD wherever GET is answered: the same headers, no body."""

from starlette.types import Message, Receive, Scope, Send

from server.http.middleware import HttpMiddleware


class HeadMiddleware(HttpMiddleware):
    """Runs the app with GET in place of HEAD. Only what is outside of it sees the HEAD."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, and drop the body of a response to HEAD."""
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, send_head)
        finally:
            scope.update({**inner, "method": "HEAD"})  # the route, for metrics and logs
