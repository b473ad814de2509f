"""A state machine of requests that draw on turns over two servers, one of which may die.

The expected totals are computed from scratch at each step, from the list of all requests: not
incrementally, as the code does it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.keys.key import AccessKey
from server.metrics import Metrics
from server.quotas.turns.memory_store import MemoryTurns
from server.quotas.turns.request import TurnRequest
from server.quotas.turns.store import LEASE_SECONDS, Lease, TurnStore, TurnTotals
from server.quotas.turns.turn_budgets import TurnBudgets

METRICS = Metrics()
BUDGETS = {"one": 100, "other": 40, "none": 0}
KEYS = ("alice", "bob")
turns = st.tuples(st.sampled_from(KEYS), st.sampled_from(list(BUDGETS)))


@dataclass(slots=True)
class TurnCall:
    """A request that reserved `wanted` tokens, and was granted those of `lease`."""

    turn: tuple[str, str]
    server: int
    account: RequestAccount
    wanted: int
    lease: Lease
    renewed: float
    used: int | None = None
    is_lost: bool = False

    def holds_at(self, now: float) -> int:
        """Return the tokens that it holds at time `now`."""
        if self.used is not None or (self.is_lost and now >= self.renewed + LEASE_SECONDS):
            return 0
        return self.lease.amount


class TurnMachine(RuleBasedStateMachine):
    """The state machine; `make_stores` returns what each server has opened of one storage."""

    runs = iter(range(10**9))

    def __init__(self) -> None:
        super().__init__()
        self.run = next(self.runs)
        self.runner = asyncio.Runner()
        self.now = 1_000.0
        self.stores = self.runner.run(self._make_stores())
        self.servers = [TurnBudgets(store) for store in self.stores]
        self.calls: list[TurnCall] = []

    def make_stores(self) -> list[TurnStore]:
        """Return the store of each server; overridden for each storage."""
        raise NotImplementedError

    async def _make_stores(self) -> list[TurnStore]:
        return self.make_stores()

    def teardown(self) -> None:
        for turns_of_server in self.servers:
            self.runner.run(turns_of_server.close())
        self.runner.close()

    @rule(
        turn=turns,
        crowd=st.lists(st.integers(0, 70), min_size=1, max_size=6),
        server=st.integers(0, 1),
    )
    def send_calls(self, turn: tuple[str, str], crowd: list[int], server: int) -> None:
        left = self._expect(turn).remaining
        made = self.runner.run(self._send_crowd(turn, crowd, server))
        granted = [call.lease.amount for call in made]
        # Whatever their order: as much as is left, and only the last may get a part of its wish.
        assert sum(granted) == min(left, sum(crowd))
        assert sum(0 < call.lease.amount < call.wanted for call in made) <= 1
        self.calls += made

    @rule(place=st.integers(0, 99), share=st.floats(0, 1), is_left=st.booleans())
    def end_call(self, place: int, share: float, is_left: bool) -> None:
        """End a call as a reply does, choice by choice, or as a client that leaves does."""
        for call in self._pick(place):
            assert call.account.turn is not None
            call.used = int(share * call.lease.amount)
            call.account.turn.charge(reasoning=call.used, answer=9)
            if not is_left:
                assert call.account.settle_turn is not None
                self.runner.run(call.account.settle_turn())
            self.runner.run(call.account.at_end.aclose())

    @rule(place=st.integers(0, 99), share=st.floats(0, 1))
    def reduce_call(self, place: int, share: float) -> None:
        for call in self._pick(place):
            amount = int(share * call.lease.amount)
            self.runner.run(self.servers[call.server].reduce(call.lease, amount))
            call.lease = Lease(call.lease.turn, call.lease.token, call.lease.budget, amount)

    @rule(server=st.integers(0, 1))
    def restart_server(self, server: int) -> None:
        """Replace a server that has died: what ran on it is neither renewed nor settled."""
        self.runner.run(self.servers[server].leases.close())
        for call in self.calls:
            if call.server == server and call.used is None:
                call.is_lost = True
        self.servers[server] = TurnBudgets(self.stores[server])

    @invariant()
    def totals_match_the_calls(self) -> None:
        for key in KEYS:
            for name, budget in BUDGETS.items():
                for server in self.servers:
                    totals = self.runner.run(self._read(server, (key, name)))
                    if not any(call.turn == (key, name) for call in self.calls):
                        assert totals is None
                        continue
                    assert totals == self._expect((key, name))
                    assert totals.used + totals.reserved + totals.remaining == budget
                    assert totals.used <= budget

    def _pick(self, place: int) -> Iterator[TurnCall]:
        running = [call for call in self.calls if call.used is None and not call.is_lost]
        if running:
            yield running[place % len(running)]

    def _expect(self, turn: tuple[str, str]) -> TurnTotals:
        own = [call for call in self.calls if call.turn == turn]
        used = sum(call.used or 0 for call in own)
        reserved = sum(call.holds_at(self.now) for call in own)
        return TurnTotals(BUDGETS[turn[1]], used, reserved)

    async def _read(self, server: TurnBudgets, turn: tuple[str, str]) -> TurnTotals | None:
        return await server.read(self._key(turn), turn[1])

    def _key(self, turn: tuple[str, str]) -> str:
        return f"{turn[0]}-{self.run}"

    async def _send_crowd(
        self, turn: tuple[str, str], crowd: list[int], server: int
    ) -> list[TurnCall]:
        async def send(place: int, wanted: int) -> TurnCall:
            account = RequestAccount("id", METRICS, key=AccessKey(self._key(turn)))
            request = TurnRequest(turn[1], BUDGETS[turn[1]])
            number = (server + place) % 2
            demand = Demand(1, wanted, 1, 1)
            lease = await self.servers[number].reserve(account, request, demand)
            return TurnCall(turn, number, account, wanted, lease, self.now)

        return list(await asyncio.gather(*(send(*numbered) for numbered in enumerate(crowd))))


class ClockedTurnMachine(TurnMachine):
    """The machine on a storage whose clock the test sets."""

    def make_stores(self) -> list[TurnStore]:
        """Return two views of one memory; see :meth:`TurnMachine.make_stores`."""
        store = MemoryTurns(3600, clock=lambda: self.now)
        return [store, store]

    @rule(seconds=st.sampled_from([1.0, 20.0, LEASE_SECONDS - 1]))
    def advance_time(self, seconds: float) -> None:
        """Let time pass; servers that live renew in time."""
        self.now += seconds
        for server in self.servers:
            self.runner.run(server.leases.update_all())
        for call in self.calls:
            if call.used is None and not call.is_lost:
                call.renewed = self.now
