"""The machine that a benchmark runs on. Knows no benchmark."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def describe_machine() -> str:
    """Return processor, cores and date, without which no figure is worth anything."""
    return f"{find_processor()}, {count_cores()} cores, {datetime.now(UTC):%Y-%m-%d}"


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def find_processor() -> str:
    """Return the processor's name, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
