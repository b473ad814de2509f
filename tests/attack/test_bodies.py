"""Hostile bodies are 4xx, small ones, and the server goes on answering."""

import gzip
import json
import zlib

import httpx
import psutil
import pytest
from backports import zstd

from tests.attack.bodies import HOSTILE_FIELDS, NO_BODIES, VALID, with_raw
from tests.attack.conftest import CHAT, JSON_HEAD, Attacked, status_of

MAX_ANSWER_BYTES = 2_000


def check_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text[:300]
    assert len(answer.content) < MAX_ANSWER_BYTES
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", VALID)
def test_the_bodies_are_valid_without_the_attack(attacked: Attacked, path: str) -> None:
    assert attacked.post(path, json.dumps(VALID[path])).status_code == 200


@pytest.mark.parametrize("name", HOSTILE_FIELDS)
@pytest.mark.parametrize("path", VALID)
def test_a_hostile_field_is_refused_or_ignored(attacked: Attacked, path: str, name: str) -> None:
    """Ignored if no field of the endpoint has its name; then the response says so, briefly."""
    answer = attacked.post(path, with_raw(path, HOSTILE_FIELDS[name]))
    if answer.status_code == 200:
        assert 0 < len(answer.headers["x-ignored-fields"]) < MAX_ANSWER_BYTES
    else:
        check_refused(answer, 400)


@pytest.mark.parametrize("name", NO_BODIES)
def test_what_is_no_body_is_refused(attacked: Attacked, name: str) -> None:
    for path in VALID:
        check_refused(attacked.post(path, NO_BODIES[name]), 400)


ZEROS = b" " * 2**27
BOMBS = {
    "gzip": gzip.compress(ZEROS),
    "deflate": zlib.compress(ZEROS),
    "zstd": zstd.compress(ZEROS),
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_bomb_is_opened_no_further_than_a_body_may_be_long(
    attacked: Attacked, encoding: str
) -> None:
    """128 MiB in a few kilobytes."""
    before = psutil.Process().memory_info().rss
    for path in VALID:
        check_refused(attacked.post(path, BOMBS[encoding], **{"content-encoding": encoding}), 413)
    assert psutil.Process().memory_info().rss - before < len(ZEROS) / 2
    attacked.check_well()


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, gzip", "identity, gzip", "x" * 1000])
def test_a_body_in_another_coding_is_refused_unopened(attacked: Attacked, encoding: str) -> None:
    for path in VALID:
        answer = attacked.post(path, BOMBS["gzip"], **{"content-encoding": encoding})
        check_refused(answer, 415)
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_body_that_is_not_of_its_coding_is_a_400(attacked: Attacked, encoding: str) -> None:
    whole = BOMBS[encoding]
    for body in (
        b"{}",
        whole[:-1],
        b"\0" * 99,
        zstd.compress(b"{}") + b"x",
        gzip.compress(b"") * 9,
    ):
        answer = attacked.post(CHAT, body, **{"content-encoding": encoding})
        check_refused(answer, 400, 413)


def test_a_zstd_frame_that_wants_gigabytes_for_its_window_is_a_400(attacked: Attacked) -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 30}
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(b"{}") + compressor.flush()  # of unknown size, so with a window
    check_refused(attacked.post(CHAT, frame, **{"content-encoding": "zstd"}), 400)


@pytest.mark.parametrize("path", VALID)
def test_a_giant_body_is_a_413(attacked: Attacked, path: str) -> None:
    limit = attacked.services.settings.max_body_bytes
    head = f"POST {path} HTTP/1.1\r\nConnection: close\r\n{JSON_HEAD}"
    declared = f"{head}Content-Length: {limit * 1000}\r\n\r\n{{".encode()
    assert status_of(attacked.send(declared)) == 413
    piece = b"10000\r\n" + b" " * 2**16 + b"\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + piece * (limit // 2**16 + 2)
    assert status_of(attacked.send(chunked)) in (413, 0)  # 0: cut off while it was being sent
    attacked.check_well()


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "a"}] * 90_000}),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * 90_000}]},
        ),
        (CHAT, {"messages": [{"role": "user", "content": "<think>" * 300_000}]}),
        (CHAT, {"messages": [{"role": "user", "content": "<|im_start|>" * 200_000}]}),
        (CHAT, {"messages": [{"role": "user", "content": "let's think " * 100_000}]}),
        ("/v1/completions", {"prompt": ["a"] * 500_000}),
        ("/v1/completions", {"prompt": [1] * 1_000_000}),
        ("/v1/completions", {"prompt": [10**18]}),
        ("/v1/responses", {"input": [{"role": "user", "content": "a"}] * 90_000}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "a"}] * 90_000}),
        ("/detokenize", {"tokens": [-1]}),
        ("/detokenize", {"tokens": [10**18]}),
        ("/v1/thinking/map", {"text": "a" * 1_000_000}),
    ],
)
def test_a_giant_conversation_is_a_400(
    attacked: Attacked, path: str, fields: dict[str, object]
) -> None:
    body = json.dumps(VALID[path] | fields, ensure_ascii=False)
    check_refused(attacked.post(path, body), 400)
    attacked.check_well()


def test_nothing_but_json_is_read(attacked: Attacked) -> None:
    """A web page can post these three without asking the server first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        for path, body in VALID.items():
            check_refused(attacked.post(path, json.dumps(body), **{"content-type": kind}), 415)
