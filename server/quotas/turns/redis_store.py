"""Turns in Redis, shared by several servers.

A turn is a hash: its budget, what it has used, and a field for each lease, with its amount and the
time at which it ends. Time is Redis' own, so the servers' clocks do not matter.
"""

import math

from server.quotas.redis_script import RedisScript
from server.quotas.turns.store import LEASE_SECONDS, Lease, Opening, TurnTotals

# Arguments: the operation, times to live of the turn and of a lease (ms), the lease's field, the
# budget, and an amount: wanted (take), held (hold) or used (settle); then what was used before.
SCRIPT = """
local op, field = ARGV[1], ARGV[4]
local budget, amount = tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('time')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local known, used, reserved, values = nil, 0, 0, redis.call('hgetall', KEYS[1])
for i = 1, #values, 2 do
    local name, value = values[i], values[i + 1]
    if name == 'budget' then known = tonumber(value)
    elseif name == 'used' then used = tonumber(value)
    else
        local held, ends = string.match(value, '^(%d+) (%d+)$')
        if tonumber(ends) <= now then redis.call('hdel', KEYS[1], name)
        else reserved = reserved + tonumber(held) end
    end
end
if op == 'read' or (op == 'take' and known and known ~= budget) then
    return {known or -1, used, reserved, 0}
end
if not known then
    if op == 'take' then used = tonumber(ARGV[7]) end
    redis.call('hset', KEYS[1], 'budget', ARGV[5], 'used', string.format('%.0f', used))
end
local granted = 0
if op == 'settle' then
    redis.call('hdel', KEYS[1], field)
    redis.call('hincrby', KEYS[1], 'used', ARGV[6])
else
    granted = amount
    if op == 'take' then
        granted = math.max(0, math.min(amount, budget - used - reserved))
    end
    local ends = now + tonumber(ARGV[3])
    redis.call('hset', KEYS[1], field, string.format('%.0f %.0f', granted, ends))
end
redis.call('pexpire', KEYS[1], ARGV[2])
return {known or budget, used, reserved, granted}
"""


class RedisTurns:
    """See :class:`server.quotas.turns.store.TurnStore`. No `repr` contains the URL.

    Raises:
        RedisMissingError: redis-py is not installed.
        ValueError: the URL is malformed.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        ttl_seconds: float,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._script = RedisScript(url, timeout_seconds, SCRIPT)
        self._lives = [math.ceil(1000 * seconds) for seconds in (ttl_seconds, lease_seconds)]

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        """See :meth:`TurnStore.take`."""
        lease = Lease(turn, token, opening.budget, wanted)
        budget, used, reserved, granted = await self._run("take", lease, wanted, opening.used)
        return TurnTotals(budget, used, reserved), granted

    async def hold(self, lease: Lease) -> None:
        """See :meth:`TurnStore.hold`."""
        await self._run("hold", lease, lease.amount)

    async def settle(self, lease: Lease, used: int) -> None:
        """See :meth:`TurnStore.settle`."""
        await self._run("settle", lease, used)

    async def read(self, turn: str) -> TurnTotals | None:
        """See :meth:`TurnStore.read`."""
        budget, used, reserved, _ = await self._run("read", Lease(turn, "", 0, 0), 0)
        return None if budget < 0 else TurnTotals(budget, used, reserved)

    async def close(self) -> None:
        """Close all connections."""
        await self._script.close()

    async def _run(self, operation: str, lease: Lease, amount: int, used: int = 0) -> list[int]:
        arguments = [operation, *self._lives, f"lease/{lease.token}", lease.budget, amount, used]
        return [int(number) for number in await self._script.run([lease.turn], arguments)]
