"""Counters that several changes are made to at once: all of them, or none.

The shape that every storage has, and the storage in memory, which is that of `limits`. Knows
neither keys nor quotas, only names and numbers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from limits.aio.storage import MemoryStorage


class CounterStorageError(Exception):
    """The storage does not answer. Its message holds no address and no password."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is added to a counter; nothing is left below 0.

    `limit` None: it is added in any case. The counter is forgotten after `lives_seconds`.
    """

    counter: str
    amount: int
    lives_seconds: int
    limit: int | None = None

    def is_refused(self, used: int) -> bool:
        """Whether a counter that stands at `used` has no room for it."""
        return self.limit is not None and self.amount > 0 and used + self.amount > self.limit


@dataclass(frozen=True, slots=True)
class Counted:
    """Whether the changes were made, and how the counters stand now, in their order."""

    is_refused: bool
    used: Sequence[int]


class Counters(Protocol):
    """Storage of counters."""

    async def change(self, changes: Sequence[Change]) -> Counted:
        """Make all changes, or none where one of them is over its limit; atomically.

        Raises:
            CounterStorageError: no answer. The changes may have been made.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class MemoryCounters:
    """Counters of this process alone."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._lock = asyncio.Lock()

    async def change(self, changes: Sequence[Change]) -> Counted:
        """See :meth:`Counters.change`."""
        async with self._lock:
            used = [await self._storage.get(change.counter) for change in changes]
            if any(map(Change.is_refused, changes, used)):
                return Counted(True, used)
            return Counted(False, [await self._made(change) for change in changes])

    async def close(self) -> None:
        """Nothing is open."""

    async def _made(self, change: Change) -> int:
        if change.amount > 0:
            return await self._storage.incr(change.counter, change.lives_seconds, change.amount)
        if change.amount < 0:
            return await self._storage.decr(change.counter, -change.amount)
        return await self._storage.get(change.counter)
