"""What is not one plain HTTP request is refused: no two readers of it may disagree."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attack.conftest import CHAT, JSON_HEAD, Attacked, status_of
from tests.examples import examples

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = f"POST {CHAT} HTTP/1.1\r\n{JSON_HEAD}".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

MALFORMED = {
    "length and chunks": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "two equal lengths": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a length below 0": POST + b"Content-Length: -1\r\n\r\nabcd",
    "a length in hex": POST + b"Content-Length: 0x4\r\n\r\nabcd",
    "a length of 30 digits": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabcd",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunks": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "a coding after a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk of g": CHUNKED + b"g\r\n",
    "a chunk of -1": CHUNKED + b"-1\r\n",
    "a chunk of +5": CHUNKED + b"+5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of 0x5": CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n",
    "a chunk of 2^72": CHUNKED + b"ffffffffffffffffff\r\n",
    "a chunk that ends with LF": CHUNKED + b"5\nabcde\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"2\r\nabcde\r\n0\r\n\r\n",
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a folded length": POST + b"Content-Length:\r\n 4\r\n\r\nabcd",
    "a space before the colon": POST + b"Content-Length : 4\r\n\r\nabcd",
    "lines that end with LF": b"GET /health HTTP/1.1\nHost: x\n\n",
    "a CR in a header": GET + b"X: a\rY: b\r\n\r\n",
    "a NUL in a header": GET + b"X: a\0b\r\n\r\n",
    "a NUL in a name": GET + b"X\0: a\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path of raw bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_a_400_and_nothing_after_it_is_read(
    attacked: Attacked, name: str
) -> None:
    answer = attacked.send(MALFORMED[name])
    assert status_of(answer) == 400, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_http"
    attacked.check_well()


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"a" * 2**16,
        b"a" * 2**16 + b": x",
        b"X: a\r\n" * 1_000 + b"X: a",
        b"Host: " + b"a" * 2**16,
        b"Cookie: " + b"a" * 2**25,  # and never an end
    ],
)
def test_a_large_head_is_a_431(attacked: Attacked, head: bytes) -> None:
    answer = attacked.send(b"GET /health HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert status_of(answer) in (431, 0)  # 0: cut off while it was being sent
    attacked.check_well()


def test_a_long_path_is_refused(attacked: Attacked) -> None:
    for length in (2**14, 2**16, 2**20):
        answer = attacked.send(b"GET /" + b"a" * length + b" HTTP/1.0\r\nHost: x\r\n\r\n")
        assert status_of(answer) in (404, 400, 431, 0)
    attacked.check_well()


def test_a_trailer_is_no_header(attacked: Attacked) -> None:
    body = b"2\r\n{}\r\n0\r\nX-Request-Id: forged\r\nContent-Encoding: gzip\r\n\r\n"
    answer = attacked.send(CHUNKED.replace(b"Host: x", b"Host: x\r\nConnection: close") + body)
    assert status_of(answer) == 400
    assert b"forged" not in answer
    assert b"unsupported_encoding" not in answer


def test_there_is_no_upgrade(attacked: Attacked) -> None:
    upgrades = (
        b"websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
        b"h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    )
    for upgrade in upgrades:
        answer = attacked.send(
            GET + b"Connection: Upgrade, close\r\nUpgrade: " + upgrade + b"\r\n\r\n"
        )
        assert status_of(answer) in (200, 400)
        assert b"101" not in answer.split(b"\r\n")[0]
    attacked.check_well()


@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"GET ", b"POST ", CHAT.encode(), b"/", b" HTTP/1.1\r\n", b"\r\n"]),
            st.sampled_from(
                [b"Host: x\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n"]
            ),
            st.sampled_from(
                [b"Content-Type: application/json\r\n", b"\r\n\r\n", b"0", b"5", b"{}"]
            ),
            st.sampled_from([GET, POST, CHUNKED, b"Expect: 100-continue\r\n", b":", b" ", b"\t"]),
            st.binary(max_size=12),
        ),
        max_size=14,
    ).map(b"".join)
)
def test_no_bytes_make_a_server_error_or_a_silence(attacked: Attacked, data: bytes) -> None:
    with attacked.connect() as client:
        client.sendall(data)
        client.shutdown(1)  # nothing more to come
        answer = b""
        try:
            while piece := client.recv(2**16):
                answer += piece
        except ConnectionError:
            pass
    for status in answer.split(b"HTTP/1.1 ")[1:]:
        assert int(status[:3]) < 500, answer


NAMES = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,30}", fullmatch=True).filter(
    lambda name: name.lower() not in ("content-length", "transfer-encoding", "connection", "host")
)
VALUES = st.binary(max_size=40).filter(lambda v: not set(v) & {0, 10, 13} and v == v.strip())
KNOWN = st.sampled_from(
    "authorization x-api-key x-request-id traceparent accept anthropic-version content-encoding "
    "content-type origin referer cookie x-forwarded-for x-forwarded-proto forwarded expect range "
    "x-http-method-override te".split()
)


@settings(max_examples=examples(80), suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(NAMES | KNOWN, VALUES), max_size=8))
def test_no_headers_make_a_server_error(
    attacked: Attacked, headers: list[tuple[str, bytes]]
) -> None:
    lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    for start in (b"GET /v1/models", POST.partition(b" HTTP")[0]):
        answer = attacked.send(
            start + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n"
        )
        assert 200 <= status_of(answer) < 500, answer
