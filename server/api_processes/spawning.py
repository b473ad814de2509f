"""Starts the processes that a supervisor keeps, each with its part of the settings.

Does not know how a process serves.
"""

import asyncio
import multiprocessing
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from server.api_processes.place import ProcessPlace
from server.api_processes.requirements import share_out, shares_responses
from server.api_processes.supervisor import Supervisor
from server.keys.sealed_thoughts import set_seal_key
from server.process.parent_watch import watch_parent
from server.settings.settings import ServerSettings

# Serves on the socket until it is to end, and returns the exit code.
Serve = Callable[[socket.socket, ServerSettings, ProcessPlace], int]


def supervise(listener: socket.socket, settings: ServerSettings, serve: Serve) -> int:
    """Run `serve`, which is pickled, in as many processes as configured; return the exit code."""
    if not shares_responses(settings):
        # The processes inherit it, and open each other's seals. What a Redis keeps is to outlive
        # this server: without a key of the operator, they refuse to start.
        set_seal_key()
    with tempfile.TemporaryDirectory(prefix="thinking-server-") as folder:
        supervisor = Supervisor(
            ProcessPlace(0, settings.api_processes, Path(folder)),
            partial(_start, listener, settings, serve),
            listener,
            settings.drain_seconds,
            passes_hangups=settings.keys_file is not None,
        )
        return asyncio.run(supervisor.run())


def _start(
    listener: socket.socket, settings: ServerSettings, serve: Serve, place: ProcessPlace
) -> BaseProcess:
    # Not forked: no thread or open file of this process but the listener is to live on there.
    process = multiprocessing.get_context("spawn").Process(
        target=_run,
        args=(listener, share_out(settings, place), serve, place),
        name=f"api-{place.number}",
    )
    process.start()
    return process


def _run(
    listener: socket.socket, settings: ServerSettings, serve: Serve, place: ProcessPlace
) -> NoReturn:
    watch_parent()
    sys.exit(serve(listener, settings, place))
