"""Metrics of engines that other processes run: how many are ready, and what requests have lost.

Reads an engine's own counts at each scrape. Does not know what the engines do.
"""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from server.engine.protocol import EngineLoad, FleetCounts
from server.engine.remote.errors import LossCause
from server.metrics.factories import PREFIX


class EngineMetrics(Collector):
    """The sums over the engines elsewhere of all models; zero without any."""

    def __init__(
        self, registry: CollectorRegistry, get_loads: Callable[[], Sequence[EngineLoad]]
    ) -> None:
        self._get_loads = get_loads
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield all metrics; see :class:`prometheus_client.registry.Collector`."""
        fleets = [load.fleet for load in self._get_loads() if load.fleet is not None]
        num_engines = sum(fleet.num_engines for fleet in fleets)
        yield GaugeMetricFamily(f"{PREFIX}engines", "Engines elsewhere.", num_engines)
        num_ready = sum(fleet.num_ready for fleet in fleets)
        yield GaugeMetricFamily(f"{PREFIX}engines_ready", "Those that may be used.", num_ready)
        yield _count_losses(fleets)


def _count_losses(fleets: Sequence[FleetCounts]) -> CounterMetricFamily:
    losses = CounterMetricFamily(
        f"{PREFIX}engine_losses", "Requests that lost their engine.", labels=["cause"]
    )
    for cause in LossCause:
        losses.add_metric([cause.value], sum(fleet.num_lost.get(cause, 0) for fleet in fleets))
    return losses
