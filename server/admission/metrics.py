"""Prometheus metrics of admission and of budgets under load. No label: nothing of a request."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

QUEUE_BUCKETS = (0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)


class AdmissionMetrics:
    """Gauges are read when they are scraped."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue_length = Gauge(
            "thinking_queue_length", "Requests that wait for a place.", registry=registry
        )
        self._admitted = Gauge(
            "thinking_admitted_requests", "Engine requests that hold a place.", registry=registry
        )
        self.queue_seconds = Histogram(
            "thinking_queue_seconds",
            "Time that admitted requests have waited for their place.",
            buckets=QUEUE_BUCKETS,
            registry=registry,
        )
        self._load = Gauge("thinking_load", "Load of the server, 0 to 1.", registry=registry)
        self._share = Gauge(
            "thinking_load_budget_share",
            "Share of their size that default budgets have under this load.",
            registry=registry,
        )

    def read_from(self, num_waiting: Callable[[], int], num_held: Callable[[], int]) -> None:
        """Where the queue's gauges are read."""
        self._queue_length.set_function(lambda: float(num_waiting()))
        self._admitted.set_function(lambda: float(num_held()))

    def read_load_from(self, load: Callable[[], float], share: Callable[[], float]) -> None:
        """Where those of the load are read."""
        self._load.set_function(load)
        self._share.set_function(share)
