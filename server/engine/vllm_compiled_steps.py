"""Compiled steps on a CPU: whether this machine can compile, and loading what it has compiled.

A compiled step of a model of 135 million parameters takes two thirds of an eager one on two cores;
compiling it takes a minute. vLLM 0.32 saves what it compiles for a CPU, but compiles anew at each
start, since loading expects the object that it makes for a GPU. Knows no model.
"""

import os
import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from vllm import envs

from server.engine.cpu_probe import get_machine_key

# What every kernel that torch's compiler writes for a CPU includes.
INCLUDES = "#include <Python.h>\n#include <omp.h>\n"
COMPILER_VARIABLE, DEFAULT_COMPILER = "CXX", "g++"
PROBE_SECONDS = 60


def can_compile() -> bool:
    """Return whether steps can be compiled, and kept, on this machine."""
    compiler = os.environ.get(COMPILER_VARIABLE) or DEFAULT_COMPILER
    return _can_write(Path(envs.VLLM_CACHE_ROOT)) and _can_use(compiler)


def _can_write(folder: Path) -> bool:
    existing = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return existing is not None and os.access(existing, os.W_OK)


@cache  # a start asks twice
def _can_use(compiler: str) -> bool:
    """Return whether the command compiles C++ that includes Python's and OpenMP's headers."""
    include = f"-I{sysconfig.get_path('include')}"
    command = [*shlex.split(compiler), "-fopenmp", "-fsyntax-only", include, "-x", "c++", "-"]
    try:
        done = subprocess.run(
            command, input=INCLUDES.encode(), capture_output=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def describe_target() -> str:
    """Return what compiled code depends on, beyond vLLM's own key: the CPU and the threads.

    A cache may lie on a volume that other machines use too, and code for this CPU may end a
    process on another one.
    """
    return f"{get_machine_key()} | {os.environ.get('OMP_NUM_THREADS')} threads"


def let_compiled_steps_load() -> None:
    """Give what vLLM loads for a CPU the method that it calls then (``decorators.py``, 0.32)."""
    load: Callable[..., Any] = torch.compiler.load_compiled_function
    if getattr(load, "is_for_cpus", False):
        return

    def load_for_cpu(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        compiled = loaded._artifacts.compiled_fn
        if not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda config: None
        return loaded

    load_for_cpu.is_for_cpus = True  # type: ignore[attr-defined]
    torch.compiler.load_compiled_function = load_for_cpu
