"""The process of a server that a benchmark starts: waiting until it is ready, and its end.

Does not know how a server is started, nor what an experiment does if it is not ready.
"""

import subprocess
import time
from contextlib import suppress

import httpx
import psutil

POLL_SECONDS = 0.5
HEALTH_SECONDS = 5.0


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
