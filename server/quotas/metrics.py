"""Metrics of quotas: the share used, refusals, and whether the storage responds.

The share used is the one that this server saw last; a window that has ended since counts as
unused.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.keys.labels import OTHER_KEYS, KeyLabels
from server.metrics.factories import PREFIX, counter, gauge
from server.quotas.usage import QuotaUsage


class QuotaMetrics:
    """Quota metrics of one app. Labels: ids of configured keys, bounded, and names of quotas."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refusals = counter(
            registry, "quota_refusals", "Requests refused by a quota.", "key", "quota"
        )
        self.storage_up = gauge(
            registry,
            "quota_storage_up",
            "1: the quota storage responded to the last request.",
        )
        self.storage_up.set(1)
        self._used = UsedRatios()
        self._labels = KeyLabels()
        registry.register(self._used)

    def observe(self, usages: Sequence[QuotaUsage]) -> None:
        """Record the current usage of a key."""
        for usage in usages:
            label = self._labels.label(usage.window.key_id)
            self._used.note(label, usage)
            # Create the series at 0: otherwise no rate would include the first refusal.
            self.refusals.labels(label, usage.window.kind.name)

    def observe_refusal(self, usage: QuotaUsage) -> None:
        """Count a refused request."""
        label = self._labels.label(usage.window.key_id)
        self.refusals.labels(label, usage.window.kind.name).inc()


class UsedRatios(Collector):
    """``thinking_quota_used_ratio``. For keys that share a label: the highest ratio."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # By label and quota: the end of its window, and the share used.
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def note(self, label: str, usage: QuotaUsage) -> None:
        """Remember a usage."""
        at = (label, usage.window.kind.name)
        seen = (usage.window.ends_at, _compute_used_ratio(usage))
        if label == OTHER_KEYS:
            seen = max(seen, self._seen.get(at, seen))
        self._seen[at] = seen

    def collect(self) -> Iterator[Metric]:
        """Yield the samples; called at each scrape."""
        family = GaugeMetricFamily(
            f"{PREFIX}quota_used_ratio",
            "Share of a quota that is used or reserved in its window.",
            labels=("key", "quota"),
        )
        now = self._clock()
        for labels, (ends_at, ratio) in list(self._seen.items()):
            family.add_metric(labels, ratio if now < ends_at else 0.0)
        yield family


def _compute_used_ratio(usage: QuotaUsage) -> float:
    return usage.used / usage.limit if usage.limit else 1.0
