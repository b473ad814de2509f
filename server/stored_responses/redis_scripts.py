"""Scripts that Redis runs: each is one step that no other server can come between.

A response is a hash (`status`, `record`, `owner`, and at times `cancel`, `suspect`) and a stream
of its events, whose entries hold one or more frames and have the number of the last one, plus one,
as their id; the last entry says so. Only the owner writes to a response, until it is finished;
where a server is taken for dead, another finishes it, and then the owner's writes change nothing.
So there is one end, whoever writes it.
"""

_IS_RUNNING = "(status == 'queued' or status == 'in_progress')"

# KEYS: hash, index. ARGV: prefix of the servers' signs of life, milliseconds that one must be
# missing, name in the index, now. Returns status, record, and 1 if the owner is dead; or nothing.
LOOK = f"""
local found = redis.call('hmget', KEYS[1], 'status', 'record', 'owner', 'suspect')
local status = found[1]
if not status or not found[2] then return {{}} end
if not {_IS_RUNNING} then
    redis.call('zadd', KEYS[2], 'XX', ARGV[4], ARGV[3])
    return {{status, found[2], 0}}
end
if redis.call('exists', ARGV[1] .. found[3]) == 1 then
    redis.call('hdel', KEYS[1], 'suspect')
    return {{status, found[2], 0}}
end
local time = redis.call('time')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if not found[4] then
    redis.call('hset', KEYS[1], 'suspect', string.format('%.0f', now))
    return {{status, found[2], 0}}
end
local dead = 0
if now - tonumber(found[4]) >= tonumber(ARGV[2]) then dead = 1 end
return {{status, found[2], dead}}
"""

# KEYS: hash, stream. ARGV: new status or '', new record or '', time to live in seconds, prefix of
# the signs of life where the owner must be dead or '', the id that the last entry must have or '',
# then of each new entry its id, its frames, and 1 if no other follows, else 0.
APPEND = f"""
local status = redis.call('hget', KEYS[1], 'status')
if not status then return 'missing' end
if not {_IS_RUNNING} then return status end
if ARGV[4] ~= '' and
    redis.call('exists', ARGV[4] .. redis.call('hget', KEYS[1], 'owner')) == 1 then
    return 'alive'
end
local last = 0
local newest = redis.call('xrevrange', KEYS[2], '+', '-', 'COUNT', 1)
if newest[1] then last = tonumber(string.match(newest[1][1], '^%d+')) end
if ARGV[5] ~= '' and last ~= tonumber(ARGV[5]) then return 'moved' end
for i = 6, #ARGV, 3 do
    if tonumber(ARGV[i]) > last then
        redis.call('xadd', KEYS[2], ARGV[i] .. '-0', 'frames', ARGV[i + 1], 'is_end', ARGV[i + 2])
    end
end
if ARGV[1] ~= '' then redis.call('hset', KEYS[1], 'status', ARGV[1]) end
if ARGV[2] ~= '' then redis.call('hset', KEYS[1], 'record', ARGV[2]) end
redis.call('expire', KEYS[1], ARGV[3])
redis.call('expire', KEYS[2], ARGV[3])
return 'written'
"""

# KEYS: hash. Returns the status that it has found.
CANCEL = f"""
local status = redis.call('hget', KEYS[1], 'status')
if status and {_IS_RUNNING} then redis.call('hset', KEYS[1], 'cancel', '1') end
return status
"""

# KEYS: hash, stream, index, sizes. ARGV: name, seconds for which the owner may still learn of it.
DELETE = f"""
local status = redis.call('hget', KEYS[1], 'status')
if not status or status == 'deleted' then return 0 end
redis.call('del', KEYS[1], KEYS[2])
if {_IS_RUNNING} then
    redis.call('hset', KEYS[1], 'status', 'deleted')
    redis.call('expire', KEYS[1], ARGV[2])
end
local size = redis.call('hget', KEYS[4], ARGV[1])
if size then
    redis.call('hincrby', KEYS[4], 'total', -tonumber(size))
    redis.call('hdel', KEYS[4], ARGV[1])
end
redis.call('zrem', KEYS[3], ARGV[1])
return 1
"""

# Counts a finished response, and removes the least recently used ones that are too many.
# KEYS: index, sizes. ARGV: prefix of hashes, suffix of streams, name, bytes, now, the time before
# which responses have expired, most responses, most bytes. Returns how many were removed.
COUNT = """
local function forget(name)
    local size = redis.call('hget', KEYS[2], name)
    if size then
        redis.call('hincrby', KEYS[2], 'total', -tonumber(size))
        redis.call('hdel', KEYS[2], name)
    end
    redis.call('zrem', KEYS[1], name)
end
for _, name in ipairs(redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[6])) do forget(name) end
forget(ARGV[3])
redis.call('zadd', KEYS[1], ARGV[5], ARGV[3])
redis.call('hset', KEYS[2], ARGV[3], ARGV[4])
redis.call('hincrby', KEYS[2], 'total', ARGV[4])
local removed = 0
while redis.call('zcard', KEYS[1]) > tonumber(ARGV[7])
    or tonumber(redis.call('hget', KEYS[2], 'total')) > tonumber(ARGV[8]) do
    local oldest = redis.call('zrange', KEYS[1], 0, 0)[1]
    if not oldest then return removed end
    forget(oldest)
    redis.call('del', ARGV[1] .. oldest, ARGV[1] .. oldest .. ARGV[2])
    removed = removed + 1
end
return removed
"""
