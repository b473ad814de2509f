"""Metrics of HTTP requests: how many, how long, how they ended, and why they were refused.

Labels come from closed sets: an endpoint is its route's template or "unknown", a cause one of
:data:`server.errors.causes.CAUSES`. Neither methods nor paths nor texts of errors become one.
"""

from prometheus_client import CollectorRegistry

from server.errors.causes import CAUSES, cause_of
from server.metrics.making import closed_counter, counter, gauge, histogram


class RequestMetrics:
    """Each request is counted once, at its end; `rejections` and `stream_errors` are apart."""

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
        self.in_flight = gauge(own, "requests_in_flight", "Requests being answered.")

    def observe(
        self, endpoint: str, status: int, seconds: float, error_code: str | None, *, left: bool
    ) -> None:
        """A request has ended. `left`: the client did not wait for that."""
        self.requests.labels(endpoint, str(status)).inc()
        self.seconds.labels(endpoint).observe(seconds)
        if left:
            self.clients_left.inc()
        elif status >= 400:
            self.rejections.labels(cause_of(error_code)).inc()
        elif error_code is not None:
            self.stream_errors.labels(cause_of(error_code)).inc()
