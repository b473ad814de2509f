"""Joins the metrics of several processes into one page, with a label that says whose they are.

Works on Prometheus' text format as prometheus_client writes it. Knows no single metric.
"""

import re
from collections.abc import Mapping

LABEL = "process"
# A family: its help, its type, then its series.
_FAMILY = re.compile(r"^# HELP (\S+)", re.MULTILINE)
_SERIES = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(\{)?", re.MULTILINE)


def join_pages(pages: Mapping[int, str]) -> str:
    """Return one page of the pages of processes: each family once, each series with its process."""
    families: dict[str, list[str]] = {}
    for number, page in pages.items():
        starts = [found.start() for found in _FAMILY.finditer(page)]
        for start, end in zip(starts, [*starts[1:], len(page)], strict=True):
            help_line, type_line, series = page[start:end].split("\n", 2)
            name = help_line.split(" ", 3)[2]
            family = families.setdefault(name, [f"{help_line}\n{type_line}\n"])
            family.append(_label(series, number))
    return "".join(part for family in families.values() for part in family)


def _label(series: str, number: int) -> str:
    label = f'{LABEL}="{number}"'

    def add(found: re.Match[str]) -> str:
        return found[1] + (f"{{{label}," if found[2] else f"{{{label}}}")

    return _SERIES.sub(add, series)
