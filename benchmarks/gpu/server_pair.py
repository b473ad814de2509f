"""Our server and vLLM's, started side by side on one model, and ended by their process ids.

Knows how each is started, not which requests they get.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.gpu.markers import make_engine_options
from benchmarks.gpu.settings import Settings
from benchmarks.server_process import end_server, wait_until_ready

HOST = "127.0.0.1"
MODEL_NAME = "benchmark"
END_SECONDS = 20.0
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
        if reason := wait_until_ready(process, url, ready_seconds):
            tail = log.read_text(errors="replace")[-LOG_TAIL:]
            raise ServerError(f"{name} {reason}; its log ends: {tail}")
        yield url
    finally:
        # Its engine stays in the stage's session, which the parent kills if the stage is stopped.
        end_server(process, END_SECONDS)


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
