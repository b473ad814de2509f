"""Finds out whether bfloat16 works on this CPU, by trying it in a child process.

Some virtual machines advertise AMX and lose its tile state at a context switch: the
process dies of SIGILL, or computes nonsense. So the work is done under more threads
than cores, compared with float32, and never in a process that anyone needs. The answer
is cached. Does not know what is done with it.
"""

import json
import os
import platform
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path

import torch

from server.hub.model_cache import cache_root

ONEDNN_WITHOUT_AMX = "AVX512_CORE_BF16"
STRESS_SECONDS = 2.0
PROBE_TIMEOUT_SECONDS = 120.0
# Rows × inputs × outputs of a linear layer: decoding alone, small batches, a prompt.
SHAPES = ((1, 576, 1536), (3, 1536, 576), (16, 64, 512), (64, 1024, 1024), (300, 576, 4096))
MAX_RELATIVE_ERROR = 0.05


class Bfloat16(Enum):
    """What this CPU can do with bfloat16."""

    NONE = "none"  # no instructions for it, or they failed
    WITHOUT_AMX = "without_amx"  # works with AVX-512; AMX is missing or broken
    WITH_AMX = "with_amx"


def probe_bfloat16(cache_folder: Path | None = None) -> Bfloat16:
    """The cached answer for this CPU, kernel and torch; tried first where there is none."""
    path = (cache_folder or cache_root()) / "cpu_probe.json"
    key = _machine_key()
    if (cached := _read(path).get(key)) is not None:
        return Bfloat16(cached)
    result = _try_bfloat16(cpu_flags())
    _write(path, key, result)
    return result


def cpu_flags() -> frozenset[str]:
    """CPU feature flags as Linux names them; empty where there is no /proc."""
    for line in _cpu_info().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def run_child(*, amx: bool) -> bool:
    """Whether a child process computes correctly in bfloat16 and lives."""
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
    """Multiply under more threads than cores; whether every product was right."""
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


def _machine_key() -> str:
    model = next((ln for ln in _cpu_info().splitlines() if ln.startswith("model name")), "")
    flags = " ".join(sorted(f for f in cpu_flags() if f.startswith(("amx", "avx512"))))
    return " | ".join(
        (model.partition(":")[2].strip(), flags, platform.release(), torch.__version__)
    )


def _cpu_info() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {k: v for k, v in data.items() if v in {m.value for m in Bfloat16}}


def _write(path: Path, key: str, result: Bfloat16) -> None:
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(_read(path) | {key: result.value}, indent=2))
        scratch.replace(path)
    except OSError:
        pass  # a read-only cache only costs the next start the few seconds again


if __name__ == "__main__":
    sys.exit(0 if stress() else 1)
