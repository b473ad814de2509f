"""Changes of the key file take effect without a restart; an invalid file changes nothing."""

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
from tests.server.conftest import chat_body, make_services
from tests.server.keys.conftest import ALICE, BOB, EVE, KeyFile, ServeKeys, make_entry, to_bearer

WAIT_SECONDS = 20.0


@pytest.fixture
def keys(key_file: KeyFile) -> LiveKeys:
    return LiveKeys(key_file.path, None, Metrics())


def is_accepted(keys: LiveKeys, secret: str) -> bool:
    return keys.find(secret.encode()) is not None


async def test_a_removed_key_is_refused_at_once_and_its_running_stream_continues(
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
            key_file.write(make_entry("bob", BOB))
            assert served.services.keys.reload()
            for secret, status in ((ALICE, 401), (BOB, 200)):
                asked = await served.http.post(url, json=chat_body(), headers=to_bearer(secret))
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
        key_file.write(make_entry("alice", *held))
        keys.reload_if_changed()
        assert [is_accepted(keys, secret) for secret in (ALICE, EVE)] == [
            ALICE in held,
            EVE in held,
        ]


BROKEN = ["", "[[keys]\n", make_entry("alice"), f'[[keys]]\nid = "alice"\nsecret = "{EVE}"\n', "\0"]


@pytest.mark.parametrize("text", BROKEN)
def test_an_invalid_file_keeps_the_old_keys_and_reports_it_once(
    keys: LiveKeys, key_file: KeyFile, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    key_file.path.write_text(text)
    for _ in range(3):
        keys.reload_if_changed()
    output = capsys.readouterr().err
    assert output.count("error: keys not reloaded") == 1
    assert str(key_file.path) in output
    assert EVE not in output
    assert is_accepted(keys, ALICE)
    key_file.write(make_entry("bob", BOB))
    keys.reload_if_changed()
    assert not is_accepted(keys, ALICE)


def test_a_deleted_file_adds_and_removes_no_keys(keys: LiveKeys, key_file: KeyFile) -> None:
    key_file.path.unlink()
    keys.reload_if_changed()
    assert keys.are_needed
    assert is_accepted(keys, ALICE)
    assert not is_accepted(keys, EVE)


def test_without_any_key_left_every_secret_is_refused(keys: LiveKeys, key_file: KeyFile) -> None:
    key_file.write()
    keys.reload_if_changed()
    assert keys.are_needed
    assert not any(is_accepted(keys, secret) for secret in (ALICE, BOB, ""))


def test_a_file_that_is_moved_into_place_is_noticed_though_its_time_and_size_are_the_same(
    keys: LiveKeys, key_file: KeyFile
) -> None:
    old = key_file.path.stat()
    new = KeyFile(key_file.path.with_suffix(".new"))
    new.write(make_entry("alice", EVE + "aa"), make_entry("bob", BOB))
    assert new.path.stat().st_size == old.st_size
    os.utime(new.path, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.path.replace(key_file.path)
    keys.reload_if_changed()
    assert not is_accepted(keys, ALICE)


def test_reloads_are_counted(key_file: KeyFile) -> None:
    metrics = Metrics()
    keys = LiveKeys(key_file.path, None, metrics)
    keys.reload()
    key_file.path.write_text("nonsense")
    keys.reload()
    text = metrics.render().decode()
    assert 'thinking_key_reloads_total{result="ok"} 1.0' in text
    assert 'thinking_key_reloads_total{result="failed"} 1.0' in text


async def test_sighup_and_polling_reload(
    keys: LiveKeys, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait_until_accepted(expected: bool) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while is_accepted(keys, ALICE) is not expected:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)

    monkeypatch.setattr(watching, "POLL_SECONDS", 3600.0)
    async with watching.watch_keys(keys):
        key_file.write(make_entry("bob", BOB))
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_until_accepted(False)
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    async with watching.watch_keys(keys):
        key_file.write(make_entry("alice", ALICE))
        await wait_until_accepted(True)


def test_keys_come_from_the_environment_too(
    key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, make_entry("eve", EVE))
    both = make_services(keys_file=str(key_file.path)).keys
    assert both.find(EVE.encode()) == AccessKey("eve")
    assert is_accepted(both, ALICE)
    alone = make_services().keys
    assert alone.are_needed
    assert is_accepted(alone, EVE)
    assert not is_accepted(alone, ALICE)


def test_unusable_keys_prevent_the_start(
    key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyFileError, match="nowhere"):
        make_services(keys_file="/nowhere/keys.toml")
    key_file.path.write_bytes(b"\xff")
    with pytest.raises(KeyFileError, match="UTF-8"):
        make_services(keys_file=str(key_file.path))
    monkeypatch.setenv(VARIABLE, "nonsense")
    with pytest.raises(KeyFileError, match=VARIABLE):
        make_services()


def test_keys_cannot_be_combined_with_allow_anonymous(key_file: KeyFile) -> None:
    with pytest.raises(KeyFileError, match="--allow-anonymous"):
        make_services(keys_file=str(key_file.path), allow_anonymous=True)
