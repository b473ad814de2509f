"""Ending the process: exit codes, killing of descendants, and no core dumps."""

import os
import resource
import sys
from enum import IntEnum
from typing import NoReturn

import psutil

# Cleans up shared memory after this process, and exits by itself.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"


class ExitCode(IntEnum):
    """Exit status of ``thinking-server``; 128 + n if signal n ended it immediately."""

    OK = 0  # stopped by a signal; open requests finished or timed out
    START_FAILED = 1  # the address is not available or the engine did not start
    USAGE = 2  # invalid options, or a model that cannot be served
    ENGINE_DIED = 3  # a supervisor should restart the server


def end_descendants() -> None:
    """Kill all descendants of this process. Called last, after the orderly shutdown."""
    for process in psutil.Process().children(recursive=True):
        try:
            if not any(RESOURCE_TRACKER in word for word in process.cmdline()):
                process.kill()
        except psutil.NoSuchProcess:
            pass


def end_now(status: int) -> NoReturn:
    """Exit immediately, even if threads are still running (loading cannot be cancelled)."""
    end_descendants()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def forbid_core_dumps() -> None:
    """Limit core dumps to size 0 permanently, because they would contain thoughts and prompts.

    The limit also applies to child processes, which inherit it. The engine's log output on a
    crash is masked in ``thinking.vllm_plugin.crash_masks``.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
