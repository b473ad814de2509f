"""The machine that a benchmark runs on. Knows no benchmark."""

import platform
from pathlib import Path


def find_processor() -> str:
    """Return the processor's name, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
