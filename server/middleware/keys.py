"""Middleware: who sends a request is settled before its body is read.

Closed unless listed: a path that is added later needs a key, and so does one that does not
exist, so that strangers learn nothing of either. What a key's holder may do is for the endpoints.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server.account.account import account_of
from server.callers.context import cache_owner, caller
from server.errors.api import ApiError, NotAllowedError
from server.keys.anonymous import check_host
from server.keys.credentials import presented_secret
from server.keys.key import AccessKey
from server.middleware.errors import answer
from server.state import ServerState

# For whoever probes; it tells nothing but ready or not.
OPEN_PATHS = frozenset({"/health"})
METRICS_PATH = "/metrics"
# These have a token of their own beside keys.
TRACES_PATH = "/v1/thinking/traces"


class InvalidKeyError(ApiError):
    """401, in the same words whatever is wrong, so that nobody learns what exists."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "a valid key is needed: send it as 'authorization: Bearer …' or 'x-api-key: …'",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )


class KeyMiddleware:
    """Sets the account's key."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401 or 403. There are no websockets: one is closed."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            account = account_of(Request(scope))
            try:
                account.key = self._key_of(scope)
            except ApiError as error:
                response = await answer(Request(scope), error)
                await response(scope, receive, send)
                return
            await self._pass_on(account.key, scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _pass_on(self, key: AccessKey, scope: Scope, receive: Receive, send: Send) -> None:
        owner = key.key_id if self.state.settings.isolate_prefix_cache else None
        tokens = caller.set(key.key_id), cache_owner.set(owner)
        try:
            await self.app(scope, receive, send)
        finally:
            caller.reset(tokens[0])
            cache_owner.reset(tokens[1])

    def _key_of(self, scope: Scope) -> AccessKey:
        path, keys, settings = scope["path"], self.state.keys, self.state.settings
        if path in OPEN_PATHS:
            return self.state.anonymous
        if not keys.are_needed:
            check_host(settings, scope)
            return self.state.anonymous
        if path == METRICS_PATH and settings.metrics_access == "open":
            return self.state.anonymous
        secret = presented_secret(scope)
        key = keys.find(secret) if secret else None
        if key is None and secret and _is_of_traces(path):
            key = self.state.trace_access.key_of_token(secret)
        if key is None:
            raise InvalidKeyError
        if path == METRICS_PATH and not key.reads_metrics:
            raise NotAllowedError("this key may not read metrics (reads_metrics)")
        return key


def _is_of_traces(path: str) -> bool:
    return path == TRACES_PATH or path.startswith(f"{TRACES_PATH}/")
