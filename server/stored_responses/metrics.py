"""Metrics of replies in the background, and whether the store of responses responds."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from server.metrics.factories import closed_counter, gauge

ENDS = ("completed", "incomplete", "failed", "cancelled")


class ResponseStoreMetrics:
    """Metrics of one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.store_up = gauge(
            registry,
            "response_store_up",
            "1: the store of responses responded to the last command.",
        )
        self.store_up.set(1)
        self.running = gauge(
            registry, "background_replies_running", "Replies being written in the background."
        )
        self.ended = closed_counter(
            registry,
            "background_replies",
            "Replies in the background that have ended, by their status.",
            "end",
            ENDS,
        )

    def count_running(self, count: Callable[[], int]) -> None:
        """Call `count` at each scrape."""
        self.running.set_function(count)
