"""Middleware that opens each request's account and settles it when the request has ended.

Whatever happens in between (an error, a client disconnect, a cancelled task), everything held
for the request is released here, exactly once, and the request is counted. A request ends with its
response, or later, with a reply that goes on in the background. Makes no decisions itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.account.account import RequestAccount
from server.errors.shapes import is_anthropic_request
from server.errors.translation import to_api_error
from server.http.middleware import HttpMiddleware
from server.metrics import Metrics

# Called with the account of each request that has ended.
Observer = Callable[[RequestAccount], None]


class AccountMiddleware(HttpMiddleware):
    """Sets ``scope["state"]["account"]``; `observers` are called last, when it is settled.

    The endpoint of a request that matches no route is "unknown", whatever its path.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, observers: Sequence[Observer] = ()) -> None:
        super().__init__(app)
        self.metrics = metrics
        self.observers = observers

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; release the account when the response has ended."""
        state = scope.setdefault("state", {})
        account = state["account"] = RequestAccount(
            state["request_id"],
            self.metrics,
            method=scope["method"],
            trace_context=_trace_context(Headers(scope=scope)),
            speaks_anthropic=is_anthropic_request(scope),
        )
        account.settle = partial(self._settle, account, scope)
        watched = _WatchedRequest(account, receive, send)
        try:
            with self.metrics.requests.in_flight.track_inprogress():
                await self.app(scope, watched.receive, watched.send)
        except Exception as error:  # answered outside of us
            account.error_code = account.error_code or to_api_error(error).code
            raise
        finally:
            # Settle completely, even if this task is being cancelled.
            await asyncio.shield(account.release())

    async def _settle(self, account: RequestAccount, scope: Scope) -> None:
        account.endpoint = getattr(scope.get("route"), "path", "unknown")
        self.metrics.requests.observe(
            account.endpoint,
            500 if account.status is None else account.status,
            account.seconds,
            account.error_code,
            left=account.client_left,
        )
        if num_ignored := len(account.ignored_fields):
            self.metrics.requests.ignored_fields.labels(account.endpoint).inc(num_ignored)
        try:
            await account.at_end.aclose()
        finally:
            for observer in self.observers:
                observer(account)


class _WatchedRequest:
    """Records the response status and a client disconnect in the account."""

    def __init__(self, account: RequestAccount, receive: Receive, send: Send) -> None:
        self._account = account
        self._receive = receive
        self._send = send
        self._is_sent = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_sent:
            # A reply in the background misses nobody.
            self._account.client_left = not self._account.outlives_response
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._account.status = message["status"]
            MutableHeaders(scope=message).update(self._account.headers)
        elif not message.get("more_body", False):
            self._is_sent = True
        await self._send(message)


def _trace_context(headers: Headers) -> dict[str, str]:
    """Return the W3C Trace Context headers of the caller's trace."""
    names = ("traceparent", "tracestate")
    return {name: headers[name] for name in names if name in headers}
