"""Finds and runs third-party programs for the tests.

Fetched by deploy/test-tools.sh. The options of each process bind it to loopback; it is ended by
its pid.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.house.sources import ROOT

TOOLS = ROOT / ".cache" / "tools" / "usr"
HELM = ROOT / ".cache" / "tools" / "helm"
START_SECONDS = 30.0
END_SECONDS = 10.0


def program(name: str) -> str:
    """Return the path of `name`; skip the test if it is not available."""
    folders = (TOOLS / "bin", TOOLS / "sbin", HELM)
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    found = shutil.which(name, path=f"{path}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not here (deploy/test-tools.sh)")
    return found


def environment() -> dict[str, str]:
    """Return the environment with the libraries of the fetched programs."""
    libraries = str(TOOLS / "lib" / "x86_64-linux-gnu")
    return os.environ | {"LD_LIBRARY_PATH": libraries}


def run(
    command: Sequence[str], *, seconds: float = 60.0, given: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run `command` until it exits, with `given` as input; `stdout` has all its output."""
    return subprocess.run(
        [program(command[0]), *command[1:]],
        env=environment(),
        timeout=seconds,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@contextmanager
def running(
    command: Sequence[str], log_path: Path, is_ready: Callable[[], bool]
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start `command`, wait until `is_ready`, and end it when the context exits."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [program(command[0]), *command[1:]],
            env=environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{command[0]} does not start:\n{log_path.read_text()}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return an unused loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a process listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
