"""The joined metrics page has all series of all pages, once, each with its process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from server.api_processes.exposition import join_pages

AWKWARD = 'a "quoted", {braced} = value\nof two lines \\ and # HELP it'


def make_page(value: float) -> str:
    """Return a page with each kind of metric, with and without labels."""
    registry = CollectorRegistry()
    Counter("requests", "Two\nlines.", ["path"], registry=registry).labels(AWKWARD).inc(value)
    Counter("unused", "Without a series.", ["path"], registry=registry)
    Gauge("load", "", registry=registry).set(-value)
    Histogram("seconds", "Duration.", buckets=(1, 2), registry=registry).observe(value)
    Info("build", "Versions.", registry=registry).info({"version": "1"})
    return generate_latest(registry).decode()


Series = tuple[str, frozenset[tuple[str, str]], float]


def read(page: str, **labels: str) -> list[Series]:
    """Return the series of a page, with `labels` added to each, in a fixed order."""
    families = text_string_to_metric_families(page)
    series = [
        (sample.name, frozenset((sample.labels | labels).items()), sample.value)
        for family in families
        for sample in family.samples
    ]
    return sorted(series, key=lambda one: (one[0], sorted(one[1])))


def test_every_series_of_every_page_is_there_with_its_process() -> None:
    first, other = make_page(1.5), make_page(float("inf"))
    joined = read(join_pages({0: first, 3: other}))
    assert len(joined) == 2 * len(read(first)) > 0
    for number, page in (("0", first), ("3", other)):
        own = [series for series in joined if ("process", number) in series[1]]
        assert own == read(page, process=number)


def test_each_family_is_declared_once_before_all_its_series() -> None:
    lines = join_pages({0: make_page(1), 1: make_page(2)}).splitlines()
    helps = [line for line in lines if line.startswith("# HELP")]
    assert len(helps) == len(set(helps))
    families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
    assert len({family.name for family in families}) == len(families)


def test_a_page_of_a_process_of_another_version_may_have_other_families() -> None:
    registry = CollectorRegistry()
    Gauge("newer", "Of the next release.", registry=registry).set(1)
    joined = read(join_pages({0: make_page(1), 1: generate_latest(registry).decode()}))
    assert ("newer", frozenset({("process", "1")}), 1.0) in joined
