"""Factories of metrics: names, buckets, and label sets that exist from the first scrape.

A counter that appears with its first event hides that event from `rate` and `increase`, so
every label value of a closed set starts at 0. Does not know any single metric.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "thinking_"
# A budget may be as long as the longest contexts: up to a million tokens.
TOKEN_BUCKETS = (0, *(2**power for power in range(3, 21)))
SECONDS_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
SHARE_BUCKETS = tuple(tenth / 10 for tenth in range(11))
COUNT_BUCKETS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)


def counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    """Create the counter ``thinking_{name}_total``."""
    return Counter(f"{PREFIX}{name}", text, labels, registry=registry)


def closed_counter(
    registry: CollectorRegistry, name: str, text: str, label: str, values: Sequence[str]
) -> Counter:
    """Create the counter ``thinking_{name}_total`` with a label whose `values` all start at 0."""
    metric = counter(registry, name, text, label)
    for value in values:
        metric.labels(value)
    return metric


def gauge(registry: CollectorRegistry, name: str, text: str) -> Gauge:
    """Create the gauge ``thinking_{name}``."""
    return Gauge(f"{PREFIX}{name}", text, registry=registry)


def histogram(
    registry: CollectorRegistry,
    name: str,
    text: str,
    buckets: Sequence[float] = SECONDS_BUCKETS,
    labels: Sequence[str] = (),
) -> Histogram:
    """Create the histogram ``thinking_{name}``; `buckets` are upper bounds."""
    return Histogram(f"{PREFIX}{name}", text, labels, buckets=buckets, registry=registry)
