"""Quotas of keys: reserved before a request runs, settled when it has ended.

What a request may use is taken first, from all its quotas or from none; at its end what was
not used is given back. So no race between requests can exceed a quota of reasoning tokens.
Does not know how counters are stored, nor what was done with the tokens.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.errors.api import UnavailableError
from server.keys.key import AccessKey
from server.quotas.counters import Counters, CounterStorageError
from server.quotas.kinds import windows_of
from server.quotas.metrics import QuotaMetrics
from server.quotas.refusal import QuotaExceededError, RefusedQuota, worst
from server.quotas.reservation import Reservation, change_of, costs_of, costs_of_use
from server.quotas.standing import QuotaStanding, quota_headers
from server.quotas.storage import WatchedCounters


class QuotaStorageUnavailableError(UnavailableError):
    """503: nobody can say what is left of a quota."""

    def __init__(self) -> None:
        super().__init__("quotas cannot be counted now", "quota_storage_unavailable")


class Quotas:
    """Of one server. `clock` gives seconds since 1970.

    `fallback` counts while the storage is away; None: requests that have a quota are refused.
    """

    def __init__(
        self,
        counters: Counters,
        metrics: QuotaMetrics,
        fallback: Counters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._counters = WatchedCounters(counters)
        self._fallback = fallback
        self._metrics = metrics

    async def reserve(self, account: RequestAccount, demand: Demand) -> None:
        """Take what the request may use; the account's end settles it.

        The account's headers say what is left, also where this raises.

        Raises:
            QuotaExceededError: 429; nothing was taken.
            QuotaStorageUnavailableError: 503, likewise as far as anyone can tell.
        """
        if not any(windows_of(account.key.key_id, account.key.quota, self.clock())):
            return
        # A task: where this one is cancelled, what was taken is still known, and settled.
        taking = asyncio.create_task(self._take(account, demand))
        account.at_end.push_async_callback(self._settle, account, taking)
        await asyncio.shield(taking)

    async def standings(self, key: AccessKey) -> Sequence[QuotaStanding]:
        """How `key` stands now.

        Raises:
            QuotaStorageUnavailableError: 503.
        """
        now = self.clock()
        windows = list(windows_of(key.key_id, key.quota, now))
        changes = [change_of(window, 0, now) for window in windows]
        try:
            counted = await self._counters.change(changes)
        except CounterStorageError as error:
            counted = await self._fall_back(error).change(changes)
        standings = list(map(QuotaStanding, windows, counted.used))
        self._metrics.observe(standings)
        return standings

    async def close(self) -> None:
        """Let go of the storage."""
        await self._counters.close()

    async def _take(self, account: RequestAccount, demand: Demand) -> Reservation:
        now, costs = self.clock(), costs_of(demand)
        windows = list(windows_of(account.key.key_id, account.key.quota, now))
        changes = [change_of(w, costs[w.kind.unit], now, has_limit=True) for w in windows]
        counters: Counters = self._counters
        try:
            counted = await counters.change(changes)
            self._metrics.storage_up.set(1)
        except CounterStorageError as error:
            counters = self._fall_back(error)
            counted = await counters.change(changes)
        standings = list(map(QuotaStanding, windows, counted.used))
        self._metrics.observe(standings)
        account.headers |= quota_headers(standings, now, for_anthropic=account.speaks_anthropic)
        if counted.is_refused:
            refused = worst(
                [
                    RefusedQuota(standing, change.amount)
                    for standing, change in zip(standings, changes, strict=True)
                    if change.is_refused(standing.used)
                ]
            )
            self._metrics.observe_refusal(refused.standing)
            raise QuotaExceededError(refused, now)
        return Reservation(counters, windows, costs)

    def _fall_back(self, error: CounterStorageError) -> Counters:
        self._metrics.storage_up.set(0)
        if self._fallback is None:
            raise QuotaStorageUnavailableError from error
        return self._fallback

    async def _settle(self, account: RequestAccount, taking: "asyncio.Task[Reservation]") -> None:
        try:
            reservation = await taking
        except (QuotaExceededError, QuotaStorageUnavailableError):
            return  # nothing was taken
        used = costs_of_use(account.used)
        settled = list(reservation.to_settle(used, self.clock()))
        if not settled:
            return
        try:
            counted = await reservation.counters.change([change for _, change in settled])
        except CounterStorageError:
            self._metrics.storage_up.set(0)  # what was reserved stays charged
            return
        windows = [window for window, _ in settled]
        self._metrics.observe(list(map(QuotaStanding, windows, counted.used)))
