"""Who may open a socket, what it may send, and when the server closes it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from server.api.openai.responses.socket import connection
from server.process.exit import ExitCode
from tests.server.api.openai.responses.socket.conftest import (
    END_SECONDS,
    LAST,
    SocketServer,
    run_sockets,
)
from tests.server.keys.conftest import ALICE, BOB, EVE, make_entry, to_bearer

SEVEN = "<think>Two and five.</think>Seven."
ENDLESS = "<think>" + "z" * 50_000


def to_socket_url(server: SocketServer, path: str = "/v1/responses") -> str:
    return server.url.replace("http", "ws") + path


async def get_denial(server: SocketServer, path: str = "/v1/responses", **options: Any) -> Any:
    """Return the HTTP response to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(to_socket_url(server, path), **options):
            pass
    return caught.value.response


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    path = tmp_path / "keys.toml"
    limits = {"quota.requests_per_day": "3"}
    path.write_text(make_entry("alice", ALICE) + make_entry("bob", BOB, **limits))
    return str(path)


async def test_a_socket_needs_a_key(keys_file: str) -> None:
    async with run_sockets(SEVEN, keys_file=keys_file) as server:
        for headers in ({}, to_bearer(EVE)):
            denial = await get_denial(server, additional_headers=headers)
            assert denial.status_code == 401
            assert denial.headers["www-authenticate"] == "Bearer"
            assert json.loads(denial.body)["error"]["code"] == "invalid_api_key"
        async with server.connect(ALICE) as talk:
            assert (await talk.respond())[-1]["type"] == "response.completed"


async def test_each_response_counts_against_the_quota(keys_file: str) -> None:
    async with run_sockets(SEVEN, keys_file=keys_file) as server:
        async with server.connect(BOB) as talk:
            kinds = [(await talk.respond())[-1] for _ in range(4)]
        assert [event["type"] for event in kinds[:3]] == ["response.completed"] * 3
        refusal = kinds[-1]
        assert refusal["type"] == "error"
        assert refusal["status"] == 429
        assert int(refusal["error"]["headers"]["retry-after"]) > 0


async def test_a_key_that_is_taken_away_ends_no_connection_but_its_requests(
    keys_file: str,
) -> None:
    async with run_sockets(SEVEN, keys_file=keys_file) as server, server.connect(ALICE) as talk:
        assert (await talk.respond())[-1]["type"] == "response.completed"
        Path(keys_file).write_text(make_entry("bob", BOB))  # noqa: ASYNC240
        server.services.keys.reload()
        [refusal] = await talk.respond()
        assert refusal["status"] == 401


async def test_another_key_neither_continues_nor_steers(keys_file: str) -> None:
    async with run_sockets(ENDLESS, 60_000, keys_file=keys_file) as server:  # noqa: SIM117
        async with server.connect(ALICE) as alice, server.connect(BOB) as bob:
            await alice.create(max_thinking_tokens=40_000)
            created = (await alice.read())["response"]["id"]
            await bob.steer(created, "Stop.")
            failed = await bob.read()
            assert failed["type"] == "response.steer.failed"
            assert failed["error"]["code"] == "response_not_found"
            [refusal] = await bob.respond(previous_response_id=created)
            assert refusal["error"]["code"] == "previous_response_not_found"
            assert server.engine.num_running == 1


@pytest.mark.parametrize(
    ("origin", "allowed", "opens"),
    [
        ("https://evil.example", [], False),
        ("null", [], False),
        ("https://good.example", ["https://good.example"], True),
        ("https://evil.example", ["https://good.example"], False),
        ("https://evil.example", ["*"], True),
        (None, [], True),
    ],
)
async def test_no_page_opens_a_socket_unasked(origin: Any, allowed: list[str], opens: bool) -> None:
    async with run_sockets(SEVEN, allowed_origins=allowed) as server:
        if opens:
            async with connect(to_socket_url(server), origin=origin):
                return
        denial = await get_denial(server, origin=origin)
        assert denial.status_code == 403
        async with connect(
            to_socket_url(server), origin=Origin(server.url)
        ):  # the server's own page
            pass


