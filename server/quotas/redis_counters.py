"""Counters in Redis, shared by several servers.

The connection is that of `limits`. The script is ours: the library has none that checks several
limits at once, and its counters also count what they refuse. Imports redis-py only when the
storage is opened.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError

from server.quotas.counters import Change, ChangeResult, CounterStorageError

KEY_PREFIX = "thinking-server"
# Arguments for each counter: the amount to add, its limit (-1: none), its time to live.
SCRIPT = """
local used, refused = {}, 0
for i, key in ipairs(KEYS) do
    local amount, limit = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
    used[i] = tonumber(redis.call('get', key) or '0')
    if amount > 0 and limit >= 0 and used[i] + amount > limit then refused = 1 end
end
if refused == 0 then
    for i, key in ipairs(KEYS) do
        local amount = math.max(tonumber(ARGV[3 * i - 2]), -used[i])
        if amount ~= 0 then
            used[i] = redis.call('incrby', key, string.format('%.0f', amount))
            redis.call('expire', key, ARGV[3 * i])
        end
    end
end
return {refused, unpack(used)}
"""


class RedisMissingError(ValueError):
    """The extra `redis` is not installed."""


class RedisCounters:
    """Counters shared by all servers that use the same Redis. No `repr` contains the URL.

    Raises:
        RedisMissingError: redis-py is not installed.
        ValueError: the URL is malformed.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        try:
            self._storage = RedisStorage(
                f"async+{url}",
                implementation="redispy",
                key_prefix=KEY_PREFIX,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                **_disable_retries(),
            )
        except (ConfigurationError, ModuleNotFoundError) as error:
            raise RedisMissingError(
                "redis-py is not installed: pip install 'thinking-server[redis]'"
            ) from error
        assert isinstance(self._storage.bridge, RedispyBridge)  # as requested by `implementation`
        self._client: Any = self._storage.bridge.get_connection()
        self._script = self._client.register_script(SCRIPT.encode())
        self._failures: tuple[type[Exception], ...] = (
            OSError,
            TimeoutError,
            *_list_errors(self._storage),
        )

    async def change(self, changes: Sequence[Change]) -> ChangeResult:
        """See :meth:`server.quotas.counters.Counters.change`."""
        if not changes:
            return ChangeResult(False, ())
        keys = [self._storage.bridge.prefixed_key(change.counter) for change in changes]
        arguments = [
            value
            for c in changes
            for value in (c.amount, -1 if c.limit is None else c.limit, c.ttl_seconds)
        ]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                refused, *used = await self._script(keys, arguments)
        except self._failures as error:
            raise CounterStorageError(type(error).__name__) from error
        return ChangeResult(bool(refused), used)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _list_errors(storage: RedisStorage) -> tuple[type[Exception], ...]:
    errors = storage.base_exceptions
    return errors if isinstance(errors, tuple) else (errors,)


def _disable_retries() -> dict[str, Any]:
    """Return options that turn retries off: a change without a response may have been made."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {"retry": Retry(NoBackoff(), 0)}
