"""Ends everything that a process started with a session of its own has left behind.

vLLM gives its engine a process group of its own, and what survives it holds the device's memory;
the session is what all of them share.
"""

import os
import signal
import subprocess
from contextlib import suppress

import psutil


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill all processes of the session that `process` leads, and wait for it."""
    for pid in list_session(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def list_session(session: int) -> list[int]:
    """Return the ids of the session's processes."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError):  # it has ended, or belongs to another user
            if os.getsid(pid) == session:
                members.append(pid)
    return members
