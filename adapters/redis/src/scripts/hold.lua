-- KEYS: session, tombstone, log, holds
-- ARGV: holder, duration
local h = redis.call('HMGET', KEYS[1], 'status', 'keep', 'tombstone')
if not h[1] then
  return gone()
end
local keep = math.max(tonumber(h[2]), now + ARGV[2])
redis.call('ZADD', KEYS[4], 'GT', digits(now + ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', digits(now))
redis.call('PEXPIREAT', KEYS[4], at(keep))
redis.call('HSET', KEYS[1], 'keep', digits(keep))
if sealed(h[1]) then
  expire(KEYS[3], keep, tonumber(h[3]))
end
return { 'ok' }
