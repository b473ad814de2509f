"""Metrics of HTTP requests: their number, duration and status, and why they were refused.

Labels come from closed sets: an endpoint is its route's template or "unknown", a cause one of
:data:`server.errors.causes.CAUSES`. Methods, paths and error texts never become labels.
"""

from prometheus_client import CollectorRegistry

from server.errors.causes import CAUSES, to_cause
from server.metrics.factories import closed_counter, counter, gauge, histogram


class RequestMetrics:
    """Counts each request once, at its end; `rejections` and `stream_errors` never overlap."""

    def __init__(self, registry: CollectorRegistry) -> None:
        own = registry
        self.requests = counter(
            own, "http_requests", "Requests by path and status.", "endpoint", "status"
        )
        self.seconds = histogram(
            own, "http_request_seconds", "From first byte to last.", labels=["endpoint"]
        )
        self.rejections = closed_counter(
            own, "rejections", "Requests answered by an error, by its code.", "cause", CAUSES
        )
        self.stream_errors = closed_counter(
            own, "stream_errors", "Streams that an error ended, by its code.", "cause", CAUSES
        )
        self.clients_left = counter(own, "clients_left", "Requests that their client gave up.")
        self.ignored_fields = counter(
            own, "ignored_fields", "Fields of requests that were not used.", "endpoint"
        )
        self.in_flight = gauge(own, "requests_in_flight", "Requests being answered.")

    def observe(
        self, endpoint: str, status: int, seconds: float, error_code: str | None, *, left: bool
    ) -> None:
        """Count a request that has ended. `left`: its client had disconnected before."""
        self.requests.labels(endpoint, str(status)).inc()
        self.seconds.labels(endpoint).observe(seconds)
        if left:
            self.clients_left.inc()
        elif status >= 400:
            self.rejections.labels(to_cause(error_code)).inc()
        elif error_code is not None:
            self.stream_errors.labels(to_cause(error_code)).inc()
