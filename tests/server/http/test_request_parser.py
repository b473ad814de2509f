"""With an upgrade a request is parsed as the same request is without it."""

from typing import Any

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from server.http.request_parser import RequestParser
from tests.examples import examples

Event = tuple[Any, ...]
UPGRADES = (b"Upgrade: h2c\r\n", b"UPGRADE: websocket\r\n", b"upgrade:\r\n")
LINES = st.sampled_from(
    [b"Host: x\r\n", b"Connection: Upgrade\r\n", b"Connection: close\r\n",
     b"Connection: keep-alive, upgrade\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
     b"Expect: 100-continue\r\n", *UPGRADES]
)  # fmt: skip
STARTS = st.sampled_from(
    [b"POST /a HTTP/1.1\r\n", b"GET /b HTTP/1.1\r\n", b"PUT /c HTTP/1.0\r\n",
     b"HEAD /d HTTP/1.1\r\n"]
)  # fmt: skip
BODIES = st.sampled_from(
    [
        b"",
        b"abc",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nUpgrade: h2c\r\nX: y\r\n\r\n",
        b"\r\n",
    ]
)
Request = tuple[bytes, list[bytes], bytes]
REQUESTS = st.lists(st.tuples(STARTS, st.lists(LINES, max_size=6), BODIES), max_size=3)


class Recorder:
    """Records what a parser says, without lines that ask for another protocol."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._in_body = False

    def on_message_begin(self) -> None:
        self._in_body = False
        self.events.append(("begin",))

    def on_url(self, url: bytes) -> None:
        self._add("url", url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body or name.lower() != b"upgrade":
            self.events.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_body = True
        self.events.append(("head",))

    def on_body(self, body: bytes) -> None:
        self._add("body", body)

    def on_message_complete(self) -> None:
        self.events.append(("end",))

    def _add(self, kind: str, data: bytes) -> None:
        """Join pieces, which depend on how the bytes arrive."""
        if self.events[-1][0] == kind:
            data = self.events.pop()[1] + data
        self.events.append((kind, data))


def parse(data: bytes, size: int) -> list[Event]:
    recorder = Recorder()
    parser = RequestParser(recorder)
    try:
        for start in range(0, len(data), size):
            parser.feed_data(data[start : start + size])
    except httptools.HttpParserError:
        recorder.events.append(("error",))
    return recorder.events


def join(requests: list[Request], *, upgrades: bool) -> bytes:
    return b"".join(
        start
        + b"".join(line for line in lines if upgrades or line not in UPGRADES)
        + b"\r\n"
        + body
        for start, lines, body in requests
    )


@settings(max_examples=examples(500), deadline=None)
@given(REQUESTS, st.integers(1, 50))
def test_upgrades_change_nothing(requests: list[Request], size: int) -> None:
    with_upgrades = parse(join(requests, upgrades=True), size)
    assert with_upgrades == parse(join(requests, upgrades=False), 10**6)
