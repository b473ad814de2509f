"""A server as it is deployed, over the scripted engine, with short times; and raw sockets."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.http.connection import HttpConfig
from server.http.connection_limits import ConnectionLimits
from server.serve import bind_listener
from server.state import Services
from tests.server.conftest import (
    MODEL,
    PROFILES,
    TOKENIZER,
    chat_body,
    make_services,
    serve,
    wants,
)

__all__ = ["serve"]  # a fixture of the tests beside these

CHAT = "/v1/chat/completions"
# Long enough for an honest client on a busy machine, short enough to wait for.
SECONDS = 1.5
WAIT_SECONDS = 60.0
DRIP_SECONDS = 0.03
NUM_DRIPS = 600  # far longer than is allowed
MAX_CONNECTIONS = 40
SMALL_BUFFER = 4096
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON_HEAD = "Host: x\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Attacked:
    """A running server."""

    port: int
    engine: ScriptedEngine
    services: Services
    http: uvicorn.Server

    @property
    def num_connections(self) -> int:
        """Open ones, as the server sees it."""
        return len(self.http.server_state.connections)

    @property
    def num_open(self) -> int:
        """Requests without a whole answer."""
        return len(self.http.server_state.tasks)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A connection of our own; a small buffer is full soon."""
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(WAIT_SECONDS)
        client.connect(("127.0.0.1", self.port))
        return client

    def send(self, data: bytes) -> bytes:
        """Send raw bytes; all that comes until the server closes."""
        with self.connect() as client:
            with suppress(OSError):  # it has stopped to listen; what did it say?
                client.sendall(data)
            return read_to_end(client)

    def post(self, path: str, body: bytes | str, **headers: str) -> httpx.Response:
        """Post raw JSON bytes."""
        content = body.encode() if isinstance(body, str) else body
        given = {"content-type": "application/json"} | headers
        return httpx.post(f"{self.url}{path}", content=content, headers=given, timeout=WAIT_SECONDS)

    def chat(self, **fields: Any) -> httpx.Response:
        """A chat, of few tokens unless `fields` say so."""
        body = chat_body(**{"max_completion_tokens": 16} | fields)
        return self.post(CHAT, json.dumps(body))

    def check_well(self) -> None:
        """It still answers, both without and with the engine."""
        assert httpx.get(f"{self.url}/health", timeout=WAIT_SECONDS).status_code == 200
        assert self.chat().status_code == 200


def read_to_end(client: socket.socket) -> bytes:
    """What comes until the connection is closed or cut; a connection left open is a failure."""
    received = b""
    try:
        while data := client.recv(2**16):
            received += data
    except TimeoutError:
        pytest.fail(f"still open after {WAIT_SECONDS:g} s")
    except ConnectionError:
        pass
    return received


def read_one(client: socket.socket) -> bytes:
    """One whole answer with a length or chunks, without `100 Continue`; the connection goes on."""
    answer = b""
    while not _is_whole(answer.removeprefix(CONTINUE)):
        piece = client.recv(2**16)
        assert piece, answer
        answer += piece
    return answer.removeprefix(CONTINUE)


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"0\r\n\r\n")


def dripped(client: socket.socket, pieces: Iterator[bytes]) -> bool:
    """Send piece after piece, slowly; whether the server ended it before the last one."""
    try:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(DRIP_SECONDS)
    except ConnectionError:
        return True
    return False


def status_of(answer: bytes) -> int:
    """Of a raw answer; 0: none came."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def until(condition: Any) -> None:
    """Wait until it holds, as a client polls."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.02)


@contextmanager
def attacked_server(engine: ScriptedEngine | None = None, **options: Any) -> Iterator[Attacked]:
    """In a thread of its own. Sockets of the server have small buffers.

    Args:
        engine: Another one than that which answers at length.
    """
    engine = engine or ScriptedEngine(
        wants("so</think>" + "a " * 1900),
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=2048,
    )
    times = {f"{name}_timeout_seconds": SECONDS for name in ("header", "body", "send")}
    # Under any host name: these tests send what no client would.
    open_to_all = {"allow_anonymous": True, "max_connections": MAX_CONNECTIONS}
    services = make_services(**open_to_all | times | options)
    with bind_listener("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        listener.listen()  # who comes before the server is ready waits
        server = uvicorn.Server(_config(services))
        thread = threading.Thread(target=lambda: asyncio.run(_serve(server, listener, engine)))
        thread.start()
        services.set_engine(engine)
        try:
            yield Attacked(listener.getsockname()[1], engine, services, server)
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive(), "the server hangs"


def _config(services: Services) -> HttpConfig:
    limits = ConnectionLimits.of(services.settings)
    app = create_app(services)
    return HttpConfig(app, limits, log_level="critical", timeout_graceful_shutdown=1)


async def _serve(server: uvicorn.Server, listener: socket.socket, engine: ScriptedEngine) -> None:
    await server.serve([listener])
    await engine.close()


@pytest.fixture(scope="session")
def attacked() -> Iterator[Attacked]:
    """One for all; each test leaves it well."""
    with attacked_server() as running:
        yield running
