"""The server's life cycle over real sockets and signals, with a scripted engine."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from server.app import create_app
from server.engine.protocol import Engine
from server.engine.scripted import ScriptedEngine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.hub.model_resolution import ModelResolutionError
from server.lifecycle import HttpServer, Lifecycle
from server.process.exit import ExitCode
from server.serve import bind_listener, format_url
from server.state import LoadedModel
from server.traces.sqlite_store import SqliteTraceStore
from server.traces.store import Retention
from server.traces.trace import TraceQuery
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services, wants

END_SECONDS = 120.0  # a machine that runs other tests may stand still for a while
CHAT = "/v1/chat/completions"
PATHS = (CHAT, "/v1/completions", "/v1/responses", "/v1/messages")
STREAM = {"stream": True}


@dataclass
class Running:
    """A server in this process."""

    client: httpx.AsyncClient
    exit_code: asyncio.Task[ExitCode]

    async def get_health(self) -> int:
        return (await self.client.get("/health")).status_code

    async def wait_ready(self) -> None:
        while await self.get_health() != 200:  # noqa: ASYNC110 - as a client polls
            await asyncio.sleep(0.01)

    async def wait_ended(self) -> ExitCode:
        return await asyncio.wait_for(self.exit_code, END_SECONDS)


@asynccontextmanager
async def run_server(
    load: Callable[[], Awaitable[Sequence[LoadedModel]]], drain_seconds: float = 5.0, **options: Any
) -> AsyncIterator[Running]:
    listener = bind_listener("127.0.0.1", 0)
    services = make_services(drain_seconds=drain_seconds, **options)
    config = uvicorn.Config(
        create_app(services),
        log_level="error",
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,  # so that nothing but the drain closes connections
    )
    url = format_url(listener)
    life = Lifecycle(HttpServer(config), listener, services, load, url)
    async with httpx.AsyncClient(base_url=url, timeout=END_SECONDS) as client:
        yield Running(client, asyncio.create_task(life.run()))


def make_engine(text: str) -> ScriptedEngine:
    return ScriptedEngine(wants(text), TOKENIZER, PROFILES["special markers"], model_name=MODEL)


def make_endless_engine() -> ScriptedEngine:
    source, profile = wants("z" * 100_000), PROFILES["special markers"]
    return ScriptedEngine(source, TOKENIZER, profile, model_name=MODEL, max_model_len=100_000)


def make_endless_body(path: str) -> dict[str, Any]:
    """Return the body of a request that takes longer than any test."""
    limit = 90_000
    match path:
        case "/v1/completions":
            fields: dict[str, Any] = {"prompt": "Hi", "max_tokens": limit}
        case "/v1/responses":
            fields = {"input": "Hi", "max_output_tokens": limit}
        case "/v1/messages":
            fields = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": limit}
        case _:
            fields = {
                "messages": [{"role": "user", "content": "Hi"}],
                "max_completion_tokens": limit,
            }
    return {"model": MODEL, "temperature": 0, "max_thinking_tokens": 0, **fields}


def to_http(path: str, body: dict[str, Any]) -> bytes:
    """Return `body` as an HTTP request on a persistent connection."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


async def return_engine(engine: Engine) -> Sequence[LoadedModel]:
    return [LoadedModel(engine)]


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
    async def load() -> Sequence[LoadedModel]:
        raise error

    async with run_server(load) as server:
        assert await server.wait_ended() is code
    assert str(error) in capsys.readouterr().err


async def test_health_is_503_while_loading_and_200_after() -> None:
    may_load = asyncio.Event()

    async def load() -> Sequence[LoadedModel]:
        await may_load.wait()
        return await return_engine(make_engine("Seven."))

    async with run_server(load) as server:
        assert await server.get_health() == 503
        may_load.set()
        await server.wait_ready()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await server.wait_ended() is ExitCode.OK


async def test_a_dead_engine_ends_the_process_with_its_code() -> None:
    engine = make_engine("Seven.")
    async with run_server(lambda: return_engine(engine)) as server:
        await server.wait_ready()
        engine.kill()
        assert await server.wait_ended() is ExitCode.ENGINE_DIED


async def test_an_engine_that_dies_while_draining_ends_the_process_with_its_code() -> None:
    engine = make_endless_engine()
    async with run_server(lambda: return_engine(engine), drain_seconds=60) as server:
        await server.wait_ready()
        async with server.client.stream(
            "POST", CHAT, json=make_endless_body(CHAT) | STREAM
        ) as response:
            os.kill(os.getpid(), signal.SIGTERM)
            while await server.get_health() != 503:
                pass
            engine.kill()
            assert '"code":"engine_dead"' in (await response.aread()).decode()
            assert await server.wait_ended() is ExitCode.ENGINE_DIED


