"""Errors of starting an engine. Knows no engine and is cheap to import."""

import shutil
from pathlib import Path

from server.errors.internal import EngineError


class EngineStartError(EngineError):
    """The engine could not be started; the message gives the reason."""


class EngineConfigError(EngineStartError):
    """The given options or model cannot be served; no engine was started."""


SHARED_MEMORY = Path("/dev/shm")
# Two queues per worker, of ten chunks of 16 MiB and of 24 MiB each: vLLM 0.32.0,
# vllm/v1/executor/multiproc_executor.py and its shm_broadcast.py.
SHARED_MEMORY_BYTES = 10 * (16 + 24) * 2**20


def explain_shared_memory(folder: Path = SHARED_MEMORY) -> str:
    """Return a hint if there is less shared memory than one worker needs, else "".

    The engine reports this in its log only. Docker's default of 64 MiB is too small.
    """
    if not folder.is_dir() or shutil.disk_usage(folder).free >= SHARED_MEMORY_BYTES:
        return ""
    return f"; {folder} is too small for its processes: run the container with --shm-size 1g"
