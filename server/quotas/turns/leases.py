"""The leases of this server's running requests: renewed while they run, settled when they end.

A lease that cannot be settled, as the storage does not respond, is kept and settled later. The
task that does both exists only while there are leases.
"""

import asyncio
from dataclasses import dataclass, field

from server.quotas.counters import CounterStorageError
from server.quotas.turns.store import LEASE_SECONDS, Lease, TurnStore

RENEW_SECONDS = LEASE_SECONDS / 3


@dataclass(slots=True)
class _Running:
    """A lease of `store`; `used` is None while its request runs. `lock` orders the changes."""

    store: TurnStore
    lease: Lease
    used: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Leases:
    """All leases of this server."""

    def __init__(self, renew_seconds: float = RENEW_SECONDS) -> None:
        self._renew_seconds = renew_seconds
        self._running: dict[str, _Running] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of leases that are not settled."""
        return len(self._running)

    def add(self, store: TurnStore, lease: Lease) -> None:
        """Renew `lease`, which has just been made, until it is settled."""
        self._running[lease.token] = _Running(store, lease)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    def find_store(self, lease: Lease) -> TurnStore | None:
        """Return the store that made `lease`; None: it is settled."""
        running = self._running.get(lease.token)
        return None if running is None or running.used is not None else running.store

    async def reduce(self, lease: Lease) -> None:
        """Lower the amount of a lease to that of `lease`, or later if the storage is down."""
        running = self._running[lease.token]
        running.lease = lease
        await self._update(running)

    async def settle(self, lease: Lease, used: int) -> None:
        """Charge `used` and end the lease, or later if the storage is down; once only."""
        running = self._running.get(lease.token)
        if running is not None and running.used is None:
            running.used = used
            await self._update(running)

    async def update_all(self) -> None:
        """Renew all leases, and settle those that could not be settled before."""
        for running in list(self._running.values()):
            await self._update(running)

    async def close(self) -> None:
        """Stop renewing. What has not been settled expires."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _update(self, running: _Running) -> None:
        async with running.lock:
            token = running.lease.token
            if token not in self._running:
                return  # settled meanwhile: to renew it now would bring it back
            try:
                if running.used is None:
                    await running.store.hold(running.lease)
                else:
                    await running.store.settle(running.lease, running.used)
                    del self._running[token]
            except CounterStorageError:
                pass  # logged by the storage's watch

    async def _keep(self) -> None:
        while self._running:
            await asyncio.sleep(self._renew_seconds)
            await self.update_all()
