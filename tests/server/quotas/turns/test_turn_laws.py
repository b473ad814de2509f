"""Laws of turns on the storage in memory, over any order of events."""

import asyncio

import pytest
from hypothesis import settings

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.counters import CounterStorageError
from server.quotas.turns import memory_store
from server.quotas.turns.memory_store import MemoryTurns, TooManyTurnsError
from server.quotas.turns.request import TurnRequest, name_turn
from server.quotas.turns.store import LEASE_SECONDS, Lease, Opening, TurnTotals
from server.quotas.turns.turn_budgets import (
    TurnBudgetError,
    TurnBudgets,
    TurnStorageUnavailableError,
)
from tests.examples import examples
from tests.server.quotas.turns.machine import ClockedTurnMachine

TestTurns = ClockedTurnMachine.TestCase
TestTurns.settings = settings(max_examples=examples(60), stateful_step_count=30)
TURN = TurnRequest("one", 100)
METRICS = Metrics()


def demand(reasoning: int = 60) -> Demand:
    return Demand(1, reasoning, 1, 1)


def account_of(key_id: str = "alice") -> RequestAccount:
    return RequestAccount("id", METRICS, key=AccessKey(key_id))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FailingTurns(MemoryTurns):
    """A storage in memory that does not respond while `is_down`."""

    is_down = False

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        self._fail()
        return await super().take(turn, opening, wanted, token)

    async def settle(self, lease: Lease, used: int) -> None:
        self._fail()
        await super().settle(lease, used)

    def _fail(self) -> None:
        if self.is_down:
            raise CounterStorageError("down")


async def test_a_turn_is_forgotten_an_hour_after_its_last_use() -> None:
    clock = Clock()
    budgets = TurnBudgets(MemoryTurns(3600, clock=clock))
    for clock.now in (0, 3599):
        account = account_of()
        await budgets.reserve(account, TURN, demand())
        await account.at_end.aclose()
    clock.now = 3599 + 3599
    assert await budgets.read("alice", "one") == TurnTotals(100, 0, 0)
    clock.now += 1
    assert await budgets.read("alice", "one") is None
    await budgets.reserve(account_of(), TurnRequest("one", 7), demand())  # another budget
    await budgets.close()


async def test_another_budget_for_a_turn_changes_nothing() -> None:
    budgets = TurnBudgets(MemoryTurns(3600))
    await budgets.reserve(account_of(), TURN, demand())
    account = account_of()
    with pytest.raises(TurnBudgetError, match="budget of 100 tokens, not 99"):
        await budgets.reserve(account, TurnRequest("one", 99), demand())
    await account.at_end.aclose()
    assert await budgets.read("alice", "one") == TurnTotals(100, 0, 60)
    await budgets.close()


async def test_a_request_cancelled_while_reserving_returns_everything() -> None:
    has_begun, answers = asyncio.Event(), asyncio.Event()

    class SlowTurns(MemoryTurns):
        """A storage on a slow network."""

        async def take(
            self, turn: str, opening: Opening, wanted: int, token: str
        ) -> tuple[TurnTotals, int]:
            taken = await super().take(turn, opening, wanted, token)
            has_begun.set()
            await answers.wait()
            return taken

    budgets, account = TurnBudgets(SlowTurns(3600)), account_of()
    reserving = asyncio.create_task(budgets.reserve(account, TURN, demand()))
    await has_begun.wait()
    reserving.cancel()
    await asyncio.gather(reserving, return_exceptions=True)
    answers.set()
    await account.at_end.aclose()
    assert await budgets.read("alice", "one") == TurnTotals(100, 0, 0)
    assert len(budgets.leases) == 0
    await budgets.close()


async def test_a_request_whose_budget_grows_takes_more_of_the_turn() -> None:
    budgets, account = TurnBudgets(MemoryTurns(3600)), account_of()
    await budgets.reserve(account, TURN, demand(60))
    assert account.turn is not None
    assert account.extend_turn is not None
    assert await account.extend_turn(30) == 30
    assert await account.extend_turn(30) == 10
    assert await budgets.read("alice", "one") == TurnTotals(100, 0, 100)
    account.turn.charge(reasoning=70, answer=3)
    await account.at_end.aclose()
    assert await budgets.read("alice", "one") == TurnTotals(100, 70, 0)
    assert await account.extend_turn(30) == 0
    assert await budgets.read("alice", "one") == TurnTotals(100, 70, 0)
    await budgets.close()


