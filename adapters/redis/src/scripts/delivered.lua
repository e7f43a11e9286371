-- Removes an ending from the outbox, and its request.
-- KEYS: session, tombstone, log, request, ending
-- ARGV: the epoch that has sealed the session
-- Replies with the milliseconds that are left of the session and of its tombstone, and the names of the session,
-- unless no ending waited.
local key = waiting(KEYS[5])
if not key then
  return { 'ok' }
end
local h = redis.call('HMGET', key, 'keep', 'tombstone', 'deleted', 'epochs')
if string.sub(h[4], -16) ~= ARGV[1] then
  return { 'ok' }
end
local owner, chat, service = names(key)
-- The first write is one that the engine takes even if its memory is full.
redis.call('UNLINK', KEYS[4], KEYS[5])
if h[3] then
  redis.call('PEXPIREAT', KEYS[2], at(h[3] + h[2]))
else
  redis.call('HSET', KEYS[1], 'until', 0, 'summary', '')
  -- The tombstone of a session that was kept only for its ending begins now.
  expire(KEYS[3], math.max(tonumber(h[1]), now), tonumber(h[2]))
end
return { 'ok', redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2]), owner, chat, service }
