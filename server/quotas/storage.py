"""Where quotas are counted: the storage of the settings, and what holds while it is away.

A storage that fails is left alone for a moment before it is asked again, so that an outage
costs a request no more than one wait. Knows no quotas.
"""

import logging
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from server.quotas.counters import (
    Change,
    Counted,
    Counters,
    CounterStorageError,
    MemoryCounters,
)
from server.quotas.redis_counters import RedisCounters

logger = logging.getLogger(__name__)
MEMORY_URL = "memory://"
SCHEMES = ("redis", "rediss", "redis+unix")
PAUSE_SECONDS = 1.0


class QuotaStorageUrlError(ValueError):
    """The URL of the storage is no good; the message does not quote it."""


def open_counters(url: str | None, timeout_seconds: float) -> Counters:
    """The counters at `url`; None: in memory. Nothing is connected yet.

    Raises:
        QuotaStorageUrlError: an unknown or malformed URL.
        RedisMissingError: redis-py is not installed.
    """
    if url is None or url == MEMORY_URL:
        return MemoryCounters()
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise QuotaStorageUrlError(f"the storage of quotas should be {MEMORY_URL} or {known}")
    try:
        _ = urlsplit(url).port
    except ValueError:
        # The library's error quotes what it takes for the port: it may be a password.
        message = "the URL of the quotas' storage has no valid port"
        raise QuotaStorageUrlError(message) from None
    return RedisCounters(url, timeout_seconds)


class WatchedCounters:
    """Counters that know whether they answer. Logs each change of that once."""

    def __init__(self, counters: Counters, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_up = True
        self._counters = counters
        self._clock = clock
        self._next_try = 0.0

    async def change(self, changes: Sequence[Change]) -> Counted:
        """See :meth:`server.quotas.counters.Counters.change`."""
        if not self.is_up and self._clock() < self._next_try:
            raise CounterStorageError("it did not answer a moment ago")
        try:
            counted = await self._counters.change(changes)
        except CounterStorageError as error:
            self._note_failure(error)
            raise
        if not self.is_up:
            logger.warning("the storage of quotas answers again")
        self.is_up = True
        return counted

    async def close(self) -> None:
        """Let go of connections."""
        await self._counters.close()

    def _note_failure(self, error: CounterStorageError) -> None:
        if self.is_up:
            logger.error("the storage of quotas does not answer: %s", error)
        self.is_up = False
        self._next_try = self._clock() + PAUSE_SECONDS
