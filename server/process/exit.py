"""How the process ends: its exit codes, the processes below it, and no memory left on disk."""

import os
import resource
import sys
from enum import IntEnum
from typing import NoReturn

import psutil

# Tidies up shared memory after us, and ends by itself when we do.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"


class ExitCode(IntEnum):
    """Exit status of ``thinking-server``; 128 + n where signal n ended it at once."""

    OK = 0  # stopped by a signal, open requests finished or out of time
    START_FAILED = 1  # the address or the engine
    USAGE = 2  # options or a model that cannot be served
    ENGINE_DIED = 3  # restart it


def end_descendants() -> None:
    """Kill every process below this one. Called last: what ends in order has ended."""
    for process in psutil.Process().children(recursive=True):
        try:
            if not any(RESOURCE_TRACKER in word for word in process.cmdline()):
                process.kill()
        except psutil.NoSuchProcess:
            pass


def end_now(status: int) -> NoReturn:
    """End at once, whatever threads are still at work (a load cannot be cancelled)."""
    end_descendants()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def forbid_core_dumps() -> None:
    """Set the size of core dumps to 0, for good: they would hold thoughts and prompts.

    For this process and all that it starts, since limits are inherited. What the engine writes
    to its log when it crashes is masked in ``server.engine.crash_masks``.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
