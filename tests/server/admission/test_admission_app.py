"""The queue as clients see it: on every endpoint, when they arrive, wait and disconnect."""

import asyncio
from typing import Any

import httpx
import pytest

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.reply.admit import Prepared, admit
from tests.server.conftest import MODEL, Serve, Served, chat_body, wants
from tests.server.engine.test_engine_failures import ENDLESS, Caller, wait_until_running

MESSAGES = [{"role": "user", "content": "How many?"}]
ONE = Prepared(Demand(1, 1, 1, 1), None)
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": chat_body(),
    "/v1/messages": {"model": MODEL, "messages": MESSAGES, "max_tokens": 64},
    "/v1/responses": {"model": MODEL, "input": "How many?"},
    "/v1/completions": {"model": MODEL, "prompt": "How"},
    "/v1/thinking/map": {"model": MODEL, "text": "How"},
}
LIMIT = {
    "/v1/chat/completions": {"max_completion_tokens": 8},
    "/v1/responses": {"max_output_tokens": 8},
    "/v1/completions": {"max_tokens": 8},
}


def serve_busy(serve: Serve, **options: Any) -> tuple[Served, Caller]:
    """Return a server with one slot, and the request that holds it until it leaves."""
    served = serve(wants(ENDLESS), max_model_len=100_000, max_concurrent_requests=1, **options)
    return served, Caller(served.app, max_thinking_tokens=50_000, temperature=0)


async def wait_until_queued(served: Served, num_waiting: int) -> None:
    async with asyncio.timeout(10):
        while served.services.admission.num_waiting != num_waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)


def read_error(response: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    return error


def is_at_rest(served: Served) -> bool:
    queue = served.services.admission
    return queue.num_waiting == queue.num_held == served.engine.num_running == 0


@pytest.mark.parametrize("path", BODIES)
async def test_a_full_queue_is_429_at_once_with_retry_after(serve: Serve, path: str) -> None:
    served, holder = serve_busy(serve, max_queued_requests=0)
    await wait_until_running(served.engine, 1)
    response = await served.http.post(path, json=BODIES[path])
    assert response.status_code == 429, response.text
    assert 1 <= int(response.headers["retry-after"]) <= 60
    if path == "/v1/messages":
        assert read_error(response)["type"] == "rate_limit_error"
    else:
        assert read_error(response)["code"] == "queue_full"
    holder.leave()
    await holder.task
    assert is_at_rest(served)


@pytest.mark.parametrize("path", BODIES)
async def test_waiting_too_long_is_429_and_leaves_the_queue(serve: Serve, path: str) -> None:
    served, holder = serve_busy(serve, queue_timeout_seconds=0.01)
    await wait_until_running(served.engine, 1)
    response = await served.http.post(path, json=BODIES[path])
    assert response.status_code == 429, response.text
    assert path == "/v1/messages" or read_error(response)["code"] == "queue_timeout"
    assert served.services.admission.num_waiting == 0
    holder.leave()
    await holder.task
    assert is_at_rest(served)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("path", list(BODIES))
async def test_a_waiting_client_that_disconnects_leaves_the_queue(
    serve: Serve, path: str, is_streamed: bool
) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    waiting = Caller(served.app, path, {**BODIES[path], "stream": is_streamed})
    await wait_until_queued(served, 1)
    waiting.leave()
    await asyncio.wait_for(waiting.task, 10)
    assert served.services.admission.num_waiting == 0
    assert served.services.admission.num_held == 1
    holder.leave()
    await holder.task
    assert is_at_rest(served)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_after_its_wait_a_request_is_served_and_notices_that_its_client_leaves(
    serve: Serve, is_streamed: bool
) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    waiting = Caller(served.app, stream=is_streamed, max_thinking_tokens=50_000, temperature=0)
    await wait_until_queued(served, 1)
    holder.leave()
    await holder.task
    await wait_until_running(served.engine, 1)
    assert served.services.admission.num_held == 1
    waiting.leave()
    await asyncio.wait_for(waiting.task, 10)
    assert is_at_rest(served)


async def test_the_engine_never_runs_more_than_the_capacity(serve: Serve) -> None:
    served = serve(wants("so</think>Seven."), max_concurrent_requests=3)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, served.engine.num_running)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    replies = await asyncio.gather(*(served.chat(n=n) for n in (1, 2, 3, 1, 5, 2, 1)))
    watching.cancel()
    assert [reply.status_code for reply in replies] == [200] * 7
    # The request with n=5 takes all slots and runs alone.
    assert most == 5
    assert is_at_rest(served)
    text = (await served.http.get("/metrics")).text
    assert "thinking_queue_seconds_count 7.0" in text
    assert "thinking_queue_length 0.0" in text
    assert "thinking_admitted_requests 0.0" in text


