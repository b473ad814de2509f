"""A child process ends with its parent, whatever the parent died of.

vLLM ends its processes when the parent shuts down in order; this is for the rest (kill -9, out
of memory): an orphan would hold memory and cores for ever. Started where a child imports the
server's entry point, which multiprocessing does first of all, so that also a child that is still
loading is watched; and again by vLLM's hook, for children that were forked. At that first
moment multiprocessing itself does not know the parent yet, so the system is asked: an orphan
gets another parent. Imports nothing heavy.
"""

import multiprocessing
import os
import threading

import psutil

ORPHAN_EXIT_CODE = 1
# A parent that shuts down in order terminates us within this time.
ORDERLY_SECONDS = 1.0
POLL_SECONDS = 0.5
# The server's process id: a child may begin after its parent has died.
SERVER_PID_VARIABLE = "THINKING_SERVER_PID"

_watching = threading.Event()


def watch_parent() -> None:
    """Begin to watch, in a child; harmless elsewhere, and to call twice."""
    is_child = multiprocessing.current_process().name != "MainProcess"
    if not is_child or _watching.is_set():
        return
    _watching.set()
    _leave_terminal_group()
    thread = threading.Thread(
        target=_end_with, args=(os.getppid(),), name="parent-watch", daemon=True
    )
    thread.start()


def _leave_terminal_group() -> None:
    """Ctrl-C must reach the server only: vLLM's workers die of it, and with them the
    replies that the server wants to finish first."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def _end_with(parent_pid: int) -> None:
    never = threading.Event()
    while os.getppid() == parent_pid and _server_lives():
        never.wait(POLL_SECONDS)
    never.wait(ORDERLY_SECONDS)
    os._exit(ORPHAN_EXIT_CODE)


def _server_lives() -> bool:
    pid = os.environ.get(SERVER_PID_VARIABLE)
    return pid is None or psutil.pid_exists(int(pid))
