"""Prometheus metrics of admission and of budgets under load. No label: nothing of a request."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from server.metrics.making import gauge, histogram

QUEUE_BUCKETS = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)


class AdmissionMetrics:
    """Gauges are read when they are scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue_length = gauge(registry, "queue_length", "Requests that wait for a place.")
        self._admitted = gauge(registry, "admitted_requests", "Engine requests that hold a place.")
        self.queue_seconds = histogram(
            registry,
            "queue_seconds",
            "Time that admitted requests have waited for their place.",
            QUEUE_BUCKETS,
        )
        self._load = gauge(registry, "load", "Load of the server, 0 to 1.")
        self._share = gauge(
            registry,
            "load_budget_share",
            "Share of their size that default budgets have under this load.",
        )

    def read_from(self, num_waiting: Callable[[], int], num_held: Callable[[], int]) -> None:
        """Where the queue's gauges are read."""
        self._queue_length.set_function(lambda: float(num_waiting()))
        self._admitted.set_function(lambda: float(num_held()))

    def read_load_from(self, load: Callable[[], float], share: Callable[[], float]) -> None:
        """Where those of the load are read."""
        self._load.set_function(load)
        self._share.set_function(share)
