"""Set-up of every engine process, through vLLM's ``vllm.general_plugins`` hook.

vLLM calls :func:`set_up_process` in the API process, the engine core and each worker before they
load a model. Knows nothing of requests. Must stay cheap to import and safe to call twice.
"""

import os
import sys
from importlib.metadata import entry_points

import torch

from server.process.parent_watch import watch_parent

AMX_VARIABLE = "THINKING_SERVER_AMX"
AMX_OFF = "off"

SWITCH_SECONDS = 2e-4  # Python's own is 5 ms; a step of a small model takes 2

PLUGIN_GROUP = "vllm.general_plugins"
PLUGIN_NAME = "thinking_server"  # as in pyproject.toml


def is_plugin_installed() -> bool:
    """Return whether vLLM will call :func:`set_up_process` in its processes.

    It does not if the package is importable but not installed, or ``VLLM_PLUGINS`` excludes it.
    """
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and PLUGIN_NAME not in allowed.split(","):
        return False
    return PLUGIN_NAME in entry_points(group=PLUGIN_GROUP).names


def set_up_process() -> None:
    """Apply the AMX switch, mask crash dumps, speed up a CPU, and watch the parent in a child."""
    if os.environ.get(AMX_VARIABLE) == AMX_OFF:
        switch_amx_off()
    if "vllm.v1.engine.core" in sys.modules:  # the only place that dumps a batch
        from server.engine.vllm_scheduler import answer_take_waiting
        from thinking.vllm_plugin.stock import set_up_core

        set_up_core()
        answer_take_waiting()
        # Where it computes too, the thread that sends its tokens waits for Python's lock less long.
        sys.setswitchinterval(SWITCH_SECONDS)
    speed_up_cpu()
    watch_parent()


def speed_up_cpu() -> None:
    """Add kernels and the loading of compiled steps where vLLM computes on a CPU."""
    from server.engine.vllm_compiled_steps import let_compiled_steps_load
    from server.engine.vllm_cpu_kernels import register_cpu_kernels

    if register_cpu_kernels():
        let_compiled_steps_load()


def switch_amx_off() -> None:
    """Make vLLM choose its kernels as if the CPU had no AMX.

    vLLM queries torch, but oneDNN queries the CPU; for oneDNN ``ONEDNN_MAX_CPU_ISA`` is also set.
    """
    torch.cpu._is_amx_tile_supported = _has_amx


def _has_amx() -> bool:
    return False
