"""Why an engine did not start. Knows no engine; importing it costs nothing."""

import shutil
from pathlib import Path

from server.errors.internal import EngineError


class EngineStartError(EngineError):
    """The engine could not be started; the message says why."""


class EngineConfigError(EngineStartError):
    """What the operator asked for cannot be served; no engine was started."""


SHARED_MEMORY = Path("/dev/shm")
# Two queues to a worker, of ten chunks of 16 and of 24 MiB each: vLLM 0.32.0,
# vllm/v1/executor/multiproc_executor.py and its shm_broadcast.py.
SHARED_MEMORY_BYTES = 10 * (16 + 24) * 2**20


def shared_memory_hint(folder: Path = SHARED_MEMORY) -> str:
    """What to do where a container has less shared memory than one worker takes, or "".

    The engine's own error is in its log lines only; Docker's default of 64 MiB is too little.
    """
    if not folder.is_dir() or shutil.disk_usage(folder).free >= SHARED_MEMORY_BYTES:
        return ""
    return f"; {folder} has too little room for its processes: give the container --shm-size 1g"