# Messages and maps have no such field.
@pytest.mark.parametrize("path", LIMIT)
async def test_a_request_with_a_priority_waits_behind_those_of_its_key(
    serve: Serve, path: str
) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    served_order: list[str] = []

    async def send(name: str, **fields: Any) -> None:
        response = await served.http.post(path, json=BODIES[path] | fields)
        assert response.status_code == 200, response.text
        served_order.append(name)

    waiting: list[asyncio.Task[None]] = []
    for name, priority in {"last": 2, "later": 1, "first": 0, "second": None}.items():
        waiting.append(asyncio.create_task(send(name, priority=priority, **LIMIT[path])))
        await wait_until_queued(served, len(waiting))
    holder.leave()
    await asyncio.gather(*waiting)
    await holder.task
    assert served_order == ["first", "second", "later", "last"]


@pytest.mark.parametrize("path", LIMIT)
async def test_no_request_raises_itself(serve: Serve, path: str) -> None:
    served = serve()
    for value in (-1, 2**63):
        response = await served.http.post(path, json=BODIES[path] | {"priority": value})
        assert response.status_code == 400
        assert read_error(response)["param"] == "priority"
        assert "of its key's priority" in read_error(response)["message"]
    for wrong in (1.0, "1", True):
        response = await served.http.post(path, json=BODIES[path] | {"priority": wrong})
        assert (response.status_code, read_error(response)["param"]) == (400, "priority")


async def test_the_engines_death_ends_the_wait_with_503(serve: Serve) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    waiting = asyncio.create_task(served.chat())
    await wait_until_queued(served, 1)
    served.engine.kill()
    response = await asyncio.wait_for(waiting, 10)
    assert (response.status_code, read_error(response)["code"]) == (503, "engine_dead")
    await holder.task
    assert is_at_rest(served)


async def test_draining_serves_waiting_requests_and_refuses_new_ones(serve: Serve) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    waiting = asyncio.create_task(served.chat(max_completion_tokens=8))
    await wait_until_queued(served, 1)
    served.services.slot.is_draining = True
    assert (await served.chat()).status_code == 503
    holder.leave()
    assert (await asyncio.wait_for(waiting, 10)).status_code == 200
    await holder.task


async def test_a_key_with_too_many_requests_is_429_while_others_are_served(serve: Serve) -> None:
    services = serve().services
    key = AccessKey("small", max_concurrent_requests=1)
    accounts = [RequestAccount(str(n), services.metrics, key=key) for n in range(3)]
    await admit(services, accounts[0], ONE)
    with pytest.raises(Exception, match="1 requests open") as refused:
        await admit(services, accounts[1], ONE)
    assert getattr(refused.value, "code", None) == "too_many_concurrent_requests"
    await admit(services, RequestAccount("other", services.metrics), ONE)
    await accounts[0].at_end.aclose()
    await admit(services, accounts[2], ONE)


async def test_the_capacity_is_the_engines_own_where_none_is_set(serve: Serve) -> None:
    served = serve()
    served.engine.max_num_seqs = 7
    assert served.services.admission.num_slots == 7
