"""A server under a supervisor that restarts it whenever it ends, as systemd would.

Also knows how to kill its engine. All processes are ended by their process ids.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

HOST = "127.0.0.1"
READY_SECONDS = 400.0  # three processes import vLLM, perhaps on a busy machine
END_SECONDS = 60.0
POLL_SECONDS = 0.2
KV_CACHE_GIB = "1"


@dataclass(slots=True)
class SupervisedServer:
    """Server with the `exit_codes` of ended runs, and the `restart_seconds` until ready again."""

    port: int
    log_path: Path
    arguments: Sequence[str]
    exit_codes: list[int] = field(default_factory=list)
    restart_seconds: list[float] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://{HOST}:{self.port}"

    async def wait_ready(self) -> None:
        """Return once ``/health`` is 200.

        Raises:
            TimeoutError: it is not in time.
        """
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as http:
            while not await _is_ready(http, self.url):  # noqa: ASYNC110 - no event
                await asyncio.sleep(POLL_SECONDS)

    def kill_engine(self) -> None:
        """Send SIGKILL to the engine's core; the server notices by itself."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        engines = [child for child in children if "resource_tracker" not in str(child.cmdline())]
        engines[0].kill()

    def read_rss_bytes(self) -> int:
        """Return the memory of the API process."""
        assert self._process is not None
        return int(psutil.Process(self._process.pid).memory_info().rss)

    async def supervise(self) -> None:
        """Start the server, and again whenever it ends, until cancelled."""
        ended = None
        with self.log_path.open("ab") as log:
            while True:
                self._process = self._start(log.fileno())
                if ended is not None:
                    await self.wait_ready()
                    self.restart_seconds.append(time.monotonic() - ended)
                code = await asyncio.to_thread(self._process.wait)
                self.exit_codes.append(code)
                ended = time.monotonic()

    def _start(self, log: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "server", "--host", HOST, "--port", str(self.port)]
        return subprocess.Popen(
            [*command, *self.arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB, **os.environ},
        )

    def end(self) -> None:
        """Send SIGTERM, and SIGKILL if that takes too long."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            self.exit_codes.append(process.wait(END_SECONDS))
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            self.exit_codes.append(process.wait())


@asynccontextmanager
async def run_supervised(server: SupervisedServer) -> AsyncIterator[SupervisedServer]:
    """Yield `server`, ready and supervised, and end it afterwards."""
    supervisor = asyncio.create_task(server.supervise())
    try:
        await server.wait_ready()
        yield server
    finally:
        supervisor.cancel()
        server.end()


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/health", timeout=5.0)).status_code == 200
    except httpx.TransportError:
        return False
