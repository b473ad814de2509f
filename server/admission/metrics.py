"""Prometheus metrics of admission and of budgets under load. No labels: nothing of a request."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from server.metrics.factories import gauge, histogram

QUEUE_BUCKETS = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)


class AdmissionMetrics:
    """Metrics of the queue and the load; gauges are read at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue_length = gauge(registry, "queue_length", "Requests that wait for a slot.")
        self._admitted = gauge(registry, "admitted_requests", "Engine requests that hold a slot.")
        self.queue_seconds = histogram(
            registry,
            "queue_seconds",
            "Time that admitted requests have waited for their slot.",
            QUEUE_BUCKETS,
        )
        self._load = gauge(registry, "load", "Load of the server, 0 to 1.")
        self._share = gauge(
            registry,
            "load_budget_share",
            "Share of their full size that default budgets have under the current load.",
        )

    def read_from(self, num_waiting: Callable[[], int], num_held: Callable[[], int]) -> None:
        """Read the queue's gauges from these functions."""
        self._queue_length.set_function(lambda: float(num_waiting()))
        self._admitted.set_function(lambda: float(num_held()))

    def read_load_from(self, load: Callable[[], float], share: Callable[[], float]) -> None:
        """Read the load's gauges from these functions."""
        self._load.set_function(load)
        self._share.set_function(share)
