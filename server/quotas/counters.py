"""Counters that are changed atomically: all changes of a call are made, or none.

Defines the interface of every storage, and the storage in memory, which uses that of `limits`.
Knows neither keys nor quotas, only names and numbers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from limits.aio.storage import MemoryStorage


class CounterStorageError(Exception):
    """The storage does not respond. The message contains no address and no password."""


@dataclass(frozen=True, slots=True)
class Change:
    """An amount to add to a counter, which never falls below 0.

    `limit` None: the amount is added in any case. The counter expires after `ttl_seconds`.
    """

    counter: str
    amount: int
    ttl_seconds: int
    limit: int | None = None

    def is_refused(self, used: int) -> bool:
        """Return whether a counter whose value is `used` has no room for the change."""
        return self.limit is not None and self.amount > 0 and used + self.amount > self.limit


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """Result of a call: whether it was refused, and the counters' values in the order given."""

    is_refused: bool
    used: Sequence[int]


class Counters(Protocol):
    """A storage of counters."""

    async def change(self, changes: Sequence[Change]) -> ChangeResult:
        """Make all changes atomically, or none if one of them would exceed its limit.

        Raises:
            CounterStorageError: the storage does not respond. The changes may have been made.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class MemoryCounters:
    """Counters of this process alone."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._lock = asyncio.Lock()

    async def change(self, changes: Sequence[Change]) -> ChangeResult:
        """See :meth:`Counters.change`."""
        async with self._lock:
            used = [await self._storage.get(change.counter) for change in changes]
            if any(map(Change.is_refused, changes, used)):
                return ChangeResult(True, used)
            return ChangeResult(False, [await self._apply(change) for change in changes])

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    async def _apply(self, change: Change) -> int:
        if change.amount > 0:
            return await self._storage.incr(change.counter, change.ttl_seconds, change.amount)
        if change.amount < 0:
            return await self._storage.decr(change.counter, -change.amount)
        return await self._storage.get(change.counter)
