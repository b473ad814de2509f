"""Metrics of quotas: how far they are used, what they refused, whether their storage answers.

The use is what this server saw last; a window that has passed since counts as unused.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.keys.labels import OTHER_KEYS, KeyLabels
from server.metrics.making import PREFIX, counter, gauge
from server.quotas.standing import QuotaStanding


class QuotaMetrics:
    """Of one app. Labels are ids of configured keys, bounded, and names of quotas."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refusals = counter(
            registry, "quota_refusals", "Requests refused by a quota.", "key", "quota"
        )
        self.storage_up = gauge(
            registry,
            "quota_storage_up",
            "1: the storage of quotas answered when it was last asked.",
        )
        self.storage_up.set(1)
        self._used = UsedRatios()
        self._labels = KeyLabels()
        registry.register(self._used)

    def observe(self, standings: Sequence[QuotaStanding]) -> None:
        """How a key stands."""
        for standing in standings:
            label = self._labels.label(standing.window.key_id)
            self._used.note(label, standing)
            # At 0 before the first refusal: else no rate would see that one.
            self.refusals.labels(label, standing.window.kind.name)

    def observe_refusal(self, standing: QuotaStanding) -> None:
        """A request was refused."""
        label = self._labels.label(standing.window.key_id)
        self.refusals.labels(label, standing.window.kind.name).inc()


class UsedRatios(Collector):
    """``thinking_quota_used_ratio``. Keys that share a label: the one that is used most."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # By label and quota: when its window ends, and the share that is used.
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def note(self, label: str, standing: QuotaStanding) -> None:
        """Keep what was seen."""
        at = (label, standing.window.kind.name)
        seen = (standing.window.ends_at, _used_ratio(standing))
        if label == OTHER_KEYS:
            seen = max(seen, self._seen.get(at, seen))
        self._seen[at] = seen

    def collect(self) -> Iterator[Metric]:
        """The samples, when they are asked for."""
        family = GaugeMetricFamily(
            f"{PREFIX}quota_used_ratio",
            "Share of a quota that is used or reserved in its window.",
            labels=("key", "quota"),
        )
        now = self._clock()
        for labels, (ends_at, ratio) in list(self._seen.items()):
            family.add_metric(labels, ratio if now < ends_at else 0.0)
        yield family


def _used_ratio(standing: QuotaStanding) -> float:
    return standing.used / standing.limit if standing.limit else 1.0
