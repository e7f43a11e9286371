-- KEYS: session, tombstone, log, request, holds, answers
-- ARGV: the holder that asks, or nothing; channel of records, channel of turns
-- Replies with the owner and the chat of the session, unless it was gone before.
local h = redis.call('HMGET', KEYS[1], 'tombstone', 'digest', 'owner', 'chat')
if not h[1] then
  local left = gone()
  if left[1] == 'gone' then
    return { 'ok' }
  end
  return left
end
if ARGV[1] ~= '' then
  for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. digits(now), '+inf')) do
    if holder ~= ARGV[1] then
      return { 'held' }
    end
  end
end
-- The first write is one that the engine takes even if its memory is full.
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
bury(h[2], h[3], now + h[1])
redis.call('PUBLISH', ARGV[2], '')
redis.call('PUBLISH', ARGV[3], '')
return { 'ok', h[3], h[4], h[1] }
