"""The process of a server that a benchmark starts: its start, waiting until it is ready, its end.

Does not know which server it is, nor what an experiment does if it is not ready.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

HOST = "127.0.0.1"
POLL_SECONDS = 0.5
HEALTH_SECONDS = 5.0
END_SECONDS = 20.0
LOG_TAIL = 2000  # characters
MIB = 2**20


class ServerError(Exception):
    """Server that ended, or was not ready in time; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Server that is ready; `process` is the one that speaks HTTP, with the others below it."""

    url: str
    process: psutil.Process
    start_seconds: float


@contextmanager
def serve(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    ready_seconds: float,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[RunningServer]:
    """Start a server, on a free port where none is named, yield it once it is ready, end it.

    Args:
        command: the port is appended, as ``--port N``.
        environment: added to this process's own.

    Raises:
        ServerError: it does not come up.
    """
    port, begin = port or _find_free_port(), time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        url = f"http://{HOST}:{port}"
        if reason := wait_until_ready(process, url, ready_seconds):
            tail = log.read_text(errors="replace")[-LOG_TAIL:]
            raise ServerError(f"{name} {reason}; its log ends: {tail}")
        yield RunningServer(url, psutil.Process(process.pid), time.monotonic() - begin)
    finally:
        end_server(process, END_SECONDS)


def to_flags(options: Mapping[str, Any]) -> list[str]:
    """Return options as vLLM's command line takes them."""
    flags: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = json.dumps(value) if isinstance(value, dict | list) else str(value)
            flags += [f"--{flag}", text]
    return flags


def wait_until_ready(process: subprocess.Popen[bytes], url: str, seconds: float) -> str | None:
    """Wait until ``GET /health`` of the server at `url` is 200.

    Returns:
        None, or why it is not ready: what is said of it ("ended with 3").
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            return f"ended with {process.returncode}"
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=HEALTH_SECONDS).status_code == httpx.codes.OK:
                return None
        time.sleep(POLL_SECONDS)
    return f"is not ready after {seconds:.0f} s"


def end_server(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Send SIGTERM, SIGKILL after `seconds`, and then end what is left of its engine."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def sum_memory(process: psutil.Process) -> float:
    """Return the MiB of a process and those below it; what they share is counted once."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):  # it has died
        for member in (process, *process.children(recursive=True)):
            total += member.memory_full_info().pss / MIB
    return total


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
