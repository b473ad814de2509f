"""Whoever ends a request ends it in the engine too, at once, wherever it is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from server.engine.protocol import InterruptedRequestError
from server.errors.internal import GivenUpError
from tests.server.engine.remote.conftest import (
    FrontEnd,
    StartFrontEnd,
    chat_body,
    make_request,
    read,
    tokens_of,
    until,
)
from tests.server.engine.remote.faults import Fault, FaultKind
from tests.server.engine.test_engine_failures import Caller

# Far longer than any test: whoever waits for it hangs.
HOURS = {"engine_silence_seconds": 9999.0, "engine_wait_seconds": 9999.0}


async def hold_at_headers(front: FrontEnd) -> int:
    """Have the next request wait for headers; return the number of tokens that it has then."""
    front.order(Fault(FaultKind.SLOW_HEADERS))
    return 0


async def hold_in_stream(front: FrontEnd) -> int:
    """Have it wait for a token."""
    front.order(Fault(FaultKind.SILENCE, 6))
    return 6


async def hold_after_death(front: FrontEnd) -> int:
    """Have it wait for headers in its second engine."""
    front.order(Fault(FaultKind.NO_FINISH, 4), Fault(FaultKind.SLOW_HEADERS))
    return 4


async def hold_without_engine(front: FrontEnd) -> int:
    """Have it wait for an engine."""
    for server in front.servers:
        await server.stop()
    return 0


HOLDS = [hold_at_headers, hold_in_stream, hold_after_death, hold_without_engine]
Hold = Callable[[FrontEnd], Awaitable[int]]


async def begin(front: FrontEnd, hold: Hold) -> tuple[int, list[int], "asyncio.Task[None]"]:
    """Return a request that is held, the tokens that it has written, and how many there are."""
    num_written = await hold(front)
    num_faults = len(front.engines[0].faults)
    tokens: list[int] = []

    async def follow() -> None:
        async with aclosing(front.engine.generate(make_request())) as outputs:
            async for output in outputs:
                tokens.extend(output.token_ids)

    task = asyncio.create_task(follow())
    await until(lambda: front.num_faults == num_faults and len(tokens) == num_written)
    if hold is hold_without_engine:
        await until(lambda: front.engine.not_ready_reason is not None)
    assert not task.done()
    return num_written, tokens, task


@pytest.mark.parametrize("hold", HOLDS)
async def test_an_interrupted_request_tells_what_it_has_written(
    start: StartFrontEnd, hold: Hold
) -> None:
    front = await start(2, **HOURS)
    num_written, tokens, task = await begin(front, hold)
    await front.engine.interrupt("r")
    with pytest.raises(InterruptedRequestError) as caught:
        await asyncio.wait_for(task, 10)
    assert list(caught.value.written) == tokens
    assert len(tokens) == num_written
    assert list(caught.value.output.token_ids) == []
    assert caught.value.output.num_migrations == (1 if hold is hold_after_death else 0)
    await front.check_nothing_left()


@pytest.mark.parametrize("hold", HOLDS)
async def test_requests_are_given_up_at_once(start: StartFrontEnd, hold: Hold) -> None:
    front = await start(2, **HOURS)
    *_, task = await begin(front, hold)
    front.engine.give_up()
    with pytest.raises(GivenUpError):
        await asyncio.wait_for(task, 10)
    with pytest.raises(GivenUpError):
        await read(front.engine, make_request())
    await front.check_nothing_left()


@pytest.mark.parametrize("hold", HOLDS)
async def test_a_cancelled_reader_aborts_in_the_engine(start: StartFrontEnd, hold: Hold) -> None:
    front = await start(2, **HOURS)
    *_, task = await begin(front, hold)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    await front.check_nothing_left()


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_aborts_all_choices_in_the_engine(
    start: StartFrontEnd, streams: bool
) -> None:
    front = await start(2, **HOURS)
    front.order(*[Fault(FaultKind.SILENCE, 6)] * 3)
    body = chat_body(stream=streams, n=3, max_completion_tokens=50)
    caller = Caller(front.app, "/v1/chat/completions", body)
    await until(lambda: front.num_faults == 3)
    caller.leave()
    await asyncio.wait_for(caller.task, 10)
    await front.check_nothing_left()
    assert sum(engine.num_left for engine in front.engines) == 3


async def test_a_reader_that_has_had_enough_aborts_in_the_engine(start: StartFrontEnd) -> None:
    front = await start(1, **HOURS)
    front.order(Fault(FaultKind.SILENCE, 6))
    async with aclosing(front.engine.generate(make_request())) as outputs:
        async for output in outputs:
            assert output.token_ids
            break
    await front.check_nothing_left()


async def test_an_ended_request_that_is_interrupted_has_ended(start: StartFrontEnd) -> None:
    front = await start(1)
    undisturbed = await read(front.engine, make_request())
    outputs = []
    async with aclosing(front.engine.generate(make_request())) as generated:
        async for output in generated:
            outputs.append(output)
            if output.finish_reason is not None:
                await front.engine.interrupt("r")
    await front.engine.interrupt("r")
    assert tokens_of(outputs) == tokens_of(undisturbed)


async def test_a_half_open_connection_is_lost_after_the_silence(start: StartFrontEnd) -> None:
    front = await start(2, engine_silence_seconds=2.0)
    undisturbed = await read(front.engine, make_request())
    for fault in (Fault(FaultKind.SILENCE, 6), Fault(FaultKind.SLOW_HEADERS)):
        front.order(fault)
        outputs = await read(front.engine, make_request())
        assert tokens_of(outputs) == tokens_of(undisturbed)
        assert sum(output.num_migrations for output in outputs) == 1
    await front.check_nothing_left()


async def test_silence_after_the_last_token_delays_the_reply_by_a_moment(
    start: StartFrontEnd,
) -> None:
    front = await start(1, **HOURS)
    front.order(Fault(FaultKind.SILENCE_AT_USAGE))
    outputs = await asyncio.wait_for(read(front.engine, make_request()), 10)
    assert outputs[-1].finish_reason is not None
    assert sum(output.num_migrations for output in outputs) == 0
    await front.check_nothing_left()


async def test_replies_that_have_ended_leave_their_connection_to_the_next(
    start: StartFrontEnd,
) -> None:
    front = await start(1)
    for _ in range(10):
        await read(front.engine, make_request())
    assert len(front.engines[0].client_ports) == 1
