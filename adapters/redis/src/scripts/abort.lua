-- KEYS: session, tombstone
-- ARGV: abort, channel of records, channel of turns
local h = redis.call('HMGET', KEYS[1], 'status', 'abort')
if not h[1] then
  return gone()
end
if not sealed(h[1]) and not h[2] then
  redis.call('HSET', KEYS[1], 'abort', ARGV[1])
  redis.call('PUBLISH', ARGV[2], '')
  redis.call('PUBLISH', ARGV[3], '')
end
return { 'ok', state() }
