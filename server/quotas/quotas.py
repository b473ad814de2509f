"""Quotas of keys: reserved before a request runs, settled when it has ended.

The most that a request may use is reserved first, from all its quotas or from none; what it did
not use is returned when it ends. So no race between requests can exceed a quota of reasoning
tokens. Does not know how counters are stored, nor what the tokens were used for.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from server.account.account import RequestAccount
from server.admission.demand import Demand
from server.errors.api import UnavailableError
from server.keys.key import AccessKey
from server.quotas.counters import Counters, CounterStorageError
from server.quotas.kinds import find_windows
from server.quotas.metrics import QuotaMetrics
from server.quotas.refusal import QuotaExceededError, RefusedQuota, pick_refusal
from server.quotas.reservation import (
    Costs,
    Reservation,
    to_change,
    to_more_costs,
    to_reserved_costs,
    to_used_costs,
)
from server.quotas.storage import StorageWatch, WatchedCounters
from server.quotas.usage import QuotaUsage, build_quota_headers


class QuotaStorageUnavailableError(UnavailableError):
    """503: the quota storage does not respond, so it is unknown what is left of a quota."""

    def __init__(self) -> None:
        super().__init__("quotas cannot be counted right now", "quota_storage_unavailable")


class Quotas:
    """The quotas of one server. `clock` returns seconds since 1970; `watch` is of the storage.

    `fallback` counts while the storage is down; None: requests with a quota are refused then.
    """

    def __init__(
        self,
        counters: Counters,
        metrics: QuotaMetrics,
        fallback: Counters | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.watch = StorageWatch()
        self.metrics = metrics
        self._counters = WatchedCounters(counters, self.watch)
        self._fallback = fallback

    async def reserve(self, account: RequestAccount, demand: Demand) -> None:
        """Reserve the most that the request may use; settled when the account is closed.

        Sets the account's headers to what is left, even if this raises.

        Raises:
            QuotaExceededError: 429; nothing was reserved.
            QuotaStorageUnavailableError: 503; nothing was reserved, as far as is known.
        """
        if not any(find_windows(account.key.key_id, account.key.quota, self.clock())):
            return
        # A separate task: if this one is cancelled, the reservation is still known and settled.
        reserving = asyncio.create_task(self._take(account, to_reserved_costs(demand)))
        account.at_end.push_async_callback(self._settle, account, reserving)
        await asyncio.shield(reserving)

    async def reserve_more(self, account: RequestAccount, num_tokens: int, *, beyond: int) -> None:
        """Reserve more tokens of thought for a request that is running.

        Args:
            account: of that request; settles the reservation when it is closed.
            num_tokens: the most that it may think in addition.
            beyond: the tokens of thought that are reserved for it already.

        Raises:
            QuotaExceededError, QuotaStorageUnavailableError: see :meth:`reserve`.
        """
        if not any(find_windows(account.key.key_id, account.key.quota, self.clock())):
            return
        costs = to_more_costs(num_tokens)
        reserving = asyncio.create_task(self._take(account, costs))
        account.at_end.push_async_callback(self._settle_more, account, reserving, beyond)
        await asyncio.shield(reserving)

    async def get_usage(self, key: AccessKey) -> Sequence[QuotaUsage]:
        """Return the current usage of each quota of `key` that has a limit.

        Raises:
            QuotaStorageUnavailableError: 503, the storage does not respond.
        """
        now = self.clock()
        windows = list(find_windows(key.key_id, key.quota, now))
        changes = [to_change(window, 0, now) for window in windows]
        try:
            counted = await self._counters.change(changes)
        except CounterStorageError as error:
            counted = await self._fall_back(error).change(changes)
        usages = list(map(QuotaUsage, windows, counted.used))
        self.metrics.observe(usages)
        return usages

    async def close(self) -> None:
        """Close the connections to the storage."""
        await self._counters.close()

    async def _take(self, account: RequestAccount, costs: Costs) -> Reservation:
        now = self.clock()
        windows = list(find_windows(account.key.key_id, account.key.quota, now))
        changes = [to_change(w, costs[w.kind.unit], now, has_limit=True) for w in windows]
        counters: Counters = self._counters
        try:
            counted = await counters.change(changes)
            self.metrics.storage_up.set(1)
        except CounterStorageError as error:
            counters = self._fall_back(error)
            counted = await counters.change(changes)
        usages = list(map(QuotaUsage, windows, counted.used))
        self.metrics.observe(usages)
        account.headers |= build_quota_headers(usages, now, for_anthropic=account.speaks_anthropic)
        if counted.is_refused:
            refused = pick_refusal(
                [
                    RefusedQuota(usage, change.amount)
                    for usage, change in zip(usages, changes, strict=True)
                    if change.is_refused(usage.used)
                ]
            )
            self.metrics.observe_refusal(refused.usage)
            raise QuotaExceededError(refused, now)
        return Reservation(counters, windows, costs)

    def _fall_back(self, error: CounterStorageError) -> Counters:
        self.metrics.storage_up.set(0)
        if self._fallback is None:
            raise QuotaStorageUnavailableError from error
        return self._fallback

    async def _settle(
        self, account: RequestAccount, reserving: "asyncio.Task[Reservation]"
    ) -> None:
        try:
            reservation = await reserving
        except (QuotaExceededError, QuotaStorageUnavailableError):
            return  # nothing was reserved
        await self._adjust(reservation, to_used_costs(account.used, account.extended_reasoning))

    async def _settle_more(
        self, account: RequestAccount, reserving: "asyncio.Task[Reservation]", beyond: int
    ) -> None:
        """Settle an addition, which comes before the reservation that it was added to."""
        try:
            reservation = await reserving
        except (QuotaExceededError, QuotaStorageUnavailableError):
            return
        reserved = reservation.reserved["reasoning_tokens"]
        rest = account.used.reasoning - account.extended_reasoning
        used = max(0, min(reserved, rest - beyond))
        account.extended_reasoning += used
        await self._adjust(reservation, to_more_costs(used))

    async def _adjust(self, reservation: Reservation, used: Costs) -> None:
        settled = list(reservation.compute_adjustments(used, self.clock()))
        if not settled:
            return
        try:
            counted = await reservation.counters.change([change for _, change in settled])
        except CounterStorageError:
            self.metrics.storage_up.set(0)  # the whole reservation stays charged
            return
        windows = [window for window, _ in settled]
        self.metrics.observe(list(map(QuotaUsage, windows, counted.used)))