async def test_every_spelling_of_the_path_opens_it(seven: SocketServer) -> None:
    for path in ("/responses", "/v1/responses/", "/v1/responses?x=1"):
        async with connect(to_socket_url(seven, path)) as socket:
            await socket.send('{"type": "response.create", "input": "x"}')
            assert json.loads(await socket.recv())["type"] == "response.created"


async def test_other_paths_open_none(seven: SocketServer) -> None:
    for path, status in (("/v1/models", 200), ("/v1/chat/completions", 405), ("/nope", 404)):
        assert (await get_denial(seven, path)).status_code == status


async def test_the_path_cannot_be_read_without_a_socket(seven: SocketServer) -> None:
    async with seven.http as http:
        response = await http.get("/v1/responses")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


async def test_a_message_that_is_too_large_ends_the_connection() -> None:
    async with run_sockets(SEVEN, max_body_bytes=1_000) as server:
        async with connect(to_socket_url(server)) as socket:
            await socket.send("x" * 1_001)
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


async def test_what_runs_ends_before_a_drain_closes_the_connection() -> None:
    text = f"<think>{' '.join(map(str, range(100)))}</think>Seven."
    async with run_sockets(text) as server:
        async with server.connect() as talk, server.connect() as idle:
            await talk.create(max_thinking_tokens=400)
            await talk.create()
            await talk.read_until("response.in_progress")
            server.lifecycle._stopping.set()
            events = await talk.read_until("response.completed")
            assert events[-1]["response"]["output"][-1]["content"][0]["text"] == "Seven."
            [refusal] = await talk.read_until(*LAST)
            assert refusal["status"] == 503
            for other in (talk, idle):
                with pytest.raises(ConnectionClosed) as caught:
                    await other.read()
                assert caught.value.rcvd is not None
                assert caught.value.rcvd.code == 1012
        assert await asyncio.wait_for(server.exit_code, END_SECONDS) is ExitCode.OK


@pytest.mark.parametrize(
    ("limit", "code"),
    [("IDLE_SECONDS", None), ("MAX_SECONDS", "websocket_connection_limit_reached")],
)
async def test_no_connection_is_open_for_ever(
    monkeypatch: pytest.MonkeyPatch, limit: str, code: str | None
) -> None:
    monkeypatch.setattr(connection, limit, 0.05)
    async with run_sockets(SEVEN) as server, server.connect() as talk:
        if code is not None:
            assert (await talk.read())["error"]["code"] == code
        with pytest.raises(ConnectionClosed) as caught:
            await talk.read()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001


HANDSHAKE = (
    "GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def exchange(server: SocketServer, *pieces: bytes) -> bytes:
    """Return the first bytes that answer `pieces`, sent one after the other."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(END_SECONDS):
            return await reader.read(10_000)
    finally:
        writer.close()


async def test_a_handshake_may_come_in_pieces_and_after_a_request(seven: SocketServer) -> None:
    request = f"{HANDSHAKE}\r\n".encode()
    pieces = [request[place : place + 1] for place in range(len(request))]
    assert (await exchange(seven, *pieces)).startswith(b"HTTP/1.1 101 ")
    host, port = seven.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HEALTH)
    assert b"200 OK" in await reader.readuntil(b'"ok"}')
    writer.write(request)
    assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
    writer.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (HANDSHAKE + "Content-Length: 2\r\n\r\n{}", 405),
        (HANDSHAKE + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 405),
        (HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0") + "\r\n", 405),
        (HANDSHAKE.replace("websocket", "h2c") + "\r\n", 405),
        (HANDSHAKE.replace("Connection: Upgrade\r\n", "") + "\r\n", 405),
        (HANDSHAKE.replace("GET", "POST") + "Content-Length: 2\r\n\r\n{}", 415),
        (HANDSHAKE.replace("13", "8") + "\r\n", 400),
        (HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "x") + "\r\n", 400),
    ],
)
async def test_what_is_no_handshake_is_the_request_that_it_is(
    seven: SocketServer, request_head: str, status: int
) -> None:
    answer = await exchange(seven, request_head.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


@pytest.mark.parametrize("early", [HEALTH, b"\x81\x85\x00\x00\x00\x00hello"])
async def test_nothing_may_be_sent_before_the_handshake_is_answered(
    seven: SocketServer, early: bytes
) -> None:
    answer = await exchange(seven, f"{HANDSHAKE}\r\n".encode() + early)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
