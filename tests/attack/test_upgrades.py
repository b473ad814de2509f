"""A request that asks for another protocol is the HTTP request that it is, no more and no less."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attack.conftest import CHAT, JSON_HEAD, Attacked, read_one, status_of
from tests.examples import examples
from tests.server.conftest import chat_body

UPGRADES = {
    "the JDK's and curl's": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n",
    "a proxy's": "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "a handshake": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "TLS": "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    "no protocol": "Connection: upgrade\r\n",
    "no connection": "Upgrade: h2c\r\n",
    "several": "Upgrade: h2c, websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n",
    "nothing": "Upgrade: \r\nConnection: Upgrade\r\n",
}
PATHS = {CHAT: "", "/v1/messages": "anthropic-version: 2023-06-01\r\n"}
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def make_request(upgrade: str, body: bytes, *, is_chunked: bool, path: str = CHAT) -> bytes:
    head = f"POST {path} HTTP/1.1\r\n{JSON_HEAD}{PATHS.get(path, '')}{upgrade}"
    if not is_chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in split(body, 50))
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + pieces + b"0\r\n\r\n"


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read_answer(attacked: Attacked, request: bytes, size: int = 10**6) -> bytes:
    """Return the answer to `request`, sent in pieces on a connection that stays open."""
    with attacked.connect() as client:
        for piece in split(request, size):
            client.sendall(piece)
        return read_one(client)


@pytest.mark.parametrize("size", [10**6, 1])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
def test_the_body_is_kept(attacked: Attacked, name: str, is_chunked: bool, size: int) -> None:
    body = json.dumps(chat_body(max_completion_tokens=4, max_thinking_tokens=0)).encode()
    answer = read_answer(attacked, make_request(UPGRADES[name], body, is_chunked=is_chunked), size)
    assert status_of(answer) == 200, answer
    assert b"chat.completion" in answer


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_a_stream(attacked: Attacked, path: str) -> None:
    body = json.dumps(
        chat_body(stream=True, max_tokens=4) | ({} if path == CHAT else {"temperature": 0})
    ).encode()
    request = make_request(UPGRADES["the JDK's and curl's"], body, is_chunked=True, path=path)
    answer = read_answer(attacked, request)
    assert status_of(answer) == 200, answer
    assert b"text/event-stream" in answer


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
def test_the_connection_goes_on_in_http(attacked: Attacked, name: str, is_chunked: bool) -> None:
    request = make_request(UPGRADES[name], b'{"model": 1}', is_chunked=is_chunked)
    with attacked.connect() as client:
        for _ in range(3):
            client.sendall(request)
            answer = read_one(client)
            assert status_of(answer) == 400, answer
            assert b"model" in answer  # the body was read
        client.sendall(LAST)
        assert status_of(read_one(client)) == 200


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
def test_nothing_in_a_body_is_a_request(attacked: Attacked, name: str, is_chunked: bool) -> None:
    """Not even where a reader that changes the protocol would go on reading."""
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = attacked.send(make_request(UPGRADES[name], smuggled, is_chunked=is_chunked) + LAST)
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1  # what came early is dropped, as ever
    assert b"thinking_" not in answer


LENGTHS = {
    "both": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two": "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a sign": "Content-Length: +4\r\n\r\nabcd",
    "an unknown coding": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunks": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "a bad chunk": "Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
    "two hosts": "Host: y\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("name", LENGTHS)
def test_an_upgrade_excuses_no_ambiguous_length(
    attacked: Attacked, name: str, upgrade: str
) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\n{JSON_HEAD}"
    for request in (
        head + UPGRADES[upgrade] + LENGTHS[name],
        head + LENGTHS[name].replace("\r\n\r\n", f"\r\n{UPGRADES[upgrade]}\r\n", 1),
    ):
        answer = attacked.send(request.encode() + LAST)
        assert status_of(answer) == 400, answer
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"malformed_http" in answer


def test_a_tunnel_is_refused_whatever_it_is_called(attacked: Attacked) -> None:
    for target in ("evil:443", "http://x/health", "/health"):
        answer = attacked.send(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + LAST)
        assert status_of(answer) == 400, answer
        assert answer.count(b"HTTP/1.1 ") == 1


LINES = st.lists(
    st.sampled_from(
        [
            "Connection: Upgrade\r\n",
            "Connection: close\r\n",
            "Connection: keep-alive, upgrade\r\n",
            "Upgrade: h2c\r\n",
            "Upgrade: websocket\r\n",
            "UPGRADE:\r\n",
            "X-Upgrade: h2c\r\n",
            "Expect: 100-continue\r\n",
        ]
    ),
    max_size=4,
)


@settings(max_examples=examples(60), suppress_health_check=list(HealthCheck), deadline=None)
@given(LINES, st.booleans(), st.integers(1, 400))
def test_no_combination_of_lines_changes_what_the_body_is(
    attacked: Attacked, lines: list[str], is_chunked: bool, size: int
) -> None:
    request = make_request("".join(lines), b'{"model": 1}', is_chunked=is_chunked)
    answer = read_answer(attacked, request, size)
    assert status_of(answer) == 400, answer
    assert b"model" in answer
