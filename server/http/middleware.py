"""The common part of our middleware: only HTTP requests concern it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HttpMiddleware:
    """Base class: passes scopes other than HTTP requests (the lifespan) through unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an HTTP request; call the app directly for anything else."""
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request: call the app, or answer in its place."""
        raise NotImplementedError
