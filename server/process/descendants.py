"""The processes below this one: vLLM's engine core and workers. Knows only how to end them."""

import os
import sys
from typing import NoReturn

import psutil

# Tidies up shared memory after us, and ends by itself when we do.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"


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
