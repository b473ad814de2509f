"""Engine options and environment variables for a machine without a GPU.

Chosen by what works on this machine (``cpu_probe``) and by measurements (docs/performance.md).
Only fills in what the operator has not set. Of the model it knows the size.
"""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import psutil

from server.engine.cpu_probe import ONEDNN_WITHOUT_AMX, Bfloat16, probe_bfloat16, read_cpu_flags
from server.engine.int8_probe import is_int8_faster
from server.engine.process_hooks import AMX_OFF, AMX_VARIABLE, is_plugin_installed
from server.engine.vllm_compiled_steps import can_compile

GIB = 2**30
NUMA_NODES = Path("/sys/devices/system/node")
MAX_KV_CACHE_BYTES = 4 * GIB
KV_CACHE_SHARE = 0.25  # of the free memory
TOPOLOGY = Path("/sys/devices/system/cpu")
RESERVED, BINDING = "VLLM_CPU_NUM_OF_RESERVED_CPU", "VLLM_CPU_OMP_THREADS_BIND"
NO_BINDING, NUM_THREADS = "nobind", "OMP_NUM_THREADS"
# vLLM reserves one core for its scheduler, which sleeps most of the time. On a small machine this
# wastes a core: on two cores, throughput is 1.5 times as high without the reservation.
MAX_CORES_WITHOUT_RESERVE = 4
# vLLM gives even a single worker a process of its own on a CPU, to bind its threads. Scheduler and
# worker then wait for each other by spinning, on the cores that the worker's threads compute on.
# In one process, as on a single GPU, a step takes 9 to 33 % less on two cores, the start 6 s less.
# Named by its class, since vLLM replaces "uni" by "mp" on a CPU.
EXECUTOR = "distributed_executor_backend"
ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
# Of weights. A step of a model below this is a few hundred operators of microseconds each, and
# threads that share such an operator wait for each other longer than it takes; meanwhile they keep
# the scheduler and the API process off their cores. Measured on two cores: 1 million parameters are
# twice as fast on one thread as on two, 135 million two thirds as fast.
SMALL_MODEL_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class CpuSettings:
    """Defaults for vLLM: engine options, and environment variables that its processes inherit."""

    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def apply_environment(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Set the variables that are not set yet."""
        for name, value in self.environment.items():
            environ.setdefault(name, value)


def choose_cpu_settings(given: Mapping[str, Any]) -> CpuSettings:
    """Return the settings for this machine that complement the operator's options `given`."""
    options: dict[str, Any] = {
        # The model's context length, or less if the KV cache is too small for it.
        "max_model_len": -1,
        # The prefix cache stores whole blocks only: with vLLM's 128 tokens, branches of a search
        # shared 3 % of their prefill, with 32 (the minimum that its kernels accept) 75 %.
        "block_size": 32,
    }
    environment: dict[str, str] = {}
    if "enforce_eager" not in given:
        options["enforce_eager"] = not can_compile()
    if not {"kv_cache_memory_bytes", "gpu_memory_utilization"} & set(given):
        options |= _choose_kv_cache()
    environment |= _choose_threads(given)
    if _fits_one_process(given):
        options[EXECUTOR] = ONE_PROCESS
        environment.setdefault(NUM_THREADS, str(count_physical_cores()))
    if read_cpu_flags():  # Linux on x86; elsewhere vLLM chooses the dtype
        options["dtype"], extra = _choose_dtype(str(given.get("dtype", "auto")))
        environment |= extra
    return CpuSettings(options, environment)


def prefers_int8(given: Mapping[str, Any]) -> bool:
    """Return whether 8-bit weights are faster here; an operator who names a dtype gets that one."""
    if given.get("dtype", "auto") != "auto" or given.get("quantization"):
        return False
    settings = choose_cpu_settings(given)
    dtype = settings.options.get("dtype")
    return dtype is not None and is_int8_faster(dtype, settings.environment)


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def count_physical_cores() -> int:
    """Return the number of physical cores that this process may use: two threads share one."""
    allowed = sorted(os.sched_getaffinity(0))
    files = [TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list" for cpu in allowed]
    try:
        return len({file.read_text() for file in files})
    except OSError:  # not Linux, or not shown in this container
        return len(allowed)


def count_workers(given: Mapping[str, Any]) -> int:
    """Return the number of the engine's worker processes on this machine."""
    names = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return prod(int(given.get(name) or 1) for name in names)


def _choose_threads(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that say how many threads a worker has, and on which cores."""
    if _is_small(given) and not {RESERVED, BINDING} & set(os.environ):
        # Not bound: the scheduler of the operating system moves the thread to an idle core.
        return {BINDING: NO_BINDING, NUM_THREADS: "1"}
    reserved = {RESERVED: "0"} if count_cores() <= MAX_CORES_WITHOUT_RESERVE else {}
    return reserved | _bind_workers(given)


def _fits_one_process(given: Mapping[str, Any]) -> bool:
    """Return whether scheduler and worker may share a process: one worker, nothing to bind."""
    if count_workers(given) > 1 or EXECUTOR in given or RESERVED in os.environ:
        return False
    is_bound = os.environ.get(BINDING, NO_BINDING) != NO_BINDING
    return not is_bound and (count_cores() <= MAX_CORES_WITHOUT_RESERVE or _is_small(given))


def _is_small(given: Mapping[str, Any]) -> bool:
    """Return whether the model is a folder with few weights; others are not looked up."""
    weights = list(Path(str(given.get("model", ""))).glob("*.safetensors"))
    return bool(weights) and sum(file.stat().st_size for file in weights) < SMALL_MODEL_BYTES


def _bind_workers(given: Mapping[str, Any]) -> dict[str, str]:
    """Bind workers to cores: vLLM needs a NUMA node per worker, and fails if there are too few."""
    workers, cores = count_workers(given), sorted(os.sched_getaffinity(0))
    if workers == 1 or workers > len(cores) or len(list(NUMA_NODES.glob("node[0-9]*"))) >= workers:
        return {}
    share = len(cores) // workers
    lists = (cores[place * share : (place + 1) * share] for place in range(workers))
    return {BINDING: "|".join(",".join(map(str, cpus)) for cpus in lists)}


def measure_free_memory() -> int:
    """Return the free memory of the machine, or of the control group if that is less, in bytes."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no control group, or "max"
        return free
    return max(0, min(free, limit - used))


def _choose_kv_cache() -> dict[str, Any]:
    if os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        return {}
    return {
        "kv_cache_memory_bytes": min(
            MAX_KV_CACHE_BYTES, int(measure_free_memory() * KV_CACHE_SHARE)
        )
    }


def _choose_dtype(asked: str) -> tuple[str, dict[str, str]]:
    """Return the dtype and the environment variables that it needs to work."""
    if asked in ("float32", "float", "half", "float16"):
        return asked, {}
    support = probe_bfloat16()
    if support is Bfloat16.WITH_AMX and AMX_VARIABLE not in os.environ:
        return "bfloat16", {}
    # Also if the operator forces bfloat16 although the probe failed: AMX is what fails.
    amx_off = {AMX_VARIABLE: AMX_OFF, "ONEDNN_MAX_CPU_ISA": ONEDNN_WITHOUT_AMX}
    # Only our plugin hook can disable AMX in vLLM's processes; without it bfloat16 is not usable.
    can_switch_off = "amx_tile" not in read_cpu_flags() or is_plugin_installed()
    if asked == "bfloat16" or (support is not Bfloat16.NONE and can_switch_off):
        return "bfloat16", amx_off
    return "float32", {}
