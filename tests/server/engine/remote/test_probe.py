"""An engine that cannot keep a budget is never ready, and health and log say why."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from server.engine.remote import fleet
from tests.server.engine.remote.conftest import (
    FrontEnd,
    StartFrontEnd,
    make_request,
    read,
    tokens_of,
    until,
)
from tests.server.engine.remote.faults import Fault, FaultKind
from tests.server.engine.remote.inference_server import InferenceEngine

VERSION = "thinking plan: version 1, and this sampler reads 2: install the same release"
Wrong = Callable[[InferenceEngine], None]


def has_other(name: str) -> Wrong:
    """Make an engine of another model, tokenizer or markers."""
    return lambda engine: engine.identity.update({name: "0" * 32})


WRONG: dict[str, tuple[Wrong, str]] = {
    "no sampler": (lambda one: setattr(one, "has_sampler", False), "does not have the sampler"),
    "other model": (has_other("model"), "this engine has another model"),
    "other tokenizer": (has_other("tokenizer"), "this engine has another tokenizer"),
    "other markers": (has_other("markers"), "this engine has another markers"),
    "other version": (lambda one: setattr(one, "refusal", VERSION), VERSION),
    "other words": (lambda one: setattr(one, "refusal", "see http://10.0.0.7"), "status 400"),
    "too short": (lambda one: setattr(one, "max_model_len", 512), "--max-model-len is 512"),
    "key": (lambda one: setattr(one, "key", "k"), "refuses the key (THINKING_SERVER_ENGINE_KEY)"),
    "hangs up": (lambda one: setattr(one, "is_down", True), "connection to the engine is lost"),
    "garbage": (lambda one: setattr(one, "models", b"\xff"), "/v1/models is none of vLLM's"),
    "deep garbage": (lambda one: setattr(one, "models", b"[" * 10**5), "is none of vLLM's"),
    "endless garbage": (lambda one: setattr(one, "models", b" " * 2**21), "too long"),
}


async def get_health(front: FrontEnd) -> tuple[int, str]:
    """Return the status and the text of the health."""
    response = await front.http.get("/health")
    return response.status_code, response.text


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_engine_is_not_ready_until_it_is_mended(
    start: StartFrontEnd, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, reason = WRONG[name]
    front = await start(1, prepare=wrong)
    (engine,), (url,) = front.engines, front.servers[0].urls
    await until(lambda: reason in caplog.text)
    assert f"the engine at {url} is not ready" in caplog.text
    status, text = await get_health(front)
    assert status == 503
    assert reason in text
    assert "127.0.0.1" not in text
    assert "10.0.0.7" not in text
    refused = await front.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_engine_ready")
    assert engine.num_requests == 0
    engine.mend()
    await until(lambda: front.engine.not_ready_reason is None)
    assert await get_health(front) == (200, '{"status":"ok"}')
    assert (await front.chat(max_completion_tokens=9)).status_code == 200


async def test_the_key_is_sent(
    start: StartFrontEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("THINKING_SERVER_ENGINE_KEY", "sesame")
    front = await start(1, prepare=lambda one: setattr(one, "key", "sesame"))
    await front.wait_ready()
    assert "sesame" not in caplog.text


async def test_nobody_at_an_address_is_a_reason(start: StartFrontEnd) -> None:
    front = await start(1)
    await front.servers[0].stop()
    front.engine._fleet._schedules[front.engine._fleet.upstreams[0]].is_due.set()
    await until(lambda: front.engine.not_ready_reason is not None)
    assert (await get_health(front))[1].count("the engine cannot be reached") == 1
    await front.servers[0].start()
    await front.wait_ready()


async def test_another_api_at_an_address_is_a_reason(start: StartFrontEnd) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    front = await start(1, prepare=lambda one: setattr(one, "get_models", refuse))
    await until(lambda: "lacks the API" in str(front.engine.not_ready_reason))


async def test_an_engine_that_another_one_replaces_is_noticed_at_the_first_token(
    start: StartFrontEnd,
) -> None:
    front = await start(2)
    undisturbed = await read(front.engine, make_request())
    for engine in front.engines:
        engine.has_sampler = False
        outputs = await asyncio.gather(
            *(read(front.engine, make_request(f"r{number}")) for number in range(4))
        )
        assert all(tokens_of(one) == tokens_of(undisturbed) for one in outputs)
        assert sum(one[0].num_migrations for one in outputs) == 2
        await until(lambda: front.engine._fleet.num_ready == 1)
        engine.has_sampler = True
        await front.wait_ready()


async def test_with_no_other_engine_the_replaced_one_is_no_longer_ready(
    start: StartFrontEnd,
) -> None:
    front = await start(1, engine_wait_seconds=0.2)
    front.engines[0].has_sampler = False
    response = await front.chat(max_thinking_tokens=20)
    assert response.json()["error"]["code"] == "no_engine_ready"
    assert "does not have the sampler" in (await get_health(front))[1]


async def test_a_silent_engine_holds_up_no_other(start: StartFrontEnd) -> None:
    front = await start(3)
    silent, *others = front.engines
    silent.answers.clear()
    for server in front.servers:
        await server.stop()
    for schedule in front.engine._fleet._schedules.values():
        schedule.is_due.set()
    await until(lambda: front.engine._fleet.num_ready == 0)
    for server in front.servers:
        await server.start()
    await until(lambda: front.engine._fleet.num_ready == len(others))
    silent.answers.set()
    await front.wait_ready()


@pytest.mark.parametrize("is_busy", [False, True])
async def test_an_engine_whose_queue_delays_the_probe_stays_ready_while_it_writes(
    start: StartFrontEnd, monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    front = await start(1)
    (engine,), watched = front.engines, front.engine._fleet
    reading = None
    if is_busy:
        front.order(Fault(FaultKind.SILENCE, 3))
        reading = asyncio.create_task(read(front.engine, make_request()))
        await until(lambda: engine.num_faults == 1)
    monkeypatch.setattr(fleet, "PROBE_SECONDS", 0.05)
    engine.answers.clear()
    schedule = watched._schedules[watched.upstreams[0]]
    num_asked = engine.num_asked
    schedule.is_due.set()
    await until(lambda: engine.num_asked > num_asked)
    if is_busy:
        await until(lambda: watched._limit._value == fleet.MAX_PROBES)
        assert watched.num_ready == 1
    else:
        await until(lambda: watched.num_ready == 0)
    engine.released.set()
    engine.answers.set()
    if reading is not None:
        await reading


async def test_the_probe_goes_on_whatever_goes_wrong(
    start: StartFrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = await start(1, engine_wait_seconds=0.2)
    watched = front.engine._fleet
    ask = watched._probe.ask
    monkeypatch.setattr(watched._probe, "ask", lambda upstream: 1 / 0)
    watched._schedules[watched.upstreams[0]].is_due.set()
    await until(lambda: "the probe failed" in str(front.engine.not_ready_reason))
    monkeypatch.setattr(watched._probe, "ask", ask)
    await front.wait_ready()
