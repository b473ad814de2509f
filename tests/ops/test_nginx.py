"""nginx in front of servers: streams pass unbuffered, and no request is executed twice."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from server.settings.settings import ServerSettings
from tests.ops import programs
from tests.ops.proxy import NGINX, nginx, rendered
from tests.server.api.openai.responses.socket.conftest import run_sockets

WAIT_SECONDS = 20.0
EVENTS = 4


@dataclass
class Backend:
    """A small server that counts requests, refuses on demand, and streams step by step."""

    status: int = 200
    seen: list[dict[str, str]] = field(default_factory=list)
    may_go_on: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    port: int = 0

    def app(self) -> Starlette:
        routes = [
            Route("/health", self._health),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"port": self.port}, self.status or 200)

    async def _chat(self, request: Request) -> Response:
        self.seen.append(dict(request.headers))
        if self.status == 0:  # dies during the request
            raise asyncio.CancelledError
        if self.status != 200:
            return JSONResponse({"error": {"code": "own"}}, self.status)
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        yield b"data: 0\n\n"
        for number in range(1, EVENTS):
            assert await asyncio.to_thread(self.may_go_on.acquire, timeout=WAIT_SECONDS)
            yield b"data: %d\n\n" % number


@contextmanager
def listening(backend: Backend) -> Iterator[Backend]:
    backend.port = programs.free_port()
    config = uvicorn.Config(backend.app(), port=backend.port, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + WAIT_SECONDS
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield backend
    finally:
        backend.may_go_on.release(100)
        server.should_exit = True
        thread.join(WAIT_SECONDS)


@pytest.fixture
def pair() -> Iterator[tuple[Backend, Backend]]:
    with listening(Backend()) as one, listening(Backend()) as other:
        yield one, other


def chat(url: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={}, headers=headers, timeout=WAIT_SECONDS)


def go_on(*backends: Backend) -> None:
    for backend in backends:
        backend.may_go_on.release(100)


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    path = rendered([1, 2], programs.free_port(), tmp_path)
    result = programs.run(["nginx", "-t", "-c", str(path), "-p", str(tmp_path)])
    assert result.returncode == 0, result.stdout
    assert "warn" not in result.stdout


def test_a_stream_passes_event_by_event(tmp_path: Path, pair: tuple[Backend, Backend]) -> None:
    ports = [backend.port for backend in pair]
    with (
        nginx(ports, tmp_path) as url,
        httpx.stream(
            "POST", f"{url}/v1/chat/completions", json={}, timeout=WAIT_SECONDS
        ) as response,
    ):
        events = response.iter_text()
        for number in range(EVENTS):  # each is written only after we have received the previous one
            assert next(events) == f"data: {number}\n\n"
            for backend in pair:
                backend.may_go_on.release()
        assert list(events) == []


def test_a_server_that_is_down_is_gone_around(tmp_path: Path) -> None:
    with listening(Backend()) as alive, nginx([programs.free_port(), alive.port], tmp_path) as url:
        go_on(alive)
        assert [chat(url).status_code for _ in range(6)] == [200] * 6
    assert len(alive.seen) == 6


def test_a_refused_request_is_done_once_and_the_next_goes_elsewhere(
    tmp_path: Path, pair: tuple[Backend, Backend]
) -> None:
    draining, other = pair
    draining.status = 503
    go_on(*pair)
    with nginx([backend.port for backend in pair], tmp_path) as url:
        replies = [chat(url) for _ in range(12)]
    refused = [reply for reply in replies if reply.status_code == 503]
    # A few requests may reach it before nginx notices.
    assert [reply.status_code for reply in replies[6:]] == [200] * 6
    assert len(draining.seen) == len(refused)
    assert len(other.seen) == len(replies) - len(refused)
    assert all(reply.json()["error"]["code"] == "own" for reply in refused)


@pytest.mark.parametrize("status", [0, 500, 502])
def test_a_request_that_a_server_has_begun_is_never_begun_by_another(
    tmp_path: Path, pair: tuple[Backend, Backend], status: int
) -> None:
    for backend in pair:
        backend.status = status
    with nginx([backend.port for backend in pair], tmp_path) as url:
        assert chat(url).status_code >= 500
    assert sum(len(backend.seen) for backend in pair) == 1


def test_with_no_server_at_all_a_client_is_told_to_try_again(tmp_path: Path) -> None:
    with nginx([programs.free_port(), programs.free_port()], tmp_path) as url:
        reply = chat(url)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "unavailable")
    assert reply.headers["retry-after"] == "1"


def test_reads_are_put_to_the_next_server(tmp_path: Path, pair: tuple[Backend, Backend]) -> None:
    pair[0].status = 503
    with nginx([backend.port for backend in pair], tmp_path) as url:
        replies = [httpx.get(f"{url}/health", timeout=WAIT_SECONDS) for _ in range(4)]
    assert {reply.json()["port"] for reply in replies} == {pair[1].port}


def test_request_ids_are_passed_on_and_addresses_are_not_believed(
    tmp_path: Path, pair: tuple[Backend, Backend]
) -> None:
    go_on(*pair)
    with nginx([backend.port for backend in pair], tmp_path) as url:
        chat(url, **{"x-request-id": "mine", "x-forwarded-for": "1.2.3.4"})
        chat(url)
    named, unnamed = sorted(
        (*pair[0].seen, *pair[1].seen), key=lambda seen: seen["x-request-id"] != "mine"
    )
    assert named["x-request-id"] == "mine"
    assert len(unnamed["x-request-id"]) == 32
    assert named["x-forwarded-for"] == "127.0.0.1"


async def test_a_socket_of_responses_passes_and_no_other_upgrade_does(tmp_path: Path) -> None:
    async with (
        run_sockets("<think>Two and five.</think>Seven.") as server,
        httpx.AsyncClient() as http,
    ):
        port = int(server.url.rpartition(":")[2])
        with nginx([port], tmp_path) as url:
            async with server.connect(url=url) as talk:
                events = await talk.respond()
            upgrade = {
                "connection": "upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
            }
            upgrade["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
            refused = await http.get(f"{url}/v1/models", headers=upgrade)
    assert events[-1]["type"] == "response.completed"
    assert refused.status_code == 200  # as the HTTP request that it is


def test_large_bodies_are_refused_by_nginx(tmp_path: Path, pair: tuple[Backend, Backend]) -> None:
    limit = ServerSettings().max_body_bytes
    assert f"client_max_body_size {limit};" in NGINX.read_text()
    with nginx([backend.port for backend in pair], tmp_path) as url:
        reply = httpx.post(f"{url}/v1/chat/completions", content=b" " * (limit + 1), timeout=60)
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")
        assert httpx.get(f"{url}/metrics", timeout=60).status_code == 404
    assert not (*pair[0].seen, *pair[1].seen)
