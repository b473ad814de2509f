"""A Lua script that runs atomically in Redis. Knows nothing of what it counts.

The connection is that of `limits`. Imports redis-py only when a storage is opened.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import ConfigurationError

from server.quotas.counters import CounterStorageError

KEY_PREFIX = "thinking-server"


class RedisMissingError(ValueError):
    """The extra `redis` is not installed."""


class RedisScript:
    """A script and the connections that run it. No `repr` contains the URL.

    Raises:
        RedisMissingError: redis-py is not installed.
        ValueError: the URL is malformed.
    """

    def __init__(self, url: str, timeout_seconds: float, source: str) -> None:
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
        self._script = self._client.register_script(source.encode())
        self._failures: tuple[type[Exception], ...] = (
            OSError,
            TimeoutError,
            *_list_errors(self._storage),
        )

    async def run(self, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Return the script's result. `keys` get the prefix of all of our keys.

        Raises:
            CounterStorageError: Redis does not respond. The script may have run.
        """
        prefixed = [self._storage.bridge.prefixed_key(key) for key in keys]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._script(prefixed, arguments)
        except self._failures as error:
            raise CounterStorageError(type(error).__name__) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _list_errors(storage: RedisStorage) -> tuple[type[Exception], ...]:
    errors = storage.base_exceptions
    return errors if isinstance(errors, tuple) else (errors,)


def _disable_retries() -> dict[str, Any]:
    """Return options that turn retries off: a script without a response may have run."""
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {"retry": Retry(NoBackoff(), 0)}
