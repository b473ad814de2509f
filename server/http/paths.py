"""Middleware that gives each path one spelling, before anything decides by it.

Base URLs are typed by people: ``//v1/models``, ``/v1/models/`` and ``/models`` mean
``/v1/models``. Keys, limits, routes and metrics see that spelling only, so none can be reached
around another. Dots and encoded characters are taken as they are. Redirects nothing: where to
would be taken from the caller's ``Host``. Does not know which paths exist.
"""

import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from server.http.middleware import HttpMiddleware

_SLASHES = re.compile(r"/{2,}")


class PathMiddleware(HttpMiddleware):
    """Rewrites ``scope["path"]``.

    `aliases` are paths that are served, with all below them, under `prefix`.
    """

    def __init__(self, app: ASGIApp, prefix: str, aliases: Sequence[str]) -> None:
        super().__init__(app)
        self.prefix = prefix
        self.aliases = frozenset(aliases)
        self.roots = tuple(f"{alias}/" for alias in aliases)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle requests and sockets alike."""
        if scope["type"] in ("http", "websocket"):
            await self.handle(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app with the one spelling of the path."""
        path = _SLASHES.sub("/", scope["path"])
        if len(path) > 1:
            path = path.removesuffix("/")
        if path in self.aliases or path.startswith(self.roots):
            path = self.prefix + path
        scope["path"] = path
        await self.app(scope, receive, send)
