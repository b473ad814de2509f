"""The process's life over real sockets and real signals, with a scripted engine."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from server.app import create_app
from server.embedded import ModelResolutionError
from server.engine.protocol import Engine
from server.engine.scripted import ScriptedEngine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.exit_codes import ExitCode
from server.lifecycle import HttpServer, Lifecycle
from server.serve import bound_listener, url_of
from server.traces.sqlite_store import SqliteTraceStore
from server.traces.store import Retention
from server.traces.trace import TraceQuery
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_state, wants

END_SECONDS = 10.0


@dataclass
class Running:
    """A server in this process."""

    client: httpx.AsyncClient
    exit_code: asyncio.Task[ExitCode]

    async def health(self) -> int:
        return (await self.client.get("/health")).status_code

    async def wait_ready(self) -> None:
        while await self.health() != 200:  # noqa: ASYNC110 - as a client polls
            await asyncio.sleep(0.01)

    async def ended(self) -> ExitCode:
        return await asyncio.wait_for(self.exit_code, END_SECONDS)


@asynccontextmanager
async def running(
    load: Callable[[], Awaitable[Engine]], drain_seconds: float = 5.0, **options: Any
) -> AsyncIterator[Running]:
    listener = bound_listener("127.0.0.1", 0)
    state = make_state(drain_seconds=drain_seconds, **options)
    config = uvicorn.Config(
        create_app(state), log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    url = url_of(listener)
    life = Lifecycle(HttpServer(config), listener, state, load, url)
    async with httpx.AsyncClient(base_url=url, timeout=END_SECONDS) as client:
        yield Running(client, asyncio.create_task(life.run()))


def engine_that_writes(text: str) -> ScriptedEngine:
    return ScriptedEngine(wants(text), TOKENIZER, PROFILES["special markers"], model_name=MODEL)


async def loaded(engine: Engine) -> Engine:
    return engine


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineStartError("no memory"), ExitCode.START_FAILED),
        (EngineConfigError("--speculative-config"), ExitCode.USAGE),
        (ModelResolutionError("no such folder"), ExitCode.USAGE),
    ],
)
async def test_a_failed_load_ends_with_its_code_and_says_why(
    error: Exception, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    async def load() -> Engine:
        raise error

    async with running(load) as server:
        assert await server.ended() is code
    assert str(error) in capsys.readouterr().err


async def test_health_is_503_while_loading_and_200_after() -> None:
    may_load = asyncio.Event()

    async def load() -> Engine:
        await may_load.wait()
        return engine_that_writes("Seven.")

    async with running(load) as server:
        assert await server.health() == 503
        may_load.set()
        await server.wait_ready()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await server.ended() is ExitCode.OK


async def test_a_dead_engine_ends_the_process_with_its_code() -> None:
    engine = engine_that_writes("Seven.")
    async with running(lambda: loaded(engine)) as server:
        await server.wait_ready()
        engine.kill()
        assert await server.ended() is ExitCode.ENGINE_DIED


async def test_requests_that_outlast_the_drain_are_cut_off() -> None:
    engine = engine_that_writes("a " * 1900)
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 1800,
        "stream": True,
    }
    async with running(lambda: loaded(engine), drain_seconds=0.3) as server:
        await server.wait_ready()
        async with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.1)
            refused = await server.client.post("/v1/chat/completions", json=body)
            assert refused.status_code == 503
            assert await server.ended() is ExitCode.OK


async def test_traces_are_written_before_the_server_ends(tmp_path: Path) -> None:
    path = tmp_path / "traces.sqlite"
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    engine = engine_that_writes("so</think>Seven.")
    async with running(lambda: loaded(engine), trace_store=str(path)) as server:
        await server.wait_ready()
        replies = [await server.client.post("/v1/chat/completions", json=body) for _ in range(9)]
        os.kill(os.getpid(), signal.SIGTERM)
        assert await server.ended() is ExitCode.OK
    store = SqliteTraceStore(path, Retention())
    kept = [trace["id"] for trace in store.page(TraceQuery()).traces]
    store.close()
    assert kept == [reply.json()["id"] for reply in replies]
