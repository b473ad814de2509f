"""A child process ends with its parent, whatever the parent died of.

vLLM ends its processes when the parent shuts down in order; this is for the rest (kill -9, out
of memory): an orphan would hold memory and cores for ever. Started where a child imports the
server's entry point, which multiprocessing does first of all, so that also a child that is still
loading is watched; and again by vLLM's hook, for children that were forked. Imports nothing heavy.
"""

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess

ORPHAN_EXIT_CODE = 1
# A parent that shuts down in order terminates us within this time.
ORDERLY_SECONDS = 1.0

_watching = threading.Event()


def watch_parent() -> None:
    """Begin to watch, in a child; harmless elsewhere, and to call twice."""
    parent = multiprocessing.parent_process()
    if parent is None or _watching.is_set():
        return
    _watching.set()
    _leave_terminal_group()
    threading.Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()


def _leave_terminal_group() -> None:
    """Ctrl-C must reach the server only: vLLM's workers die of it, and with them the
    replies that the server wants to finish first."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    threading.Event().wait(ORDERLY_SECONDS)
    os._exit(ORPHAN_EXIT_CODE)
