"""Servers of the experiments: started when first needed, ended by their process ids.

One model is served at a time, on one port: journals hold the URL and resume only with the
same one. Knows how a user starts servers; not which requests they get.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from benchmarks.proof.errors import FailedError, SkippedError
from server.hub.model_resolution import EMBEDDED_MODELS, ShippedFolder

HOST = "127.0.0.1"
SCORER = "thinker-scorer"
READY_SECONDS = 400.0  # three processes import vLLM, perhaps on a busy machine
END_SECONDS = 30.0
POLL_SECONDS = 0.5
KV_CACHE_GIB = "1"  # of memory per server: the models are small


class Servers:
    """Context manager of servers; all that were started have ended afterwards."""

    def __init__(self, port: int, logs: Path) -> None:
        self._port = port
        self._logs = logs
        self._processes: dict[int, subprocess.Popen[bytes]] = {}  # by port
        self._model: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for port in list(self._processes):
            self._end(port)

    def serve(self, model: str) -> str:
        """Serve `model`, and no other but the scorer; return the base URL of its API.

        Raises:
            SkippedError: its folder is not there.
            FailedError: it does not come up.
        """
        if self._model != model:
            find_folder(model)
            if self._model is not None:
                self._end(self._port)
            self._model = None
            scorer = f"http://{HOST}:{self._scorer_port}"
            arguments = ["--model", model, "--host", HOST, "--scorer-url", scorer]
            self._start(model, ["server", *arguments], self._port)
            self._model = model
        return f"http://{HOST}:{self._port}/v1"

    def serve_scorer(self) -> None:
        """Serve the reward model too.

        Raises:
            SkippedError: its folder is not there.
            FailedError: it does not come up.
        """
        if self._scorer_port in self._processes:
            return
        folder = find_folder(SCORER)
        command = ["vllm.entrypoints.openai.api_server", "--model", str(folder), "--host", HOST]
        command += ["--served-model-name", SCORER, "--runner", "pooling"]
        command += ["--dtype", "float32", "--enforce-eager"]
        self._start(SCORER, command, self._scorer_port)

    @property
    def _scorer_port(self) -> int:
        return self._port + 1

    def _start(self, name: str, module: Sequence[str], port: int) -> None:
        _check_is_free(port)
        say(f"starting {name} on port {port} …")
        path = self._logs / f"{name}.log"
        command = [sys.executable, "-m", *module, "--port", str(port)]
        environment = {"VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB, **os.environ}
        with path.open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        self._processes[port] = process
        _wait_ready(process, port, path)

    def _end(self, port: int) -> None:
        process = self._processes.pop(port)
        if process.poll() is None:
            family = [*psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for child in family:
                if child.is_running():
                    child.kill()


def find_folder(model: str) -> Path:
    """Return the folder of an embedded model of this project.

    Raises:
        SkippedError: it has no weights there.
    """
    shipped = EMBEDDED_MODELS.get(model)
    if not isinstance(shipped, ShippedFolder) or not (shipped.path / "config.json").is_file():
        raise SkippedError(f"the model {model} does not exist")
    return shipped.path


def say(line: str) -> None:
    """Print one line to standard error."""
    print(f"proof: {line}", file=sys.stderr, flush=True)


def _check_is_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise FailedError(f"port {port}: {error.strerror}; choose another: --port") from error


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise FailedError(f"the server ended with {process.returncode}; see {log}")
        try:
            if httpx.get(f"http://{HOST}:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise FailedError(f"the server is not ready after {READY_SECONDS:g} s; see {log}")
