"""Reads an app's /metrics with Prometheus' own parser."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import Served


class Scrape:
    """The samples of a scrape."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.samples = [s for family in self.families for s in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of all series of `name` with these labels, of which there must be one."""
        values = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert values, name
        return sum(values)

    def group_by(self, name: str, label: str) -> Mapping[str, float]:
        """Return the values of `name` above 0 by the values of `label`."""
        found: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == name and sample.value:
                found[sample.labels[label]] = found.get(sample.labels[label], 0) + sample.value
        return found

    def list_series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return names and labels of all of the server's own series."""
        return {
            (sample.name, frozenset(sample.labels.items()))
            for sample in self.samples
            if sample.name.startswith("thinking_")
        }


async def scrape(served: Served) -> Scrape:
    """Scrape the metrics of `served`."""
    response = await served.http.get("/metrics")
    assert response.status_code == 200
    return Scrape(response.text)
