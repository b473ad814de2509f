"""From the first byte served to the exit code: loading, ready, draining, dead.

    loading ──▶ ready ──signal──▶ draining ──▶ exit 0
       │          └──engine died──▶ exit 3
       └──failed──▶ exit 1 or 2          second signal, anywhere: exit at once

The HTTP server runs all the while, so that ``/health`` can tell. Does not know how an
engine is loaded, nor what requests do.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from server.engine.protocol import Engine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.hub.model_resolution import ModelResolutionError
from server.process.console import say
from server.process.exit import ExitCode, end_now
from server.state import ServerState

# For open requests to be told that they end, after the engine's death or the drain's time.
LAST_WORDS_SECONDS = 1.0
IDLE_POLL_SECONDS = 0.05


class HttpServer(uvicorn.Server):
    """uvicorn, with the signals left to us: it would close its door at the first one."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def is_idle(self) -> bool:
        """Whether no request is open."""
        return self.num_open == 0

    @property
    def num_open(self) -> int:
        """Requests that have no whole response yet."""
        return len(self.server_state.tasks)

    def stop_reusing_connections(self) -> None:
        """Close each connection after the response that it waits for.

        Idle ones are left: a request that is on its way shall be refused, not cut off.
        """
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()


@dataclass(slots=True)
class Lifecycle:
    """One run of the server. `load` makes the engine; `url` is for the operator."""

    http: HttpServer
    listener: socket.socket
    state: ServerState
    load: Callable[[], Awaitable[Engine]]
    url: str
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _serving: asyncio.Task[None] = field(init=False)

    async def run(self) -> ExitCode:
        """Serve until a signal or the engine's death; the process's exit code."""
        self._listen_to_signals()
        self._serving = asyncio.create_task(self.http.serve(sockets=[self.listener]))
        try:
            engine = await self._load_unless_stopped()
            return await self._serve(engine)
        except (EngineConfigError, ModelResolutionError) as error:
            say(f"error: {error}")
            return ExitCode.USAGE
        except EngineStartError as error:
            say(f"error: {error}")
            return ExitCode.START_FAILED
        finally:
            await self._stop_http()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            say(f"{number.name} again: ending now")
            end_now(128 + number)
        self._stopping.set()

    async def _load_unless_stopped(self) -> Engine:
        say(f"loading; {self.url}/health is 503 meanwhile")
        loading = asyncio.ensure_future(self.load())
        if not await self._first_of(loading):
            say("stopped while loading")
            end_now(ExitCode.OK)
        engine = await loading
        await asyncio.to_thread(self.state.set_engine, engine)
        return engine

    async def _serve(self, engine: Engine) -> ExitCode:
        say(f"ready: {engine.model_name} at {self.url}")
        try:
            if await self._first_of(asyncio.ensure_future(engine.wait_dead())):
                return await self._after_death()
            return await self._drain(engine)
        finally:
            await self._stop_http()
            await self.state.close()
            await engine.close()

    async def _after_death(self) -> ExitCode:
        say("error: the engine has died; ending so that a supervisor can restart the server")
        await self._until_idle(LAST_WORDS_SECONDS)
        return ExitCode.ENGINE_DIED

    async def _drain(self, engine: Engine) -> ExitCode:
        self.state.draining = True
        self.http.stop_reusing_connections()
        seconds = self.state.settings.drain_seconds
        say(f"stopping: finishing open requests (at most {seconds:g} s; again to end now)")
        if not await self._until_idle(seconds):
            say(f"out of time: open requests that are cut off: {self.http.num_open}")
            engine.give_up()
            await self._until_idle(LAST_WORDS_SECONDS)
        return ExitCode.OK if engine.is_alive else ExitCode.ENGINE_DIED

    async def _until_idle(self, seconds: float) -> bool:
        """Wait until no request is open; False when that takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not self.http.is_idle:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(IDLE_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _first_of(self, task: asyncio.Future[Any]) -> bool:
        """Wait for `task` or a signal; whether it was the task."""
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return task.done()

    async def _stop_http(self) -> None:
        """Cut off what is still open and close the door."""
        self.http.should_exit = True
        await self._serving
