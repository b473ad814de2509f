"""The life of the server process, from loading to the exit code.

    loading ──▶ ready ──signal──▶ draining ──▶ exit 0
       │          └──engine died──▶ exit 3
       └──failed──▶ exit 1 or 2          second signal, anywhere: exit at once

The HTTP server runs in every services, so that ``/health`` can report it. Does not know how an
engine is loaded or what requests do.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from server.api_processes.accepting import ConnectionCounts, FairAcceptor
from server.engine.protocol import Engine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.hub.model_resolution import ModelResolutionError
from server.process.console import print_status
from server.process.exit import ExitCode, end_now
from server.state import LoadedModel, Services

# Time for open requests to send their final error, after the engine died or the drain timed out.
LAST_WORDS_SECONDS = 1.0
IDLE_POLL_SECONDS = 0.05


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handling, which would stop listening at the first one.

    `counts` are those of the processes that listen on the same socket; None: no other does.
    """

    def __init__(self, config: uvicorn.Config, counts: ConnectionCounts | None = None) -> None:
        super().__init__(config)
        self._counts = counts

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        if self._counts is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listener in sockets or ():
            listener.listen(self.config.backlog)
            acceptor = FairAcceptor(listener, self._counts, self._connect, self._count_open)
            acceptor.start()
            self.servers.append(acceptor)  # type: ignore[arg-type]

    async def _connect(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            ),
            accepted,
        )

    def _count_open(self) -> int:
        return len(self.server_state.connections)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def num_open(self) -> int:
        """Number of requests whose response is not complete yet."""
        return len(self.server_state.tasks)

    @property
    def num_unused(self) -> int:
        """Number of connections whose first request has not come yet."""
        return sum(getattr(one, "cycle", one) is None for one in self.server_state.connections)

    def stop_accepting(self) -> None:
        """Accept no further connection. Other processes on the same socket do."""
        for server in self.servers:
            server.close()

    def stop_reusing_connections(self) -> None:
        """Close each connection after its pending response.

        Idle connections stay open, so that a request already in transit is refused with an
        error response instead of being cut off.
        """
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.shutdown()


@dataclass(slots=True)
class Lifecycle:
    """A run of the server process. `load` starts the engines; `url` is shown to the operator.

    A reply in the background is an open request, whether or not it has a client. With
    `wait_to_listen`, called once the engine is loaded, nobody can connect before that is done,
    unless `listens_at_once`.
    """

    http: HttpServer
    listener: socket.socket
    services: Services
    load: Callable[[], Awaitable[Sequence[LoadedModel]]]
    url: str
    listens_at_once: bool = True
    wait_to_listen: Callable[[], Awaitable[None]] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _serving: asyncio.Task[None] | None = field(default=None, init=False)

    async def run(self) -> ExitCode:
        """Serve until a signal arrives or the engine dies; return the process's exit code."""
        self._listen_to_signals()
        if self.listens_at_once:
            self._listen()
        try:
            engines = await self._load_unless_stopped()
            await self._wait_to_listen()
            return await self._serve(engines)
        except (EngineConfigError, ModelResolutionError) as error:
            print_status(f"error: {error}")
            return ExitCode.USAGE
        except EngineStartError as error:
            print_status(f"error: {error}")
            return ExitCode.START_FAILED
        finally:
            await self._stop_http()

    def _listen(self) -> None:
        self._serving = asyncio.create_task(self.http.serve(sockets=[self.listener]))

    async def _wait_to_listen(self) -> None:
        if self.wait_to_listen is not None:
            waiting = asyncio.ensure_future(self.wait_to_listen())
            if not await self._wait_for_first(waiting):
                print_status("stopped while loading")
                end_now(ExitCode.OK)
            await waiting
        if self._serving is None:
            self._listen()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._handle_signal, number)

    def _handle_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            print_status(f"{number.name} again: exiting now")
            end_now(128 + number)
        self._stopping.set()

    async def _load_unless_stopped(self) -> Sequence[Engine]:
        print_status(f"loading; {self.url}/health is 503 meanwhile")
        loading = asyncio.ensure_future(self.load())
        if not await self._wait_for_first(loading):
            print_status("stopped while loading")
            end_now(ExitCode.OK)
        models = await loading
        await asyncio.to_thread(self.services.set_models, models)
        # What the start has made stays. Looking at all of it, a full collection stops the server
        # for a third of a second.
        gc.collect()
        gc.freeze()
        return [model.engine for model in models]

    async def _serve(self, engines: Sequence[Engine]) -> ExitCode:
        names = ", ".join(engine.model_name for engine in engines)
        print_status(f"ready: {names} at {self.url}")
        try:
            if await self._wait_for_first(asyncio.ensure_future(_wait_any_dead(engines))):
                return await self._end_after_death()
            return await self._drain(engines)
        finally:
            await self._stop_http()
            await self.services.close()
            for engine in engines:
                await engine.close()

    async def _end_after_death(self) -> ExitCode:
        print_status(
            "error: the engine has died; exiting so that a supervisor can restart the server"
        )
        await self._wait_until_idle(LAST_WORDS_SECONDS)
        return ExitCode.ENGINE_DIED

    async def _drain(self, engines: Sequence[Engine]) -> ExitCode:
        self.services.slot.is_draining = True
        self.http.stop_reusing_connections()
        seconds = self.services.settings.drain_seconds
        print_status(f"stopping: finishing open requests (at most {seconds:g} s; again to end now)")
        if not await self._wait_until_idle(seconds):
            print_status(f"out of time: open requests that are cut off: {self._num_open}")
            for engine in engines:
                engine.give_up()
            await self._wait_until_idle(LAST_WORDS_SECONDS)
        await self._answer_accepted()
        is_alive = all(engine.is_alive for engine in engines)
        return ExitCode.OK if is_alive else ExitCode.ENGINE_DIED

    async def _answer_accepted(self) -> None:
        """Answer those who have just connected: nobody sends a first request twice."""
        self.http.stop_accepting()
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await asyncio.sleep(IDLE_POLL_SECONDS)
                while self.http.num_unused or self._num_open:  # noqa: ASYNC110 - as below
                    await asyncio.sleep(IDLE_POLL_SECONDS)
        except TimeoutError:
            pass

    async def _wait_until_idle(self, seconds: float) -> bool:
        """Wait until no request is open. Return False if that takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._num_open:  # noqa: ASYNC110 - uvicorn has no event for this
                    await asyncio.sleep(IDLE_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    @property
    def _num_open(self) -> int:
        return self.http.num_open + self.services.background.num_running

    async def _wait_for_first(self, task: asyncio.Future[Any]) -> bool:
        """Wait for `task` or a signal. Return True if the task finished first."""
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return task.done()

    async def _stop_http(self) -> None:
        """Stop listening and cut off the connections that are still open."""
        self.http.should_exit = True
        if self._serving is not None:
            await self._serving


async def _wait_any_dead(engines: Sequence[Engine]) -> None:
    """Wait until one of the engines has died."""
    dying = [asyncio.ensure_future(engine.wait_dead()) for engine in engines]
    try:
        await asyncio.wait(dying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in dying:
            task.cancel()
