"""Turns on a real Redis: the same laws over two servers, one of which may die."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.storage import PAUSE_SECONDS
from server.quotas.turns.redis_store import RedisTurns
from server.quotas.turns.request import TurnRequest
from server.quotas.turns.store import Lease, Opening, TurnStore, TurnTotals
from server.quotas.turns.turn_budgets import TurnBudgets, TurnStorageUnavailableError
from tests.examples import examples
from tests.ops.programs import free_port
from tests.ops.test_quota_redis import TIMEOUT_SECONDS, redis_at
from tests.server.conftest import Serve, Served, serve, wants
from tests.server.quotas.turns.machine import TurnMachine

__all__ = ["serve"]  # a fixture of the tests below
LONG = "<think>" + "so " * 200 + "</think>yes"
BUDGET = 300


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """The port of a running Redis."""
    port = free_port()
    with redis_at(port, tmp_path / "redis.log"):
        yield port


def turns_at(port: int, ttl_seconds: float = 3600, **options: float) -> RedisTurns:
    return RedisTurns(f"redis://127.0.0.1:{port}", TIMEOUT_SECONDS, ttl_seconds, **options)


def serve_at(serve: Serve, port: int, **options: Any) -> Served:
    url = f"redis://127.0.0.1:{port}"
    return serve(wants(LONG), quota_storage=url, quota_timeout_seconds=TIMEOUT_SECONDS, **options)


@pytest.mark.hypothesis
def test_the_laws_hold_over_two_servers(redis_port: int) -> None:
    class RedisMachine(TurnMachine):
        """Two servers on one Redis."""

        def make_stores(self) -> list[TurnStore]:
            return [turns_at(redis_port), turns_at(redis_port)]

    run_state_machine_as_test(
        RedisMachine,
        settings=settings(
            max_examples=examples(15),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def test_parallel_requests_to_two_servers_never_use_more_than_the_budget(
    serve: Serve, redis_port: int
) -> None:
    servers = [serve_at(serve, redis_port) for _ in range(2)]
    body = {
        "max_thinking_tokens": 40,
        "thinking_options": {"turn": {"id": "a", "budget": BUDGET}},
    }
    tries = [servers[number % 2].chat(**body) for number in range(20)]
    replies = [response.json() for response in await asyncio.gather(*tries)]
    receipts = [reply["choices"][0]["thinking"] for reply in replies]
    assert sum(receipt["used"] for receipt in receipts) == BUDGET
    assert sum(receipt["limited_by"] == "turn" for receipt in receipts) == 20 - BUDGET // 40
    for served in servers:
        state = (await served.http.get("/v1/thinking/turns/a")).json()
        assert (state["used"], state["reserved"], state["remaining"]) == (BUDGET, 0, 0)


async def test_one_after_the_other_finds_at_each_server_what_is_left(
    serve: Serve, redis_port: int
) -> None:
    servers = [serve_at(serve, redis_port) for _ in range(2)]
    total = 0
    for number in range(6):
        events = await servers[number % 2].events(
            max_thinking_tokens=70,
            thinking_options={"turn": {"id": "a", "budget": BUDGET}},
        )
        (receipt,) = [
            choice["thinking"]
            for event in events
            for choice in event["choices"]
            if choice.get("thinking")
        ]
        assert receipt["budget"] == min(70, BUDGET - total)
        total += receipt["used"]
        assert receipt["turn"] == {"budget": BUDGET, "used": total, "remaining": BUDGET - total}
    assert total == BUDGET


async def until_totals(store: TurnStore, turn: str, wanted: TurnTotals | None) -> None:
    """Wait until Redis' clock has passed a lease or a lifetime of milliseconds."""
    async with asyncio.timeout(20):
        while True:
            if await store.read(turn) == wanted:
                return
            await asyncio.sleep(0.01)


async def test_what_a_dead_server_holds_is_free_again(redis_port: int) -> None:
    dead, living = (turns_at(redis_port, lease_seconds=0.3) for _ in range(2))
    await dead.take("t", Opening(100), 70, "lease")
    await until_totals(living, "t", TurnTotals(100, 0, 0))
    assert await living.take("t", Opening(100), 90, "other") == (TurnTotals(100, 0, 0), 90)
    # It was not dead, only away: what it used is charged all the same.
    await dead.settle(Lease("t", "lease", 100, 70), 60)
    assert (await living.read("t") or TurnTotals(0, 0, 0)).used == 60
    await dead.close()
    await living.close()


async def test_a_renewed_lease_holds_and_a_turn_is_forgotten_after_its_last_use(
    redis_port: int,
) -> None:
    store = turns_at(redis_port, ttl_seconds=3, lease_seconds=30)
    _, granted = await store.take("t", Opening(100), 70, "lease")
    await store.hold(Lease("t", "lease", 100, granted - 20))
    assert await store.read("t") == TurnTotals(100, 0, 50)
    await until_totals(store, "t", None)
    await store.close()


async def test_without_redis_a_request_with_a_turn_is_refused_and_others_go_on(
    serve: Serve, tmp_path: Path
) -> None:
    port = free_port()
    served = serve_at(serve, port)
    body = {"max_thinking_tokens": 40, "thinking_options": {"turn": {"id": "a", "budget": 90}}}
    with redis_at(port, tmp_path / "first.log"):
        assert (await served.chat(**body)).status_code == 200
    refused = await served.chat(**body)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "quota_storage_unavailable"
    assert (await served.http.get("/v1/thinking/turns/a")).status_code == 503
    assert (await served.chat(max_thinking_tokens=40)).status_code == 200
    metrics = (await served.http.get("/metrics")).text
    assert "thinking_quota_storage_up 0.0" in metrics
    with redis_at(port, tmp_path / "second.log"):
        await until_answered(served, **body)


async def until_answered(served: Served, **body: Any) -> None:
    """Retry until the storage is contacted again."""
    async with asyncio.timeout(20 * PAUSE_SECONDS):
        while True:
            if (await served.chat(**body)).status_code == 200:
                return
            await asyncio.sleep(PAUSE_SECONDS / 10)


async def test_with_a_fallback_each_server_counts_alone(serve: Serve) -> None:
    servers = [serve_at(serve, free_port(), quota_fallback="allow") for _ in range(2)]
    body = {"max_thinking_tokens": 60, "thinking_options": {"turn": {"id": "a", "budget": 90}}}
    for served in servers:
        for used, budget in ((60, 60), (90, 30), (90, 0)):
            receipt = (await served.chat(**body)).json()["choices"][0]["thinking"]
            assert (receipt["budget"], receipt["turn"]["used"]) == (budget, used)


async def test_a_request_is_charged_once_redis_is_back(tmp_path: Path) -> None:
    port = free_port()
    budgets = TurnBudgets(turns_at(port))
    account = RequestAccount("id", Metrics(), key=AccessKey("alice"))
    with redis_at(port, tmp_path / "first.log"):
        await budgets.reserve(account, TurnRequest("one", 100), Demand(1, 60, 1, 1))
    assert account.turn is not None
    account.turn.charge(reasoning=50, answer=3)
    await account.at_end.aclose()
    with pytest.raises(TurnStorageUnavailableError):
        await budgets.read("alice", "one")
    with redis_at(port, tmp_path / "second.log"):  # it has lost the turn as well
        await budgets.leases.update_all()
        assert await budgets.read("alice", "one") == TurnTotals(100, 50, 0)
    await budgets.close()
