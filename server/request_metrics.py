"""Middleware: counts requests by route, status and cause of refusal, and those being answered."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.account.account import account_in
from server.errors import to_api_error
from server.metrics import Metrics


class RequestMetricsMiddleware:
    """A request that matches no route is counted under "unknown", whatever its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count when the response has ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = _ObservedRequest(receive, send)
        error_code = None
        try:
            with self.metrics.in_flight.track_inprogress():
                await self.app(scope, request.receive, request.send)
        except Exception as error:  # answered outside of us
            error_code = to_api_error(error).code
            raise
        finally:
            account = account_in(scope["state"])
            if account is not None:
                error_code = account.error_code = account.error_code or error_code
                account.client_left = request.has_left
            self.metrics.observe(
                getattr(scope.get("route"), "path", "unknown"),
                request.status,
                time.monotonic() - request.started,
                error_code,
                left=request.has_left,
            )


class _ObservedRequest:
    """Watches the messages of one request: its status, and whether its client left."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_sent = False
        self.started = time.monotonic()
        self.status = 500  # unless a response begins
        self.has_left = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_sent:
            self.has_left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body", False):
            self._is_sent = True
        await self._send(message)