@pytest.mark.parametrize("path", PATHS)
async def test_streams_that_outlast_the_drain_end_with_an_error_of_their_api(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = make_endless_body(path)
    async with run_server(
        lambda: return_engine(make_endless_engine()), drain_seconds=0.3
    ) as server:
        await server.wait_ready()
        async with server.client.stream("POST", path, json=body | STREAM) as response:
            assert response.status_code == 200
            os.kill(os.getpid(), signal.SIGTERM)
            # The whole of it: a bare cut would raise.
            text = (await response.aread()).decode()
        last = json.loads(text.rpartition("data: ")[2])
        # Of a response, the failure is the last event, with OpenAI's own code.
        is_response = path == "/v1/responses"
        error = last["response"]["error"] if is_response else last["error"]
        assert "shutting down" in error["message"]
        assert is_response or path == "/v1/messages" or error["code"] == "shutting_down"
        assert "[DONE]" not in text
        assert await server.wait_ended() is ExitCode.OK
    assert "cut off: 1\n" in capsys.readouterr().err


@pytest.mark.parametrize("path", PATHS)
async def test_requests_that_outlast_the_drain_are_503(path: str) -> None:
    engine = make_endless_engine()
    async with run_server(lambda: return_engine(engine), drain_seconds=0.1) as server:
        await server.wait_ready()
        asking = asyncio.create_task(server.client.post(path, json=make_endless_body(path)))
        while not engine.num_running:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        response = await asking
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.headers["connection"] == "close"
        assert await server.wait_ended() is ExitCode.OK


@pytest.mark.parametrize("path", ["/health", "/metrics", *PATHS])
async def test_while_draining_no_connection_is_used_again(path: str) -> None:
    async with run_server(lambda: return_engine(make_endless_engine()), drain_seconds=60) as server:
        await server.wait_ready()  # leaves a connection that is idle
        async with server.client.stream("POST", CHAT, json=make_endless_body(CHAT) | STREAM):
            os.kill(os.getpid(), signal.SIGTERM)
            while (response := await server.client.get("/version")).headers.get(
                "connection"
            ) != "close":
                pass
            method = "POST" if path in PATHS else "GET"
            response = await server.client.request(method, path, json=make_endless_body(path))
            assert response.headers["connection"] == "close"
            if path != "/metrics":
                assert response.status_code == 503
                assert int(response.headers["retry-after"]) > 0
        assert await server.wait_ended() is ExitCode.OK


async def test_a_stream_that_ends_while_draining_takes_its_connection_along() -> None:
    async with run_server(lambda: return_engine(make_endless_engine()), drain_seconds=60) as server:
        await server.wait_ready()
        async with server.client.stream("POST", CHAT, json=make_endless_body(CHAT) | STREAM):
            short = make_endless_body(CHAT) | STREAM | {"max_completion_tokens": 1500}
            reader, writer = await asyncio.open_connection(
                server.client.base_url.host, server.client.base_url.port
            )
            writer.write(to_http(CHAT, short))
            assert b"200 OK" in await reader.readline()
            os.kill(os.getpid(), signal.SIGTERM)
            sent = await asyncio.wait_for(reader.read(), END_SECONDS)  # until it is closed
            assert b"[DONE]" in sent
            assert not server.exit_code.done()  # another request is open
            writer.close()
        assert await server.wait_ended() is ExitCode.OK


def test_a_second_signal_ends_at_once() -> None:
    command = [sys.executable, "-m", "tests.server.endless_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            poll_health(url, 200)
            with httpx.stream(
                "POST", f"{url}{CHAT}", json=make_endless_body(CHAT) | STREAM, timeout=60
            ):
                process.send_signal(signal.SIGTERM)
                poll_health(url, 503)
                process.send_signal(signal.SIGTERM)
                assert process.wait(END_SECONDS) == 128 + signal.SIGTERM
        finally:
            process.kill()


def poll_health(url: str, wanted: int) -> None:
    """Poll /health until its status is `wanted`."""
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/health", timeout=60).status_code == wanted:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    pytest.fail(f"/health is never {wanted}")


async def test_traces_are_written_before_the_server_ends(tmp_path: Path) -> None:
    path = tmp_path / "traces.sqlite"
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    engine = make_engine("so</think>Seven.")
    async with run_server(lambda: return_engine(engine), trace_store=str(path)) as server:
        await server.wait_ready()
        replies = [await server.client.post("/v1/chat/completions", json=body) for _ in range(9)]
        os.kill(os.getpid(), signal.SIGTERM)
        assert await server.wait_ended() is ExitCode.OK
    store = SqliteTraceStore(path, Retention())
    kept = [trace["id"] for trace in store.read_page(TraceQuery()).traces]
    store.close()
    assert kept == [reply.json()["id"] for reply in replies]
