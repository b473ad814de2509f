"""Connection to a Redis, and its behaviour during an outage.

Every command has a time limit. A Redis that fails is not contacted again for a moment, so that an
outage costs a request at most one wait. Imports redis-py only when a link is opened. No message
contains the URL.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from server.settings.redis_url import find_url_fault
from server.stored_responses.store import StoreUnavailableError

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")
PAUSE_SECONDS = 1.0


class ResponseStoreConfigError(ValueError):
    """The store cannot be opened as configured; the message does not quote its URL."""


class RedisLink:
    """Runs commands. `note_up` is called with whether Redis responds, after each command.

    Raises:
        ResponseStoreConfigError: the URL is malformed, or redis-py is not installed.
    """

    def __init__(
        self, url: str, timeout_seconds: float, note_up: Callable[[bool], object] = bool
    ) -> None:
        check_url(url)
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ModuleNotFoundError:
            raise ResponseStoreConfigError(
                "redis-py is not installed: pip install 'thinking-server[redis]'"
            ) from None
        self.timeout_seconds = timeout_seconds
        self._client: Any = Redis.from_url(
            url.replace("redis+unix://", "unix://", 1),
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),  # a command without a response may have been run
        )
        self._failures = (OSError, TimeoutError, RedisError)
        self._note_up = note_up
        self.is_up = True
        self._next_try = 0.0

    async def run(
        self, command: Callable[[Any], Awaitable[ResultT]], blocks_seconds: float = 0.0
    ) -> ResultT:
        """Return the result of `command`, called with the client.

        `blocks_seconds`: how long it may wait in Redis by itself.

        Raises:
            StoreUnavailableError: Redis does not respond. The command may have been run.
        """
        if not self.is_up and time.monotonic() < self._next_try:
            raise StoreUnavailableError
        try:
            async with asyncio.timeout(self.timeout_seconds + blocks_seconds):
                result = await command(self._client)
        except self._failures as error:
            self._note_failure(error)
            raise StoreUnavailableError from error
        if not self.is_up:
            logger.warning("the response store responds again")
        self.is_up = True
        self._note_up(True)
        return result

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _note_failure(self, error: Exception) -> None:
        if self.is_up:
            logger.error("the response store does not respond: %s", type(error).__name__)
        self.is_up = False
        self._note_up(False)
        self._next_try = time.monotonic() + PAUSE_SECONDS


def check_url(url: str) -> None:
    """Check the form of a Redis URL.

    Raises:
        ResponseStoreConfigError: the scheme is unknown, or the port is no number.
    """
    if (fault := find_url_fault(url, "the response store")) is not None:
        raise ResponseStoreConfigError(fault)
