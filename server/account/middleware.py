"""Middleware: opens each request's account, and settles it when the response has ended.

Whatever happens in between (an error, a client that leaves, a cancelled task): what was
taken for the request is given back here, once. Decides nothing itself.
"""

import asyncio
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.account.account import RequestAccount
from server.error_shapes import speaks_anthropic
from server.metrics import Metrics

# Is told of each request that has ended.
Observer = Callable[[RequestAccount], None]


class AccountMiddleware:
    """``scope["state"]["account"]`` is the account; `observers` see it last."""

    def __init__(self, app: ASGIApp, metrics: Metrics, observers: Sequence[Observer] = ()) -> None:
        self.app = app
        self.metrics = metrics
        self.observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; settle when the response has ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        account = RequestAccount(
            state["request_id"],
            self.metrics,
            method=scope["method"],
            trace_context=_trace_context(Headers(scope=scope)),
            speaks_anthropic=speaks_anthropic(scope),
        )
        state["account"] = account

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                account.status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in account.headers.items():
                    headers[name] = value
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            account.endpoint = getattr(scope.get("route"), "path", "unknown")
            # To its end, though this task may be on its own.
            await asyncio.shield(self._settle(account))

    async def _settle(self, account: RequestAccount) -> None:
        try:
            await account.at_end.aclose()
        finally:
            for observer in self.observers:
                observer(account)


def _trace_context(headers: Headers) -> dict[str, str]:
    """Of the W3C's Trace Context: the trace that the caller has begun."""
    names = ("traceparent", "tracestate")
    return {name: headers[name] for name in names if name in headers}
