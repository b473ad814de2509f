"""Turns whose storage is watched: while it is down, calls fail at once, and a metric says so."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from prometheus_client import Gauge

from server.quotas.counters import CounterStorageError
from server.quotas.storage import StorageWatch
from server.quotas.turns.store import Lease, Opening, TurnStore, TurnTotals

ResultT = TypeVar("ResultT")


class WatchedTurns:
    """See :class:`server.quotas.turns.store.TurnStore`.

    `watch` and `is_up` are those of the quotas, whose storage it is.
    """

    def __init__(self, store: TurnStore, watch: StorageWatch, is_up: Gauge) -> None:
        self._store = store
        self._watch = watch
        self._is_up = is_up

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        """See :meth:`TurnStore.take`."""
        return await self._run(lambda: self._store.take(turn, opening, wanted, token))

    async def hold(self, lease: Lease) -> None:
        """See :meth:`TurnStore.hold`."""
        await self._run(lambda: self._store.hold(lease))

    async def settle(self, lease: Lease, used: int) -> None:
        """See :meth:`TurnStore.settle`."""
        await self._run(lambda: self._store.settle(lease, used))

    async def read(self, turn: str) -> TurnTotals | None:
        """See :meth:`TurnStore.read`."""
        return await self._run(lambda: self._store.read(turn))

    async def close(self) -> None:
        """Close all connections."""
        await self._store.close()

    async def _run(self, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        try:
            result = await self._watch.run(call)
        except CounterStorageError:
            self._is_up.set(0)
            raise
        self._is_up.set(1)
        return result
