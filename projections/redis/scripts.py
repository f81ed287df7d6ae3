"""The Lua scripts: each is one atomic change of the Redis projection.

Place in the flow: called by the sink and the rebuild. Every script that writes first makes sure
that the caller still is who may write, so that a writer that was frozen for an hour harms nothing.
Errors are answered as words, never raised.
"""

from __future__ import annotations

__all__ = ["COMMIT", "DROP", "OPEN", "PUBLISH", "RELEASE", "SNAPSHOT"]

OPEN = """
-- KEYS: writer, pointer, pointer 2.  ARGV: base, token, lease ms, new id, layout.
-- Takes the lease; answers {word, generation, whether it is read, checkpoints...}.
local base, token, fresh = ARGV[1], ARGV[2], ARGV[4]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= token then return {'busy'} end
local layout = tonumber(ARGV[5])
local found = nil
for number = 2, 3 do
  local generation = redis.call('GET', KEYS[number])
  if generation and not found then
    local stored = redis.call('HGET', base .. generation .. ':checkpoints', 'layout')
    if stored and tonumber(stored) > layout then return {'newer', stored} end
    if stored and tonumber(stored) == layout then found = {generation, number} end
  end
end
redis.call('SET', KEYS[1], token, 'PX', ARGV[3])
if not found then
  redis.call('SADD', base .. 'generations', fresh)
  redis.call('SET', KEYS[3], fresh)
  redis.call('HSET', base .. fresh .. ':checkpoints', 'layout', layout)
  found = {fresh, 3}
end
local answer = {'ok', found[1], found[2] == 2 and '1' or '0'}
for _, text in ipairs(redis.call('HGETALL', base .. found[1] .. ':checkpoints')) do
  answer[#answer + 1] = text
end
return answer
"""

COMMIT = """
-- KEYS: writer, pointer, pointer 2, hold.
-- ARGV: base, token, lease ms, generation, marks, then 3 for each mark, then 6 for each change.
local base, token, generation = ARGV[1], ARGV[2], ARGV[4]
if redis.call('GET', KEYS[1]) ~= token then return 'writer' end
local held = redis.call('GET', KEYS[4])
if held and held ~= token then return 'held' end
if redis.call('GET', KEYS[2]) ~= generation and redis.call('GET', KEYS[3]) ~= generation then
  return 'generation'
end
local own = base .. generation .. ':'
local checkpoints, as_of, instruments = own .. 'checkpoints', own .. 'as_of', own .. 'instruments'
if redis.call('HEXISTS', checkpoints, 'layout') == 0 then return 'lost' end
local first = 6 + 3 * tonumber(ARGV[5])
for at = 6, first - 1, 3 do
  if (redis.call('HGET', checkpoints, ARGV[at]) or '') ~= ARGV[at + 1] then return 'checkpoint' end
end
for at = first, #ARGV, 6 do
  local kind, name, field = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if kind == 'latest' then
    local shard, seq = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local place = name .. '\\t' .. field
    local old = redis.call('HGET', as_of, place)
    local newer = true
    if old then
      local old_shard, old_seq = string.match(old, '^(%d+) (%d+)$')
      old_shard, old_seq = tonumber(old_shard), tonumber(old_seq)
      newer = old_shard < shard or (old_shard == shard and old_seq < seq)
    end
    if newer then
      redis.call('HSET', as_of, place, ARGV[at + 3] .. ' ' .. ARGV[at + 4])
      redis.call('HSET', own .. name, field, ARGV[at + 5])
    end
  elseif kind == 'add' then
    redis.call('SADD', instruments, name)
    redis.call('HSET', own .. 'signals:' .. name, field, ARGV[at + 5])
  else
    redis.call('HDEL', own .. 'signals:' .. name, field)
    if redis.call('EXISTS', own .. 'signals:' .. name) == 0 then
      redis.call('SREM', instruments, name)
    end
  end
end
for at = 6, first - 1, 3 do redis.call('HSET', checkpoints, ARGV[at], ARGV[at + 2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'ok'
"""

_EXPIRE = """
local function expire(base, generation, seconds)
  local own = base .. generation .. ':'
  for _, name in ipairs(redis.call('SMEMBERS', own .. 'instruments')) do
    redis.call('EXPIRE', own .. 'signals:' .. name, seconds)
  end
  for _, name in ipairs({'checkpoints', 'portfolio_views', 'decisions', 'instruments', 'as_of'}) do
    redis.call('EXPIRE', own .. name, seconds)
  end
  redis.call('SREM', base .. 'generations', generation)
end
"""

PUBLISH = (
    _EXPIRE
    + """
-- KEYS: writer, live, from, hold.  ARGV: base, token, generation, seconds the old one stays.
-- The generation that `from` points to becomes the one that is read.
local base, token, generation = ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', KEYS[1]) ~= token then return 'writer' end
local held = redis.call('GET', KEYS[4])
if held and held ~= token then return 'held' end
if redis.call('GET', KEYS[3]) ~= generation then return 'generation' end
if redis.call('EXISTS', base .. generation .. ':checkpoints') == 0 then return 'lost' end
redis.call('SET', KEYS[2], generation)
-- Whoever fills another one for the first time need not go on.
redis.call('DEL', KEYS[3], base .. 'building')
local rebuilding = redis.call('GET', base .. 'rebuilding')
for _, other in ipairs(redis.call('SMEMBERS', base .. 'generations')) do
  if other ~= generation and other ~= rebuilding and tonumber(ARGV[4]) >= 0 then
    expire(base, other, ARGV[4])
  end
end
return 'ok'
"""
)

DROP = (
    _EXPIRE
    + """
-- KEYS: rebuilder, rebuilding.  ARGV: base, token.  Forgets the generation being rebuilt.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 'writer' end
local generation = redis.call('GET', KEYS[2])
if generation then expire(ARGV[1], generation, 0) end
redis.call('DEL', KEYS[2])
return 'ok'
"""
)

RELEASE = """
-- KEYS: any leases.  ARGV: token.
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 'ok'
"""

SNAPSHOT = """
-- KEYS: pointer.  ARGV: base, generation ('' : where the pointer points).
local base, generation = ARGV[1], ARGV[2]
if generation == '' then generation = redis.call('GET', KEYS[1]) end
if not generation then return {'none'} end
local own = base .. generation .. ':'
local checkpoints = redis.call('HGETALL', own .. 'checkpoints')
if #checkpoints == 0 then return {'none'} end
local signals = {}
for _, name in ipairs(redis.call('SMEMBERS', own .. 'instruments')) do
  for _, text in ipairs(redis.call('HGETALL', own .. 'signals:' .. name)) do
    signals[#signals + 1] = text
  end
end
return {'ok', checkpoints, redis.call('HGETALL', own .. 'portfolio_views'),
        redis.call('HGETALL', own .. 'decisions'), signals}
"""
