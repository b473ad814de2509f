"""Nobody holds a connection for nothing: every wait ends, and others are answered meanwhile."""

import json
import socket
from contextlib import suppress
from itertools import repeat

import httpx
import pytest

from tests.attack.conftest import (
    CHAT,
    JSON_HEAD,
    MAX_CONNECTIONS,
    NUM_DRIPS,
    SMALL_BUFFER,
    Attacked,
    attacked_server,
    dripped,
    read_to_end,
    status_of,
    until,
)
from tests.server.conftest import chat_body

HEAD = f"POST {CHAT} HTTP/1.1\r\n{JSON_HEAD}"
LONG = {"max_completion_tokens": 1800, "stream": True, "logprobs": True, "top_logprobs": 20}


def post_of(**fields: object) -> bytes:
    body = json.dumps(chat_body(**fields))
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "start", [b"", b"\r\n", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX"]
)
def test_a_head_that_never_comes_is_not_waited_for(attacked: Attacked, start: bytes) -> None:
    with attacked.connect() as client:
        client.sendall(start)
        attacked.check_well()
        answer = read_to_end(client)
    assert status_of(answer) == (408 if start.strip() else 0)


def test_a_head_that_trickles_is_not_waited_for(attacked: Attacked) -> None:
    with attacked.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\n")
        assert dripped(client, (b"X-%d: a\r\n" % number for number in range(NUM_DRIPS)))
    attacked.check_well()


def test_lines_between_requests_do_not_keep_a_connection(attacked: Attacked) -> None:
    with attacked.connect() as client:
        assert dripped(client, repeat(b"\r\n", NUM_DRIPS))
    attacked.check_well()


def test_a_body_that_never_ends_is_a_408(attacked: Attacked) -> None:
    with attacked.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
        attacked.check_well()
        answer = read_to_end(client)
    assert status_of(answer) == 408
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_timeout"


def test_a_body_that_nobody_reads_ends_the_connection(attacked: Attacked) -> None:
    """A path that does not exist: answered at once, and the bytes go on."""
    with attacked.connect() as client:
        client.sendall(b"POST /no HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert dripped(client, repeat(b"1\r\na\r\n", NUM_DRIPS))
    attacked.check_well()


@pytest.mark.parametrize("body", [b"5;" + b"a" * 2**22 + b"\r\n", b"1\r\na\r\n" * 2**18])
def test_a_chunked_body_costs_no_more_than_its_time(attacked: Attacked, body: bytes) -> None:
    """Extensions of chunks are no part of the body, so its limit does not count them."""
    answer = attacked.send(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + body)
    assert status_of(answer) in (400, 408)
    attacked.check_well()


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_that_takes_nothing_is_cut_off(attacked: Attacked, is_stream: bool) -> None:
    until(lambda: attacked.num_connections == 0)
    with attacked.connect(SMALL_BUFFER) as client:
        client.sendall(post_of(**LONG | {"stream": is_stream}))
        until(lambda: attacked.engine.num_running > 0)
        attacked.check_well()
        until(lambda: attacked.num_connections == 0)
        assert len(read_to_end(client)) < 2**20  # the rest is nowhere
    until(lambda: attacked.engine.num_running == 0)


def test_a_further_request_does_not_excuse_an_answer_that_is_not_taken(attacked: Attacked) -> None:
    until(lambda: attacked.num_connections == 0)
    with attacked.connect(SMALL_BUFFER) as client:
        client.sendall(post_of(**LONG | {"stream": False}))
        until(lambda: attacked.engine.num_running > 0)
        until(lambda: attacked.num_open == 0)
        with suppress(OSError):  # a slow machine may have cut it off by now
            client.sendall(post_of(**LONG))
        until(lambda: attacked.num_connections == 0)
    until(lambda: attacked.engine.num_running == 0)


def test_requests_that_come_before_the_answer_are_not_kept(attacked: Attacked) -> None:
    with attacked.connect() as client:
        client.sendall(post_of(**LONG))
        until(lambda: attacked.engine.num_running > 0)
        for _ in range(2_000):
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        answer = read_to_end(client)
    assert answer.count(b"HTTP/1.1 ") == 1
    attacked.check_well()


def test_requests_in_one_piece_get_the_first_ones_answer(attacked: Attacked) -> None:
    answer = attacked.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer.lower()


def test_a_client_that_leaves_with_a_second_request_open_ends_the_first(
    attacked: Attacked,
) -> None:
    with attacked.connect() as client:
        client.sendall(post_of(**LONG) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: attacked.engine.num_running > 0)
        written = attacked.engine.num_generated
    until(lambda: attacked.engine.num_running == 0)
    assert attacked.engine.num_generated - written < 1700


def test_silent_connections_make_room_for_others() -> None:
    with attacked_server(header_timeout_seconds=600) as server:
        silent = [server.connect() for _ in range(3 * MAX_CONNECTIONS)]
        server.check_well()
        told = [_last_words(client) for client in silent[:MAX_CONNECTIONS]]
        for client in silent:
            client.close()
    # Those that had been silent for longest were closed, and nobody was refused for them.
    assert told == [b""] * MAX_CONNECTIONS


def _last_words(client: socket.socket) -> bytes:
    """What a connection says that the server has closed; fails where it is open."""
    client.settimeout(10)
    try:
        return client.recv(1000)
    except ConnectionResetError:
        return b""


def test_where_all_connections_are_at_work_another_is_a_503() -> None:
    with attacked_server(max_connections=1, body_timeout_seconds=600) as server:
        with server.connect() as busy:
            busy.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
            until(lambda: server.num_open == 1)
            answer = server.send(b"")
            assert status_of(answer) == 503
            assert b"too_many_connections" in answer
        until(lambda: _is_well(server))


def _is_well(server: Attacked) -> bool:
    try:
        return httpx.get(f"{server.url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_client_that_leaves_amid_its_body_is_no_server_error(attacked: Attacked) -> None:
    with attacked.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
    attacked.check_well()
    metrics = httpx.get(f"{attacked.url}/metrics", timeout=60).text
    assert 'status="500"' not in metrics
    assert 'cause="internal_error"} 0.0' in metrics
