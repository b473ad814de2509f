"""Our server and vLLM's, started side by side on one model, and ended by their process ids.

Knows how each is started, not which requests they get.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.gpu.markers import make_engine_options
from benchmarks.gpu.settings import Settings

HOST = "127.0.0.1"
MODEL_NAME = "benchmark"
POLL_SECONDS, END_SECONDS = 0.5, 20.0
LOG_TAIL = 2000  # characters


class ServerError(Exception):
    """Server that ended, or was not ready in time; the message has the end of its log."""


def make_command(settings: Settings, module: Sequence[str], num_requests: int) -> list[str]:
    """Return the command of a server, with vLLM's options as flags."""
    options = make_engine_options(settings, num_requests)
    command = [sys.executable, "-m", *module, "--host", HOST]
    command += ["--served-model-name", MODEL_NAME]
    return command + to_flags(options)


def to_flags(options: dict[str, Any]) -> list[str]:
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


@contextmanager
def serve(name: str, command: Sequence[str], log: Path, *, ready_seconds: float) -> Iterator[str]:
    """Start a server, yield its URL once it is ready, end it.

    Raises:
        ServerError: it does not come up.
    """
    port = _find_free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VLLM_LOGGING_LEVEL": "INFO"},
        )
    try:
        url = f"http://{HOST}:{port}"
        _wait_ready(process, url, name, log, ready_seconds)
        yield url
    finally:
        _end(process)


def _wait_ready(
    process: subprocess.Popen[bytes], url: str, name: str, log: Path, ready_seconds: float
) -> None:
    until = time.monotonic() + ready_seconds
    reason = f"{name} is not ready after {ready_seconds:.0f} s"
    while time.monotonic() < until:
        if process.poll() is not None:
            reason = f"{name} ended with {process.returncode}"
            break
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise ServerError(f"{reason}; its log ends: {log.read_text(errors='replace')[-LOG_TAIL:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server, and then what is left of its engine.

    It stays in the stage's session, which the parent kills if the stage is stopped.
    """
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
