"""Servers of the experiments: started when first needed, ended by their process ids.

One model is served at a time, on one port: journals hold the URL and resume only with the
same one. Knows how a user starts servers; not which requests they get.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.proof.errors import FailedError, SkippedError
from benchmarks.server_process import HOST, end_server, wait_until_ready
from server.hub.model_resolution import EMBEDDED_MODELS, ShippedFolder

SCORER = "thinker-scorer"
READY_SECONDS = 400.0  # three processes import vLLM, perhaps on a busy machine
END_SECONDS = 30.0
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
        if reason := wait_until_ready(process, f"http://{HOST}:{port}", READY_SECONDS):
            raise FailedError(f"the server {reason}; see {path}")

    def _end(self, port: int) -> None:
        end_server(self._processes.pop(port), END_SECONDS)


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
