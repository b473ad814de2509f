"""Migrations are bounded, and an error says what has happened and nothing else."""

import asyncio
import json

import pytest

from server.errors.internal import EngineRequestError, NoEngineError, TooManyMigrationsError
from tests.server.engine.remote.conftest import (
    FrontEnd,
    StartFrontEnd,
    make_request,
    read,
    tokens_of,
    until,
)
from tests.server.engine.remote.faults import Fault, FaultKind

SECRET = "token 17 of the thought"
HANG_UP = Fault(FaultKind.HANG_UP, 3)
FIELDS = {"max_thinking_tokens": 20, "max_completion_tokens": 40}


async def read_error(front: FrontEnd, *, streams: bool) -> tuple[int, dict[str, object]]:
    """Return the status and the error of a chat that fails."""
    if not streams:
        response = await front.chat(**FIELDS)
        return response.status_code, response.json()["error"]
    *_, last = await front.stream(**FIELDS)
    return 503, json.loads(last)["error"]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("allowed", "said"), [(0, "lost once"), (1, "lost 2 times"), (3, "lost 4 times")]
)
async def test_more_deaths_than_allowed_are_an_error_that_counts_them(
    start: StartFrontEnd, allowed: int, said: str, streams: bool
) -> None:
    front = await start(2, max_migrations=allowed)
    front.order(*[HANG_UP] * (allowed + 1))
    status, error = await read_error(front, streams=streams)
    assert (status, error["code"]) == (503, "engine_lost")
    assert said in str(error["message"])
    assert "127.0.0.1" not in str(error)
    assert front.num_requests == allowed + 1
    await front.check_nothing_left()


@pytest.mark.parametrize("kind", [FaultKind.ERROR_FRAME, FaultKind.ABORT])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_request_at_which_two_engines_fail_at_one_token_ends(
    start: StartFrontEnd, kind: FaultKind, streams: bool
) -> None:
    front = await start(3, max_migrations=10)
    front.order(*[Fault(kind, 0, message=SECRET)] * 5)
    status, error = await read_error(front, streams=streams)
    assert (status, error["code"]) == (503, "engine_error")
    assert SECRET not in str(error)
    assert front.num_requests == 2
    assert front.engine.not_ready_reason is None


async def test_a_request_at_which_engines_fail_at_different_tokens_goes_on(
    start: StartFrontEnd,
) -> None:
    front = await start(2)
    undisturbed = await read(front.engine, make_request())
    front.order(*[Fault(FaultKind.ERROR_FRAME, 1)] * 3)
    assert tokens_of(await read(front.engine, make_request())) == tokens_of(undisturbed)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_an_engine_says_of_a_request_that_it_refuses_stays_there(
    start: StartFrontEnd, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    front = await start(2)
    front.order(*[Fault(FaultKind.STATUS, status=status, message=SECRET)] * 2)
    response = await front.chat(**FIELDS)
    assert response.status_code == 400
    assert str(status) in response.json()["error"]["message"]
    assert SECRET not in response.text + caplog.text
    assert front.num_requests == 2


async def test_a_request_that_one_engine_refuses_goes_to_another(start: StartFrontEnd) -> None:
    """The other may be of another release, which no client can help."""
    front = await start(2)
    front.order(Fault(FaultKind.STATUS, status=400))
    assert (await front.chat(**FIELDS)).json()["choices"][0]["thinking"]["migrations"] == 1


async def test_without_migrations_a_refusal_is_told_at_once(start: StartFrontEnd) -> None:
    front = await start(2, max_migrations=0)
    front.order(Fault(FaultKind.STATUS, status=400))
    with pytest.raises(EngineRequestError):
        await read(front.engine, make_request())
    assert front.num_requests == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_when_no_engine_comes_back_in_time_the_error_says_so(
    start: StartFrontEnd, streams: bool
) -> None:
    front = await start(2, engine_wait_seconds=0.3)
    front.order(Fault(FaultKind.SILENCE, 5))
    reply = asyncio.create_task(read_error(front, streams=streams))
    await until(lambda: front.num_faults == 1)
    for server in front.servers:
        await server.stop()
    status, error = await reply
    assert (status, error["code"]) == (503, "no_engine_ready")
    assert "127.0.0.1" not in str(error)
    refused = await front.chat(**FIELDS)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "no_engine_ready"


async def test_a_reply_waits_for_the_only_engine_to_come_back(start: StartFrontEnd) -> None:
    front = await start(1)
    undisturbed = await read(front.engine, make_request())
    front.order(Fault(FaultKind.SILENCE, 5))
    reading = asyncio.create_task(read(front.engine, make_request()))
    await until(lambda: front.num_faults == 1)
    await front.servers[0].stop()
    await until(lambda: front.engine.not_ready_reason is not None)
    await front.servers[0].start()
    outputs = await reading
    assert tokens_of(outputs) == tokens_of(undisturbed)
    assert sum(output.num_migrations for output in outputs) == 1


async def test_an_engine_that_refuses_all_for_a_while_costs_one_migration(
    start: StartFrontEnd,
) -> None:
    """A router without a living engine answers at once: the request waits for the probe."""
    front = await start(1, max_migrations=1)
    undisturbed = await read(front.engine, make_request())
    (engine,) = front.engines
    front.order(Fault(FaultKind.SILENCE, 5))
    reading = asyncio.create_task(read(front.engine, make_request()))
    await until(lambda: engine.num_faults == 1)
    engine.is_down = True
    await front.servers[0].stop()
    await front.servers[0].start()
    await until(lambda: front.engine.not_ready_reason is not None)
    engine.is_down = False
    assert tokens_of(await reading) == tokens_of(undisturbed)


@pytest.mark.parametrize("error", [TooManyMigrationsError, NoEngineError])
async def test_nothing_is_left_of_a_request_that_could_not_go_on(
    start: StartFrontEnd, error: type[Exception]
) -> None:
    front = await start(
        1, engine_wait_seconds=0.1, max_migrations=0 if error is not NoEngineError else 3
    )
    front.order(HANG_UP)
    if error is NoEngineError:
        await front.servers[0].stop()
    with pytest.raises(error):
        await read(front.engine, make_request())
    await front.check_nothing_left()
