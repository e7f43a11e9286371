-- KEYS: session, tombstone, log, request, holds, answers, ending
-- ARGV: the holder that asks, or nothing; channel of records, channel of turns
-- Replies with the length of the tombstone, the times of an ending that waits, and the names of the session, unless
-- it was gone before.
local h = redis.call('HMGET', KEYS[1], 'tombstone', 'digest', 'owner', 'due', 'until')
if not h[1] then
  local left = gone()
  if left[1] == 'gone' then
    return { 'ok' }
  end
  return left
end
local due, left = times(h[4], h[5])
if ARGV[1] ~= '' then
  if due then
    return { 'held' }
  end
  for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. digits(now), '+inf')) do
    if holder ~= ARGV[1] then
      return { 'held' }
    end
  end
end
local reply = { 'ok', h[1], due, left, names(KEYS[1]) }
-- The first write is one that the engine takes even if its memory is full.
redis.call('UNLINK', KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
local buried = now + h[1]
if due then
  local left = { 'deleted', digits(now) }
  local all = redis.call('HGETALL', KEYS[1])
  for place = 1, #all, 2 do
    local name, value = all[place], all[place + 1]
    -- The reason of an abort goes with the records, and nothing claims a deleted session.
    if name == 'abort' then
      value = '-'
    end
    if name ~= 'token' then
      left[#left + 1], left[#left + 2] = name, value
    end
  end
  redis.call('HSET', KEYS[7], unpack(left))
  redis.call('PEXPIREAT', KEYS[7], at(h[5]))
  buried = math.max(buried, tonumber(h[5]))
end
redis.call('UNLINK', KEYS[1])
bury(h[2], h[3], buried)
redis.call('PUBLISH', ARGV[2], '')
redis.call('PUBLISH', ARGV[3], '')
return reply