async def test_a_request_that_ends_while_leases_are_renewed_is_charged_once() -> None:
    has_begun, answers = asyncio.Event(), asyncio.Event()

    class SlowTurns(MemoryTurns):
        """A storage on a slow network."""

        async def settle(self, lease: Lease, used: int) -> None:
            has_begun.set()
            await answers.wait()
            await super().settle(lease, used)

    budgets, account = TurnBudgets(SlowTurns(3600)), account_of()
    await budgets.reserve(account, TURN, demand())
    assert account.turn is not None
    account.turn.charge(reasoning=50, answer=3)
    ending = asyncio.create_task(account.at_end.aclose())
    await has_begun.wait()
    renewing = asyncio.create_task(budgets.leases.update_all())
    await asyncio.sleep(0)  # it waits for the other
    answers.set()
    await asyncio.gather(ending, renewing)
    assert await budgets.read("alice", "one") == TurnTotals(100, 50, 0)
    await budgets.close()


async def test_without_a_storage_no_turn_is_begun_and_what_ran_is_charged_later() -> None:
    clock = Clock()
    store = FailingTurns(3600, clock=clock)
    budgets, account = TurnBudgets(store), account_of()
    await budgets.reserve(account, TURN, demand())
    store.is_down = True
    with pytest.raises(TurnStorageUnavailableError) as caught:
        await budgets.reserve(account_of(), TURN, demand())
    assert (caught.value.status, caught.value.code) == (503, "quota_storage_unavailable")
    assert account.turn is not None
    account.turn.charge(reasoning=50, answer=3)
    await account.at_end.aclose()
    assert len(budgets.leases) == 1
    await budgets.leases.update_all()
    assert len(budgets.leases) == 1
    store.is_down = False
    clock.now = LEASE_SECONDS  # the lease itself has ended meanwhile
    await budgets.leases.update_all()
    assert len(budgets.leases) == 0
    assert await budgets.read("alice", "one") == TurnTotals(100, 50, 0)
    await budgets.close()


async def test_with_a_fallback_requests_draw_on_that_until_the_storage_is_back() -> None:
    store, fallback = FailingTurns(3600), MemoryTurns(3600)
    budgets = TurnBudgets(store, fallback)
    store.is_down = True
    account = account_of()
    assert (await budgets.reserve(account, TURN, demand())).amount == 60
    store.is_down = False
    assert account.turn is not None
    account.turn.charge(reasoning=50, answer=3)
    await account.at_end.aclose()
    assert await fallback.read(name_turn("alice", "one")) == TurnTotals(100, 50, 0)
    assert await store.read(name_turn("alice", "one")) is None
    await budgets.close()


async def test_a_turn_in_force_is_never_dropped_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_store, "MAX_TURNS", 2)
    clock = Clock()
    store = MemoryTurns(3600, clock=clock)
    await store.take("one", Opening(10), 10, "a")
    clock.now = 10
    await store.take("two", Opening(10), 10, "b")
    with pytest.raises(TooManyTurnsError):
        await store.take("three", Opening(10), 10, "c")
    assert await store.take("one", Opening(10), 10, "d") == (TurnTotals(10, 0, 10), 0)
    clock.now = 3610
    assert await store.take("three", Opening(10), 10, "c") == (TurnTotals(10, 0, 0), 10)


async def test_only_a_turns_first_request_says_what_was_used_before() -> None:
    budgets = TurnBudgets(MemoryTurns(3600))
    turn = TurnRequest("one", 100, used_before=70, ceiling=30)
    assert (await budgets.reserve(account_of(), turn, demand(20))).amount == 20
    assert (await budgets.reserve(account_of(), turn, demand(60))).amount == 10
    assert await budgets.read("alice", "one") == TurnTotals(100, 70, 30)
    await budgets.close()


def test_a_name_contains_nothing_of_the_id_and_is_no_tasks() -> None:
    assert "secret" not in name_turn("alice", "secret}")
    names = {name_turn(*of) for of in (("a", "x"), ("b", "x"), ("a", "y"))}
    assert len({*names, name_turn("a", "x", is_task=True)}) == 4
