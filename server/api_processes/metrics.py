"""Metrics of several API processes. With one process they do not exist."""

from prometheus_client import CollectorRegistry

from server.api_processes.place import ProcessPlace
from server.metrics.factories import counter


class ProcessMetrics:
    """Restarts of the process at `place`, and what it did not learn from the others."""

    def __init__(self, registry: CollectorRegistry, place: ProcessPlace) -> None:
        restarts = counter(
            registry, "api_process_restarts", "API processes that have died at this place."
        )
        restarts.inc(place.num_restarts)
        self.silent = counter(
            registry, "api_processes_silent", "Times that another API process did not answer."
        )
