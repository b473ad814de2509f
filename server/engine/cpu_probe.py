"""Determines whether bfloat16 works on this CPU, by trying it in a child process.

Some virtual machines advertise AMX but lose its tile state at a context switch: the process dies
of SIGILL or computes wrong results. The probe therefore multiplies matrices with more threads than
cores, compares the products with float32, and runs in a separate process. The result is cached.
Does not know how the result is used.
"""

import os
import platform
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path

import torch

from server.engine.probe_cache import read_results, write_result
from server.hub.model_cache import get_cache_root

ONEDNN_WITHOUT_AMX = "AVX512_CORE_BF16"
STRESS_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 120.0
# Rows × inputs × outputs of a linear layer: decoding one request, small batches, a prompt.
SHAPES = ((1, 576, 1536), (3, 1536, 576), (16, 64, 512), (64, 1024, 1024), (300, 576, 4096))
MAX_RELATIVE_ERROR = 0.05


class Bfloat16(Enum):
    """Support for bfloat16 on this CPU."""

    NONE = "none"  # no instructions for it, or they gave wrong results
    WITHOUT_AMX = "without_amx"  # works with AVX-512; AMX is missing or broken
    WITH_AMX = "with_amx"


def probe_bfloat16(cache_folder: Path | None = None) -> Bfloat16:
    """Return the cached result for this CPU, kernel and torch version, probing if there is none."""
    path = (cache_folder or get_cache_root()) / "cpu_probe.json"
    key = get_machine_key()
    known = read_results(path).get(key)
    if known in {support.value for support in Bfloat16}:
        return Bfloat16(known)
    result = _try_bfloat16(read_cpu_flags())
    write_result(path, key, result.value)
    return result


def read_cpu_flags() -> frozenset[str]:
    """Return the CPU feature flags as Linux names them; empty if there is no /proc/cpuinfo."""
    for line in _read_cpu_info().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def run_child(*, amx: bool) -> bool:
    """Return whether a child process computes correctly in bfloat16 without crashing."""
    environment = os.environ | ({} if amx else {"ONEDNN_MAX_CPU_ISA": ONEDNN_WITHOUT_AMX})
    try:
        child = subprocess.run(
            [sys.executable, "-m", "server.engine.cpu_probe"],
            env=environment,
            capture_output=True,
            timeout=PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return child.returncode == 0  # SIGILL: -4


def stress(seconds: float = STRESS_SECONDS) -> bool:
    """Multiply matrices with more threads than cores; return whether all products were correct."""
    torch.set_num_threads(2 * (os.cpu_count() or 1))
    torch.manual_seed(0)
    cases = [(torch.randn(m, k), torch.randn(n, k)) for m, k, n in SHAPES]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not all(_is_right(inputs, weight) for inputs, weight in cases):
            return False
    return True


def _is_right(inputs: torch.Tensor, weight: torch.Tensor) -> bool:
    expected = torch.nn.functional.linear(inputs, weight)
    got = torch.nn.functional.linear(inputs.bfloat16(), weight.bfloat16()).float()
    return bool((got - expected).norm() <= MAX_RELATIVE_ERROR * expected.norm())


def _try_bfloat16(flags: frozenset[str]) -> Bfloat16:
    if "avx512_bf16" not in flags:
        return Bfloat16.NONE
    if "amx_tile" in flags and run_child(amx=True):
        return Bfloat16.WITH_AMX
    return Bfloat16.WITHOUT_AMX if run_child(amx=False) else Bfloat16.NONE


def get_machine_key() -> str:
    """Return what the machine is to code that depends on it: CPU, its features, kernel, torch."""
    model = next((ln for ln in _read_cpu_info().splitlines() if ln.startswith("model name")), "")
    flags = " ".join(sorted(f for f in read_cpu_flags() if f.startswith(("amx", "avx512"))))
    return " | ".join(
        (model.partition(":")[2].strip(), flags, platform.release(), torch.__version__)
    )


def _read_cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(0 if stress() else 1)
