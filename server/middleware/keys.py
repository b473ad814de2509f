"""Middleware that authenticates requests before their body is read.

Every path needs a key unless it is listed: paths added later do, and so do paths that do not
exist, so that clients without a key learn nothing about either. The endpoints check what a key's
holder may do.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server.account.account import get_account
from server.callers.context import cache_owner, caller
from server.errors.api import ApiError, NotAllowedError
from server.http.middleware import HttpMiddleware
from server.keys.anonymous import check_host
from server.keys.credentials import read_presented_secret
from server.keys.key import AccessKey
from server.middleware.errors import answer
from server.state import Services

# For health probes and for clients that try the connection first: reveal only what kind of server
# this is and whether it is ready. The pages ask the API for all else, with a key.
OPEN_PATHS = frozenset({"/", "/api/hello", "/docs", "/health", "/status"})
OPEN_PREFIX = "/static/"
METRICS_PATH = "/metrics"
# Traces may also be read with a separate token.
TRACES_PATH = "/v1/thinking/traces"
# Where a WebSocket may be opened: its handshake and each of its messages is a request of its own.
SOCKET_PATHS = frozenset({"/v1/responses"})


class InvalidKeyError(ApiError):
    """401, with the same message whatever is wrong, so that clients cannot tell what exists."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "a valid key is needed: send it as 'authorization: Bearer …' or 'x-api-key: …'",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )


class KeyMiddleware(HttpMiddleware):
    """Sets the key of the request's account, or answers the request with an error."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        super().__init__(app)
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close sockets, except on paths that authenticate each of their requests here.

        See :class:`HttpMiddleware` for the rest.
        """
        if scope["type"] == "websocket" and scope["path"] not in SOCKET_PATHS:
            await send({"type": "websocket.close", "code": 1008})
        else:
            await super().__call__(scope, receive, send)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app, or answer 401 or 403."""
        account = get_account(Request(scope))
        try:
            account.key = self._key_of(scope)
        except ApiError as error:
            response = await answer(Request(scope), error)
            await response(scope, receive, send)
            return
        await self._pass_on(account.key, scope, receive, send)

    async def _pass_on(self, key: AccessKey, scope: Scope, receive: Receive, send: Send) -> None:
        owner = key.key_id if self.services.settings.isolate_prefix_cache else None
        tokens = caller.set(key.key_id), cache_owner.set(owner)
        try:
            await self.app(scope, receive, send)
        finally:
            caller.reset(tokens[0])
            cache_owner.reset(tokens[1])

    def _key_of(self, scope: Scope) -> AccessKey:
        path, keys, settings = scope["path"], self.services.keys, self.services.settings
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return self.services.anonymous
        if not keys.are_needed:
            check_host(settings, scope)
            return self.services.anonymous
        if path == METRICS_PATH and settings.metrics_access == "open":
            return self.services.anonymous
        secret = read_presented_secret(scope)
        key = keys.find(secret) if secret else None
        if key is None and secret and _is_of_traces(path):
            key = self.services.trace_access.find_key(secret)
        if key is None:
            raise InvalidKeyError
        if path == METRICS_PATH and not key.reads_metrics:
            raise NotAllowedError("this key may not read metrics (reads_metrics)")
        return key


def _is_of_traces(path: str) -> bool:
    return path == TRACES_PATH or path.startswith(f"{TRACES_PATH}/")
