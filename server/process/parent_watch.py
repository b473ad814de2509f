"""Ends a child process when its parent has died, whatever the cause.

vLLM ends its processes when the parent shuts down in order. This module covers the other cases
(kill -9, out of memory), where an orphan would keep memory and cores forever. The watch starts
when a child imports the server's entry point, which multiprocessing does first, so that a child is
watched even while it loads; vLLM's plugin hook starts it for forked children. At that first moment
multiprocessing does not know the parent yet, so the watch polls ``os.getppid()``, which changes
when the process is orphaned. Imports nothing heavy.
"""

import multiprocessing
import os
import threading

import psutil

ORPHAN_EXIT_CODE = 1
# A parent that shuts down in order terminates its children within this time.
ORDERLY_SECONDS = 1.0
POLL_SECONDS = 0.5
# The server's process id, since a child may start after its parent has died.
SERVER_PID_VARIABLE = "THINKING_SERVER_PID"

_watching = threading.Event()


def watch_parent() -> None:
    """Start the watch in a child process. Does nothing in the main process or on a second call."""
    is_child = multiprocessing.current_process().name != "MainProcess"
    if not is_child or _watching.is_set():
        return
    _watching.set()
    _leave_terminal_group()
    thread = threading.Thread(
        target=_end_with_parent, args=(os.getppid(),), name="parent-watch", daemon=True
    )
    thread.start()


def _leave_terminal_group() -> None:
    """Move to a separate process group, so that Ctrl-C reaches the server only.

    It would kill vLLM's workers, and with them the replies that the server still finishes.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def _end_with_parent(parent_pid: int) -> None:
    never = threading.Event()
    while os.getppid() == parent_pid and _is_server_alive():
        never.wait(POLL_SECONDS)
    never.wait(ORDERLY_SECONDS)
    os._exit(ORPHAN_EXIT_CODE)


def _is_server_alive() -> bool:
    pid = os.environ.get(SERVER_PID_VARIABLE)
    return pid is None or psutil.pid_exists(int(pid))
