"""A file of keys is followed without a restart, and a broken one changes nothing."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from server.keys import watching
from server.keys.key import AccessKey
from server.keys.live import VARIABLE, LiveKeys
from server.keys.reading import KeyFileError
from server.metrics import Metrics
from tests.server.conftest import chat_body, make_state
from tests.server.keys.conftest import ALICE, BOB, EVE, KeyFile, ServeKeys, bearer, entry

WAIT_SECONDS = 20.0


@pytest.fixture
def keys(key_file: KeyFile) -> LiveKeys:
    return LiveKeys(key_file.path, None, Metrics())


def opens(keys: LiveKeys, secret: str) -> bool:
    return keys.find(secret.encode()) is not None


async def test_a_removed_key_stops_at_once_and_its_running_stream_goes_on(
    serve_keys: ServeKeys, key_file: KeyFile
) -> None:
    served = serve_keys()
    body = chat_body(stream=True, temperature=0, max_thinking_tokens=100)
    url = "/v1/chat/completions"
    chunks: list[bytes] = []
    request = {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}
    received = [request]

    async def receive() -> Any:
        if received:
            return received.pop()
        return await asyncio.get_running_loop().create_future()  # the client stays

    async def send(message: Any) -> None:
        if message["type"] != "http.response.body":
            return
        if not chunks:  # the stream has begun
            key_file.write(entry("bob", BOB))
            assert served.state.keys.reload()
            for secret, status in ((ALICE, 401), (BOB, 200)):
                asked = await served.http.post(url, json=chat_body(), headers=bearer(secret))
                assert asked.status_code == status
        chunks.append(message["body"])

    headers = [
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + ALICE.encode()),
    ]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
             "path": url, "raw_path": url.encode(), "query_string": b"", "root_path": "",
             "headers": headers, "client": ("127.0.0.1", 1), "server": ("test", 80)}  # fmt: skip
    await served.app(scope, receive, send)
    text = b"".join(chunks).decode()
    assert '"finish_reason":"stop"' in text
    assert text.rstrip().endswith("data: [DONE]")


def test_a_secret_is_rotated_without_a_gap(keys: LiveKeys, key_file: KeyFile) -> None:
    for held in ((ALICE,), (ALICE, EVE), (EVE,)):
        key_file.write(entry("alice", *held))
        keys.reload_if_changed()
        assert [opens(keys, secret) for secret in (ALICE, EVE)] == [
            ALICE in held,
            EVE in held,
        ]


BROKEN = ["", "[[keys]\n", entry("alice"), f'[[keys]]\nid = "alice"\nsecret = "{EVE}"\n', "\0"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_keeps_the_old_keys_and_says_so_once(
    keys: LiveKeys, key_file: KeyFile, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    key_file.path.write_text(text)
    for _ in range(3):
        keys.reload_if_changed()
    told = capsys.readouterr().err
    assert told.count("error: keys not reloaded") == 1
    assert str(key_file.path) in told
    assert EVE not in told
    assert opens(keys, ALICE)
    key_file.write(entry("bob", BOB))
    keys.reload_if_changed()
    assert not opens(keys, ALICE)


def test_a_file_that_is_gone_opens_nothing_and_takes_nothing(
    keys: LiveKeys, key_file: KeyFile
) -> None:
    key_file.path.unlink()
    keys.reload_if_changed()
    assert keys.are_needed
    assert opens(keys, ALICE)
    assert not opens(keys, EVE)


def test_without_any_key_left_nobody_gets_in(keys: LiveKeys, key_file: KeyFile) -> None:
    key_file.write()
    keys.reload_if_changed()
    assert keys.are_needed
    assert not any(opens(keys, secret) for secret in (ALICE, BOB, ""))


def test_a_file_that_is_moved_into_place_is_noticed_though_its_time_and_size_are_the_same(
    keys: LiveKeys, key_file: KeyFile
) -> None:
    old = key_file.path.stat()
    new = KeyFile(key_file.path.with_suffix(".new"))
    new.write(entry("alice", EVE + "aa"), entry("bob", BOB))
    assert new.path.stat().st_size == old.st_size
    os.utime(new.path, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.path.replace(key_file.path)
    keys.reload_if_changed()
    assert not opens(keys, ALICE)


def test_reloads_are_counted(key_file: KeyFile) -> None:
    metrics = Metrics()
    keys = LiveKeys(key_file.path, None, metrics)
    keys.reload()
    key_file.path.write_text("nonsense")
    keys.reload()
    text = metrics.render().decode()
    assert 'thinking_key_reloads_total{result="ok"} 1.0' in text
    assert 'thinking_key_reloads_total{result="failed"} 1.0' in text


async def test_sighup_and_the_watch_reload(
    keys: LiveKeys, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def until_alice_opens(expected: bool) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while opens(keys, ALICE) is not expected:  # noqa: ASYNC110 - it is told in no other way
                await asyncio.sleep(0.01)

    monkeypatch.setattr(watching, "POLL_SECONDS", 3600.0)
    async with watching.watched(keys):
        key_file.write(entry("bob", BOB))
        os.kill(os.getpid(), signal.SIGHUP)
        await until_alice_opens(False)
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    async with watching.watched(keys):
        key_file.write(entry("alice", ALICE))
        await until_alice_opens(True)


def test_keys_come_from_the_environment_too(
    key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, entry("eve", EVE))
    both = make_state(keys_file=str(key_file.path)).keys
    assert both.find(EVE.encode()) == AccessKey("eve")
    assert opens(both, ALICE)
    alone = make_state().keys
    assert alone.are_needed
    assert opens(alone, EVE)
    assert not opens(alone, ALICE)


def test_keys_that_cannot_be_used_stop_the_start(
    key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyFileError, match="nowhere"):
        make_state(keys_file="/nowhere/keys.toml")
    key_file.path.write_bytes(b"\xff")
    with pytest.raises(KeyFileError, match="UTF-8"):
        make_state(keys_file=str(key_file.path))
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(KeyFileError, match=VARIABLE):
        make_state()


def test_keys_and_no_keys_are_not_asked_for_together(key_file: KeyFile) -> None:
    with pytest.raises(KeyFileError, match="--allow-anonymous"):
        make_state(keys_file=str(key_file.path), allow_anonymous=True)
