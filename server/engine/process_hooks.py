"""What every process of the engine does first (vLLM's ``vllm.general_plugins`` hook).

vLLM calls :func:`set_up_process` in the API process, the engine core and each worker,
before they touch a model. Knows nothing of requests, and must stay cheap to import and
harmless to call twice.
"""

import os
import sys
from importlib.metadata import entry_points

import torch

from server.process.parent_watch import watch_parent

AMX_VARIABLE = "THINKING_SERVER_AMX"
AMX_OFF = "off"

PLUGIN_GROUP = "vllm.general_plugins"
PLUGIN_NAME = "thinking_server"  # as in pyproject.toml


def are_installed() -> bool:
    """Whether vLLM will call :func:`set_up_process` in its processes.

    Not where the package is only on the path, or ``VLLM_PLUGINS`` leaves it out.
    """
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and PLUGIN_NAME not in allowed.split(","):
        return False
    return PLUGIN_NAME in entry_points(group=PLUGIN_GROUP).names


def set_up_process() -> None:
    """Apply the AMX switch; mask what a crash writes; tie a child process to its parent."""
    if os.environ.get(AMX_VARIABLE) == AMX_OFF:
        switch_amx_off()
    if "vllm.v1.engine.core" in sys.modules:  # the only place that dumps a batch
        from server.engine.crash_masks import mask_crash_dumps

        mask_crash_dumps()
    watch_parent()


def switch_amx_off() -> None:
    """Make vLLM choose its kernels as if the CPU had no AMX.

    vLLM asks torch, oneDNN asks the CPU: for oneDNN, ``ONEDNN_MAX_CPU_ISA`` is set too.
    """
    torch.cpu._is_amx_tile_supported = _no_amx


def _no_amx() -> bool:
    return False
