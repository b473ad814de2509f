"""A compressed body is read as the same body without compression."""

import gzip
import json
import random
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from backports import zstd

from tests.server.conftest import Serve, Served, chat_body

CHAT = "/v1/chat/completions"
HEADERS = {"content-type": "application/json"}
MAX_BYTES = 20_000


def deflate_bare(data: bytes) -> bytes:
    """Return a deflate stream without its frame, as some clients send it."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def stream_zstd(data: bytes) -> bytes:
    """Return a frame that does not say how long it is, as a client that streams writes it."""
    compressor = zstd.ZstdCompressor()
    return b"".join([compressor.compress(data), compressor.flush()])


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "GZIP": (" GZip ", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", deflate_bare),
    "stored deflate": ("deflate", lambda data: zlib.compress(data, 0)),
    "zstd": ("zstd", zstd.compress),
    "streamed zstd": ("zstd", stream_zstd),
    "identity": ("identity", bytes),
}


async def post(served: Served, content: Any, encoding: str) -> Any:
    headers = {**HEADERS, "content-encoding": encoding}
    return await served.http.post(CHAT, content=content, headers=headers)


def make_body(**fields: Any) -> bytes:
    return json.dumps(chat_body(max_completion_tokens=8, temperature=0, **fields)).encode()


@pytest.mark.parametrize("size", [10**6, 7, 1])
@pytest.mark.parametrize("name", CODINGS)
async def test_each_coding_is_decoded_however_it_arrives(
    serve: Serve, name: str, size: int
) -> None:
    served = serve()
    encoding, encode = CODINGS[name]
    encoded = encode(make_body())

    async def send() -> AsyncIterator[bytes]:
        for start in range(0, len(encoded), size):
            yield encoded[start : start + size]

    plain = (await post(served, make_body(), "identity")).json()
    for content in (encoded, send()):
        reply = await post(served, content, encoding)
        assert reply.status_code == 200, reply.text
        assert reply.json()["choices"][0]["message"] == plain["choices"][0]["message"]


@pytest.mark.parametrize("name", [name for name in CODINGS if name != "stored deflate"])
async def test_the_limit_is_that_of_the_decoded_body(serve: Serve, name: str) -> None:
    served = serve(max_body_bytes=MAX_BYTES)
    encoding, encode = CODINGS[name]
    for excess, status in ((0, 200), (1, 413), (MAX_BYTES, 413)):
        body = make_body()
        body += b" " * (MAX_BYTES - len(body) + excess)
        assert (await post(served, encode(body), encoding)).status_code == status


async def test_what_is_sent_has_the_same_limit(serve: Serve) -> None:
    served = serve(max_body_bytes=MAX_BYTES)
    noise = random.Random(0).randbytes(MAX_BYTES)
    for encoded in (gzip.compress(noise), zstd.compress(noise)):
        assert len(encoded) > MAX_BYTES
        answer = await post(served, encoded, "gzip")
        assert answer.status_code == 413


@pytest.mark.parametrize("name", [name for name in CODINGS if name != "identity"])
@pytest.mark.parametrize(
    "spoil",
    [lambda body: body[:-1], lambda body: body[1:], lambda body: body + b"x", lambda body: b"{}"],
    ids=["cut", "no beginning", "more", "plain"],
)
async def test_what_is_not_of_the_coding_is_a_400(
    serve: Serve, name: str, spoil: Callable[[bytes], bytes]
) -> None:
    encoding, encode = CODINGS[name]
    answer = await post(serve(), spoil(encode(make_body())), encoding)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("invalid_encoding", "invalid_json")


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, zstd", "nonsense"])
async def test_another_coding_is_a_415_that_names_ours(serve: Serve, encoding: str) -> None:
    answer = await post(serve(), make_body(), encoding)
    assert answer.status_code == 415
    error = answer.json()["error"]
    assert error["code"] == "unsupported_encoding"
    assert "gzip, deflate, zstd" in error["message"]
    assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"


async def test_a_request_without_a_body_is_not_asked_for_its_coding(serve: Serve) -> None:
    for encoding in ("br", "gzip"):
        answer = await serve().http.get("/v1/models", headers={"content-encoding": encoding})
        assert answer.status_code == 200
