"""The configured storage of quota counters, and its behaviour during an outage.

A storage that fails is not contacted again for a moment, so that an outage costs a request at
most one wait. Knows no quotas.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from server.quotas.counters import (
    Change,
    ChangeResult,
    Counters,
    CounterStorageError,
    MemoryCounters,
)
from server.quotas.redis_counters import RedisCounters
from server.settings.redis_url import MEMORY_URL, find_url_fault

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")
PAUSE_SECONDS = 1.0


class QuotaStorageUrlError(ValueError):
    """The URL of the storage is invalid; the message does not quote it."""


def open_counters(url: str | None, timeout_seconds: float) -> Counters:
    """Return the counters at `url`; None: in memory. Connects to nothing yet.

    Raises:
        QuotaStorageUrlError: the URL is malformed, or its scheme is unknown.
        RedisMissingError: redis-py is not installed.
    """
    redis_url = find_redis_url(url)
    return MemoryCounters() if redis_url is None else RedisCounters(redis_url, timeout_seconds)


def find_redis_url(url: str | None) -> str | None:
    """Return the URL of the configured Redis; None: the storage is in memory.

    Raises:
        QuotaStorageUrlError: the URL is malformed, or its scheme is unknown.
    """
    if url is None or url == MEMORY_URL:
        return None
    if (fault := find_url_fault(url, "the quota storage")) is not None:
        raise QuotaStorageUrlError(fault)
    return url


class StorageWatch:
    """Tracks whether a storage responds. Logs each change of that once.

    After a failure, calls fail at once for `PAUSE_SECONDS` without contacting the storage.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_up = True
        self._clock = clock
        self._next_try = 0.0

    async def run(self, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Return the result of `call`, which contacts the storage.

        Raises:
            CounterStorageError: it does not respond now, or did not a moment ago.
        """
        if not self.is_up and self._clock() < self._next_try:
            raise CounterStorageError("it did not respond a moment ago")
        try:
            result = await call()
        except CounterStorageError as error:
            self._note_failure(error)
            raise
        if not self.is_up:
            logger.warning("the quota storage responds again")
        self.is_up = True
        return result

    def _note_failure(self, error: CounterStorageError) -> None:
        if self.is_up:
            logger.error("the quota storage does not respond: %s", error)
        self.is_up = False
        self._next_try = self._clock() + PAUSE_SECONDS


class WatchedCounters:
    """Counters whose storage is watched."""

    def __init__(self, counters: Counters, watch: StorageWatch) -> None:
        self._counters = counters
        self._watch = watch

    async def change(self, changes: Sequence[Change]) -> ChangeResult:
        """See :meth:`server.quotas.counters.Counters.change`."""
        return await self._watch.run(lambda: self._counters.change(changes))

    async def close(self) -> None:
        """Close all connections."""
        await self._counters.close()
