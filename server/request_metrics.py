"""Middleware: counts requests by route and status, and those being answered."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.metrics import Metrics


class RequestMetricsMiddleware:
    """A request that matches no route is counted under "unknown", whatever its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count when the response has ended."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500  # unless a response begins

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, send_noting_status)
            finally:
                endpoint = getattr(scope.get("route"), "path", "unknown")
                self.metrics.requests.labels(endpoint, str(status)).inc()
