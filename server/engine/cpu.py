"""Engine options and environment for a machine without a GPU.

Chosen by what works here (``cpu_probe``) and what was measured (docs/performance.md).
Only fills in what the operator left open; does not know the model.
"""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import psutil

from server.engine.cpu_probe import ONEDNN_WITHOUT_AMX, Bfloat16, cpu_flags, probe_bfloat16
from server.engine.process_hooks import AMX_OFF, AMX_VARIABLE, are_installed

GIB = 2**30
NUMA_NODES = Path("/sys/devices/system/node")
MAX_KV_CACHE_BYTES = 4 * GIB
KV_CACHE_SHARE = 0.25  # of the free memory
# vLLM keeps one core for its scheduler, which sleeps most of the time: on a small
# machine that is a core wasted (two cores: 1.5 times the tokens without it).
MAX_CORES_WITHOUT_RESERVE = 4


@dataclass(frozen=True, slots=True)
class CpuSettings:
    """Defaults for vLLM: engine options, and variables that its processes inherit."""

    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def apply_environment(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Set what is not set yet."""
        for name, value in self.environment.items():
            environ.setdefault(name, value)


def choose_cpu_settings(given: Mapping[str, Any]) -> CpuSettings:
    """Settings for this machine beside the options `given` by the operator."""
    options: dict[str, Any] = {
        # Compiling takes 100 s at the start and made small models slower.
        "enforce_eager": True,
        # The model's context, or less where the KV cache is too small for it.
        "max_model_len": -1,
        # The prefix cache knows whole blocks only: with vLLM's 128 tokens, branches of a search
        # shared 3 % of what they read, with 32 (the least that its kernels like) 75 %.
        "block_size": 32,
    }
    environment: dict[str, str] = {}
    if not {"kv_cache_memory_bytes", "gpu_memory_utilization"} & set(given):
        options |= _kv_cache_options()
    if num_cores() <= MAX_CORES_WITHOUT_RESERVE:
        environment["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    environment |= _bound_workers(given)
    if cpu_flags():  # Linux on x86; elsewhere vLLM's own choice stands
        options["dtype"], extra = _dtype(str(given.get("dtype", "auto")))
        environment |= extra
    return CpuSettings(options, environment)


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def num_workers(given: Mapping[str, Any]) -> int:
    """Engine processes that compute, on this machine."""
    names = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return prod(int(given.get(name) or 1) for name in names)


def _bound_workers(given: Mapping[str, Any]) -> dict[str, str]:
    """vLLM gives each worker a NUMA node of its own, and refuses where there are too few."""
    workers, cores = num_workers(given), sorted(os.sched_getaffinity(0))
    if workers == 1 or workers > len(cores) or len(list(NUMA_NODES.glob("node[0-9]*"))) >= workers:
        return {}
    share = len(cores) // workers
    lists = (cores[place * share : (place + 1) * share] for place in range(workers))
    return {"VLLM_CPU_OMP_THREADS_BIND": "|".join(",".join(map(str, cpus)) for cpus in lists)}


def free_memory_bytes() -> int:
    """Free memory of the machine, or of the control group where that is less."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no control group, or "max"
        return free
    return max(0, min(free, limit - used))


def _kv_cache_options() -> dict[str, Any]:
    if os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        return {}
    return {
        "kv_cache_memory_bytes": min(MAX_KV_CACHE_BYTES, int(free_memory_bytes() * KV_CACHE_SHARE))
    }


def _dtype(asked: str) -> tuple[str, dict[str, str]]:
    """The dtype, and the environment that keeps it alive."""
    if asked in ("float32", "float", "half", "float16"):
        return asked, {}
    support = probe_bfloat16()
    if support is Bfloat16.WITH_AMX and AMX_VARIABLE not in os.environ:
        return "bfloat16", {}
    # Also where the operator insists on bfloat16 that did not pass: AMX is what fails.
    amx_off = {AMX_VARIABLE: AMX_OFF, "ONEDNN_MAX_CPU_ISA": ONEDNN_WITHOUT_AMX}
    # AMX is switched off by our hook in vLLM's processes: no hook, no bfloat16.
    can_switch_off = "amx_tile" not in cpu_flags() or are_installed()
    if asked == "bfloat16" or (support is not Bfloat16.NONE and can_switch_off):
        return "bfloat16", amx_off
    return "float32", {}
