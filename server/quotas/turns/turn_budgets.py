"""Budgets of turns: reserved before a request runs, settled when it has ended.

All requests that name the same turn, under the same key, draw on one sum. Does not know how the
sums are stored, nor how a request is planned within its part.
"""

import asyncio
import secrets
from dataclasses import replace
from functools import partial

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.errors.api import BadRequestError, UnavailableError
from server.quotas.counters import CounterStorageError
from server.quotas.turns.leases import Leases
from server.quotas.turns.request import TurnRequest, name_turn
from server.quotas.turns.store import Lease, Opening, TurnStore, TurnTotals
from thinking.turn import TurnShare


class TurnStorageUnavailableError(UnavailableError):
    """503: the quota storage does not respond, so it is unknown what a turn has left."""

    def __init__(self) -> None:
        super().__init__(
            "the budget of this turn cannot be counted right now", "quota_storage_unavailable"
        )


class TurnBudgetError(BadRequestError):
    """400: the turn is in force with another budget."""

    def __init__(self, turn: TurnRequest, budget: int) -> None:
        super().__init__(
            f"{turn.budget_field}: this turn is in force with a budget of {budget} tokens, not "
            f"{turn.budget}: send {budget}, or another id for another turn",
            param=turn.budget_field,
            code="turn_budget_differs",
        )


class TurnBudgets:
    """The turns of all keys, as one server sees them.

    `fallback` counts while `store` is down; None: requests that name a turn are refused then.
    """

    def __init__(
        self, store: TurnStore, fallback: TurnStore | None = None, leases: Leases | None = None
    ) -> None:
        self.leases = leases or Leases()
        self._store = store
        self._fallback = fallback

    async def reserve(self, account: RequestAccount, turn: TurnRequest, demand: Demand) -> Lease:
        """Reserve what the turn has left of the hidden tokens that the request may use.

        Settled when the account is closed, or before that by its `settle_turn`. Sets the account's
        share of the turn, and the `extend_turn` of a request whose budget grows while it runs.

        Raises:
            TurnBudgetError: 400; nothing was reserved.
            TurnStorageUnavailableError: 503; nothing was reserved, as far as is known.
            TooManyTurnsError: 429; nothing was reserved.
        """
        # A separate task: if this one is cancelled, the lease is still known and settled.
        taking = asyncio.create_task(self._take(account, turn, demand))
        account.extend_turn = partial(self._extend, account, taking)
        account.settle_turn = partial(self._settle, account, taking)
        account.at_end.push_async_callback(account.settle_turn)
        return await asyncio.shield(taking)

    async def reduce(self, lease: Lease, amount: int) -> None:
        """Return what of a lease exceeds `amount`."""
        if amount < lease.amount:
            await self.leases.reduce(replace(lease, amount=amount))

    async def read(self, key_id: str, turn_id: str) -> TurnTotals | None:
        """Return the totals of a key's turn; None: it is unknown or forgotten.

        Raises:
            TurnStorageUnavailableError: 503, the storage does not respond.
        """
        name = name_turn(key_id, turn_id)
        try:
            return await self._store.read(name)
        except CounterStorageError as error:
            return await self._fall_back(error).read(name)

    async def close(self) -> None:
        """Stop renewing leases, and close the connections to the storage."""
        await self.leases.close()
        await self._store.close()

    async def _take(self, account: RequestAccount, turn: TurnRequest, demand: Demand) -> Lease:
        name, token = turn.name_for(account.key.key_id), secrets.token_hex(8)
        opening = Opening(turn.budget, turn.used_before)
        wanted = turn.limit(demand.reasoning_tokens)
        store = self._store
        try:
            totals, granted = await store.take(name, opening, wanted, token)
        except CounterStorageError as error:
            store = self._fall_back(error)
            totals, granted = await store.take(name, opening, wanted, token)
        if totals.budget != turn.budget:
            raise TurnBudgetError(turn, totals.budget)
        lease = Lease(name, token, turn.budget, granted)
        self.leases.add(store, lease)
        account.turn = TurnShare(
            turn.budget, totals.used, totals.reserved, demand.num_choices, turn.is_task
        )
        return lease

    async def _extend(
        self, account: RequestAccount, taking: "asyncio.Task[Lease]", wanted: int
    ) -> int:
        """Reserve what is left of `wanted` more tokens; return how many. 0: the request has ended.

        Raises:
            TurnStorageUnavailableError: 503; nothing more was reserved, as far as is known.
        """
        lease = await taking
        store = self.leases.find_store(lease)
        if store is None:
            return 0
        token = secrets.token_hex(8)
        try:
            _, granted = await store.take(lease.turn, Opening(lease.budget), wanted, token)
        except CounterStorageError as error:
            raise TurnStorageUnavailableError from error
        more = Lease(lease.turn, token, lease.budget, granted)
        self.leases.add(store, more)
        # What it uses is charged with the first lease.
        account.at_end.push_async_callback(self.leases.settle, more, 0)
        return granted

    def _fall_back(self, error: CounterStorageError) -> TurnStore:
        if self._fallback is None:
            raise TurnStorageUnavailableError from error
        return self._fallback

    async def _settle(self, account: RequestAccount, taking: "asyncio.Task[Lease]") -> None:
        try:
            lease = await taking
        except Exception:  # the request was answered with it
            return
        assert account.turn is not None  # set with the lease
        await self.leases.settle(lease, account.turn.cost)
