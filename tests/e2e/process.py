"""The real server as a process, started as a user starts it.

Does not know which servers the tests share; see `tests.e2e.shared`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from server.serve import bind_listener

READY_SECONDS = 900.0  # a cold machine imports vLLM three times, and may run other tests
END_SECONDS = 20.0
KV_CACHE_GIB = "1"
# Two threads of OpenMP wait for each other at every operation, hundreds of times a token: while
# the tests in the other processes have one's core, the engine takes twice as long or more. Free
# to run on either core, one thread loses nothing but the idle time of the other.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running ``thinking-server``; `log_path` has all that it wrote."""

    base_url: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    async def get_text(self, path: str) -> str:
        async with httpx.AsyncClient(base_url=self.base_url, timeout=30) as client:
            return (await client.get(path)).raise_for_status().text

    def children(self) -> list[psutil.Process]:
        """The engine's processes, core first."""
        found = []
        for process in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it may end meanwhile
                if "resource_tracker" not in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def wait_ready(self) -> None:
        """Return when ``/health`` is 200; fail the test when it never is."""
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended with {self.process.returncode}:\n{self.log()}")
            try:
                if httpx.get(f"{self.base_url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        pytest.fail(f"the server is not ready after {READY_SECONDS:g} s:\n{self.log()}")


@contextmanager
def started_server(
    log_path: Path,
    arguments: Sequence[str] = (),
    *,
    own_group: bool = False,
    own_threads: bool = False,
    compiles: bool = False,
    port: int | None = None,
) -> Iterator[Server]:
    """Start the server, on a free port where none is named; it may still be loading.

    Args:
        own_group: In a process group of its own.
        own_threads: With as many threads, bound to cores, as it chooses; else with one.
        compiles: With compiled steps, which are waited for once; else with eager ones.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "server", "--port", str(port), *arguments]
    if not compiles:
        command.append("--enforce-eager")
    with started_process(
        command, port, log_path, own_group=own_group, own_threads=own_threads
    ) as running:
        yield running


@contextmanager
def started_process(
    command: Sequence[str],
    port: int,
    log_path: Path,
    *,
    own_group: bool = False,
    own_threads: bool = False,
) -> Iterator[Server]:
    """Start what listens on `port`; ended by pid at the end."""
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB} | ONE_THREAD
    if own_threads:
        environment = {name: environment[name] for name in environment if name not in ONE_THREAD}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=own_group,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log_path)
    try:
        yield server
    finally:
        _end(server)


def assert_gone(children: Sequence[psutil.Process], seconds: float = 60.0) -> None:
    """Fail unless all `children` end in time."""
    # An orphan waits a second for an orderly end; a busy machine takes its time.
    _, alive = psutil.wait_procs(children, timeout=seconds)
    assert not alive


def assert_can_start_again(server: Server) -> None:
    """Fail unless a new process could listen where the ended `server` did."""
    port = int(server.base_url.rpartition(":")[2])
    bind_listener("127.0.0.1", port).close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(server: Server) -> None:
    if server.process.poll() is not None:
        return
    children = server.children()
    # Twice: a fixture need not wait for open requests.
    for _ in range(2):
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    try:
        server.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
