"""Runs a server of several API processes with a scripted engine, for tests from outside."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.house.sources import ROOT
from tests.ops.programs import free_port
from tests.server.scraping import Scrape

START_SECONDS, END_SECONDS = 300.0, 60.0
POLL_SECONDS = 0.05
SOCKET = re.compile(r"/(\d+)\.sock$")


@dataclass(slots=True)
class RunningProcesses:
    """A running server; `main` is the process that the others are children of."""

    url: str
    main: "subprocess.Popen[bytes]"
    log_path: Path

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET on a connection of its own, which any of the processes may accept."""
        return httpx.get(self.url + path, headers=headers, timeout=END_SECONDS)

    def scrape(self, headers: Mapping[str, str] | None = None) -> Scrape:
        """Return what /metrics says."""
        return Scrape(self.get("/metrics", headers).text)

    def list_processes(self) -> dict[int, psutil.Process]:
        """Return the API processes by their numbers, which their sockets are named after."""
        found = {}
        for child in psutil.Process(self.main.pid).children():
            for connection in child.net_connections(kind="unix"):
                if name := SOCKET.search(str(connection.laddr)):
                    found[int(name[1])] = child
        return found

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.main.send_signal(signal.SIGTERM)
        return self.main.wait(END_SECONDS)


@contextmanager
def start_processes(text: str, log_path: Path, **options: str) -> Iterator[RunningProcesses]:
    """Start processes whose model writes `text`; `options` are values of environment variables."""
    port = free_port()
    given = {"port": str(port), "engine_url": "http://127.0.0.1:9", **options}
    variables = {f"THINKING_SERVER_{name.upper()}": value for name, value in given.items()}
    with log_path.open("wb") as log:
        main = subprocess.Popen(
            [sys.executable, "-m", "tests.server.api_processes.scripted_processes", text],
            env=os.environ | variables,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield RunningProcesses(f"http://127.0.0.1:{port}", main, log_path)
    finally:
        children = psutil.Process(main.pid).children(recursive=True) if main.poll() is None else []
        main.kill()
        main.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def wait_until(is_done: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until `is_done`, which may find nobody listening."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if is_done():
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    pytest.fail(f"not in time: {what}")
