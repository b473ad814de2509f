"""A store of responses that servers share: what it reveals, holds, and does in an outage."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from redis.asyncio import Redis

from server.cli import read_settings
from server.keys.sealed_thoughts import KEYS_VARIABLE, SealKeyError, ThoughtSeal
from server.settings.settings import ServerSettings
from server.state import open_services
from server.stored_responses.redis_link import ResponseStoreConfigError
from server.stored_responses.sealing import RecordSeal, RecordSealError
from tests.ops.programs import free_port
from tests.ops.test_quota_redis import redis_at
from tests.server.api.openai.responses.background.servers import (
    ANSWER,
    END_SECONDS,
    ENDLESS,
    SCRIPT,
    THOUGHT,
    body,
    endless,
    open_pair,
    open_server,
)

PREFIX = "thinking-server:responses:"


async def dump(port: int) -> bytes:
    """Return all names and values in a Redis."""
    async with Redis(port=port) as client:
        redis: Any = client
        whole = []
        async for name in redis.scan_iter():
            kind = await redis.type(name)
            match kind:
                case b"hash":
                    value: Any = await redis.hgetall(name)
                case b"stream":
                    value = await redis.xrange(name)
                case b"zset":
                    value = await redis.zrange(name, 0, -1, withscores=True)
                case _:
                    value = await redis.get(name)
            whole.append(repr((name, value)).encode())
        return b"\n".join(whole)


async def test_nothing_that_was_said_or_thought_can_be_read_in_redis(redis_port: int) -> None:
    async with open_pair(redis_port, SCRIPT) as pair:
        begun = await pair.one.create(input="A question about Anna.", include=[])
        await pair.other.poll(begun.id)
        waited = await pair.one.client.responses.create(
            **body(background=False, input="A question about Anna.", metadata={"a": "for Anna"})
        )
        stored = await dump(redis_port)
    assert begun.id.encode() in stored
    assert waited.id.encode() in stored
    for text in (*THOUGHT.split(), *ANSWER.split(), "Anna", "output_text"):
        if len(text) < 4:  # may be part of a cipher text by chance
            continue
        assert text.encode() not in stored


def test_a_record_is_opened_under_its_own_name_and_keys_only() -> None:
    key, other = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = RecordSeal(key).seal("a", b"record")
    assert RecordSeal(f"{other}, {key}").open("a", sealed) == b"record"
    for seal, name in ((RecordSeal(key), "b"), (RecordSeal(other), "a")):
        with pytest.raises(RecordSealError):
            seal.open(name, sealed)
    with pytest.raises(ValueError, match=r"not made by this server|not a thought"):
        ThoughtSeal([key]).open(sealed.decode())


def test_without_sealing_keys_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS_VARIABLE)
    with pytest.raises(SealKeyError, match=KEYS_VARIABLE):
        open_services(ServerSettings(response_store=SecretStr("redis://127.0.0.1:1")))


@pytest.mark.parametrize("url", ["mysql://a:secret@b", "redis://a:secret@b:notaport", "memory"])
def test_a_bad_url_is_a_clear_error_without_the_url(url: str) -> None:
    with pytest.raises(ResponseStoreConfigError) as caught:
        open_services(ServerSettings(response_store=SecretStr(url)))
    assert "secret" not in str(caught.value)


def test_a_password_is_nowhere_to_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "redis://:hush-hush@127.0.0.1:6379"
    with pytest.raises(SystemExit):
        read_settings({"response_store": url})
    error = capsys.readouterr().err
    assert "THINKING_SERVER_RESPONSE_STORE" in error
    monkeypatch.setenv("THINKING_SERVER_RESPONSE_STORE", url)
    settings = read_settings({})
    services = open_services(settings)
    for shown in (error, repr(settings), repr(services), repr(vars(services.responses))):
        assert "hush-hush" not in shown


async def test_other_sealing_keys_are_named_as_the_cause(
    redis_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"response_store": f"redis://127.0.0.1:{redis_port}"}
    async with open_server(SCRIPT, **options) as one:
        begun = await one.create()
        await one.poll(begun.id)
        monkeypatch.setenv(KEYS_VARIABLE, Fernet.generate_key().decode())
        async with open_server(SCRIPT, **options) as other:
            with pytest.raises(openai.InternalServerError, match=KEYS_VARIABLE) as caught:
                await other.client.responses.retrieve(begun.id)
    assert (caught.value.status_code, caught.value.code) == (503, "response_store_unavailable")


async def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    port = free_port()
    with redis_at(port, tmp_path / "redis.log"):
        async with open_pair(port, SCRIPT, response_store_max_responses=3) as pair:
            made = []
            for _ in range(3):
                begun = await pair.one.create()
                await pair.one.poll(begun.id)
                await pair.one.wait_idle()
                made.append(begun.id)
            await pair.other.client.responses.retrieve(made[0])
            waited = await pair.other.client.responses.create(**body(background=False))
            with pytest.raises(openai.NotFoundError):
                await pair.one.client.responses.retrieve(made[1])
            for response_id in (made[0], made[2], waited.id):
                await pair.one.client.responses.retrieve(response_id)
            async with Redis(port=port) as client:
                redis: Any = client
                assert len(await redis.keys(f"{PREFIX}of:*")) == 5  # two of them with events
                assert await redis.zcard(f"{PREFIX}index") == 3
                sizes = await redis.hgetall(f"{PREFIX}sizes")
            total = int(sizes.pop(b"total"))
            assert total == sum(map(int, sizes.values())) > 0


async def test_all_that_is_stored_expires(tmp_path: Path) -> None:
    port = free_port()
    with redis_at(port, tmp_path / "redis.log"):
        async with open_pair(port, SCRIPT, response_store_hours=1) as pair:
            begun = await pair.one.create()
            await pair.one.poll(begun.id)
            await pair.one.wait_idle()
            await pair.one.client.responses.create(**body(background=False))
            async with Redis(port=port) as redis:
                names = await redis.keys(f"{PREFIX}of:*")
                assert len(names) == 3
                for name in names:
                    assert 3500 < await redis.ttl(name) <= 3600


async def fails_at_once(deed: Callable[[], Any]) -> None:
    """Check that `deed` ends with a clear 503, soon."""
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as caught:
        await deed()
    assert (caught.value.status_code, caught.value.code) == (503, "response_store_unavailable")
    assert caught.value.response.headers["retry-after"]
    assert time.monotonic() - started < END_SECONDS / 4


async def test_without_redis_nothing_is_accepted_and_nothing_hangs() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    async with open_server(SCRIPT, response_store=url) as server:
        responses = server.client.responses
        name = "resp_" + "0" * 32
        await fails_at_once(lambda: server.create())
        await fails_at_once(lambda: server.create(stream=True))
        await fails_at_once(lambda: responses.retrieve(name))
        await fails_at_once(lambda: responses.cancel(name))
        await fails_at_once(lambda: responses.delete(name))
        await fails_at_once(
            lambda: responses.create(**body(background=False, previous_response_id=name))
        )
        assert server.services.background.num_running == 0
        assert server.services.admission.num_held == 0
        assert b"thinking_response_store_up 0.0" in server.services.metrics.render()
        # One that needs no store is answered.
        waited = await responses.create(**body(background=False))
        assert waited.output_text == ANSWER
        assert (await responses.retrieve(waited.id)).output_text == ANSWER


async def test_a_redis_that_hangs_costs_a_bounded_wait() -> None:
    closing = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    options: dict[str, Any] = {"response_store_timeout_seconds": 0.2}
    async with open_server(SCRIPT, response_store=f"redis://127.0.0.1:{port}", **options) as server:
        await fails_at_once(lambda: server.create())
        await fails_at_once(lambda: server.client.responses.retrieve("resp_" + "0" * 32))
        closing.set()
    silent.close()


async def test_an_outage_costs_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Redis dies with all its data while replies are written, and comes back empty."""
    port = free_port()
    options: dict[str, Any] = {"response_store_timeout_seconds": 1.0}
    async with AsyncExitStack() as stack:
        with redis_at(port, tmp_path / "first.log"):
            pair = await stack.enter_async_context(open_pair(port, ENDLESS, **options))
            begun = await pair.one.create(**endless())
            await pair.one.wait_running()
        live = [event async for event in first_events(pair.one.stream(begun.id), 500)]
        waited = await pair.one.client.responses.create(
            **body(background=False, max_output_tokens=20)
        )
        await fails_at_once(lambda: pair.other.client.responses.retrieve(begun.id))
        with redis_at(port, tmp_path / "second.log"):
            cancelled = await pair.one.client.responses.cancel(begun.id)
            assert cancelled.status == "cancelled"
            async with asyncio.timeout(END_SECONDS):
                while True:
                    try:
                        found = await pair.other.client.responses.retrieve(begun.id)
                        await pair.other.client.responses.retrieve(waited.id)
                        if found.status != "in_progress":  # the end is stored last
                            break
                    except (openai.InternalServerError, openai.NotFoundError):
                        pass
                    await asyncio.sleep(0.05)
            assert found == cancelled
            whole = await pair.other.read(begun.id)
            assert whole[: len(live)] == live
            assert whole[-1]["response"] == cancelled.to_dict(mode="json")
            await pair.one.client.close()


async def first_events(events: Any, number: int) -> Any:
    """Yield the first `number` of `events`."""
    async for event in events:
        yield event
        number -= 1
        if not number:
            return


async def test_who_was_taken_for_dead_does_not_end_it_twice(redis_port: int) -> None:
    async with open_pair(redis_port, ENDLESS, response_store_lease_seconds=1.0) as pair:
        begun = await pair.one.create(**endless())
        await pair.one.wait_running()
        store: Any = pair.one.services.responses
        store._beating.cancel()  # as of a server that stands still
        failed = await pair.other.poll(begun.id)
        assert failed.status == "failed"
        await pair.one.wait_idle()
        assert await pair.one.poll(begun.id) == failed
        with pytest.raises(openai.APIError, match="has ended without finishing"):
            await pair.one.read(begun.id)
