"""docs/metrics.md has a row for each of our metrics, with its kind and labels."""

import re

from prometheus_client import Metric

from server.state import Services
from tests.house.sources import ROOT
from tests.server.conftest import make_services

PAGE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(thinking_\w+)` \| (\w+) \| (.*?) ?\| (\S.*) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, set[str]]]:
    """Return the kind and labels of each metric on the page."""
    found = ROW.findall(PAGE.read_text())
    assert len({name for name, *_ in found}) == len(found)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in found}


def ours(services: Services) -> dict[str, tuple[str, set[str]]]:
    """Return the kind and labels of each metric in the app's registry."""
    made = {}
    for metric in services.metrics.registry.collect():
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        kind = "gauge" if metric.type == "info" else metric.type
        made[metric.name + suffix] = (kind, _labels(services, metric))
    return made


def _labels(services: Services, metric: Metric) -> set[str]:
    """Return the labels of a metric; before its first series, only the registry knows them."""
    made = services.metrics.registry._names_to_collectors.get(metric.name)
    declared = getattr(made, "_labelnames", getattr(metric, "_labelnames", ()))
    found = set(declared).union(*(sample.labels for sample in metric.samples))
    return found - {"le"}


def test_every_metric_has_a_row_that_is_right() -> None:
    assert rows() == ours(make_services())
