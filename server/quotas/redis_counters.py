"""Counters in Redis, shared by several servers.

The script is ours: the library has none that checks several limits at once, and its counters also
count what they refuse.
"""

from collections.abc import Sequence

from server.quotas.counters import Change, ChangeResult
from server.quotas.redis_script import RedisScript

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


class RedisCounters:
    """Counters shared by all servers that use the same Redis. No `repr` contains the URL.

    Raises:
        RedisMissingError: redis-py is not installed.
        ValueError: the URL is malformed.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._script = RedisScript(url, timeout_seconds, SCRIPT)

    async def change(self, changes: Sequence[Change]) -> ChangeResult:
        """See :meth:`server.quotas.counters.Counters.change`."""
        if not changes:
            return ChangeResult(False, ())
        arguments = [
            value
            for c in changes
            for value in (c.amount, -1 if c.limit is None else c.limit, c.ttl_seconds)
        ]
        refused, *used = await self._script.run([c.counter for c in changes], arguments)
        return ChangeResult(bool(refused), used)

    async def close(self) -> None:
        """Close all connections."""
        await self._script.close()
