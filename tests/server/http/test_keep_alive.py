"""A connection stays open between requests for as long as clients are told."""

import re
import socket
import time

from server.settings.settings import ServerSettings
from tests.attack.conftest import SECONDS, attacked_server, read_one, read_to_end
from tests.server.conftest import Serve

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
TIMEOUT = re.compile(rb"\r\nkeep-alive: timeout=(\d+)\r\n", re.IGNORECASE)


def test_the_default_outlives_the_pools_of_proxies() -> None:
    assert ServerSettings().keep_alive_timeout_seconds == 75


def test_an_idle_connection_is_kept_and_then_closed() -> None:
    with attacked_server(keep_alive_timeout_seconds=2) as server, server.connect() as client:
        for pause in (0.0, SECONDS + 0.2):  # longer than a head may take
            time.sleep(pause)
            started = time.monotonic()
            answer = ask(client)
            assert TIMEOUT.findall(answer) == [b"2"]
        assert read_to_end(client) == b""
        assert 2 <= time.monotonic() - started < 20


def ask(client: socket.socket) -> bytes:
    client.sendall(GET + b"\r\n")
    return read_one(client)


def test_nothing_is_promised_of_a_connection_that_is_closed() -> None:
    with attacked_server() as server:
        for request in (
            GET + b"Connection: close\r\n\r\n",
            GET + b"Connection: Upgrade, Close\r\nUpgrade: h2c\r\n\r\n",
            GET.replace(b"1.1", b"1.0") + b"\r\n",
            GET.replace(b"1.1", b"0.9") + b"\r\n",
        ):
            answer = server.send(request)
            assert not TIMEOUT.search(answer), answer
            assert b"connection: close" in answer.lower()


async def test_a_server_that_drains_promises_nothing(serve: Serve) -> None:
    served = serve()
    assert "keep-alive" in (await served.http.get("/version")).headers
    served.services.slot.is_draining = True
    answer = await served.http.get("/version")
    assert answer.headers["connection"] == "close"
    assert "keep-alive" not in answer.headers
