-- KEYS: session, tombstone
-- ARGV: epoch, lease, channel of records
local h = redis.call('HMGET', KEYS[1], 'epochs', 'status')
if not h[1] then
  return gone()
end
if string.sub(h[1], -16) ~= ARGV[1] then
  return { 'fenced' }
end
if sealed(h[2]) then
  return { 'sealed' }
end
redis.call('HSET', KEYS[1], 'length', ARGV[2], 'over', digits(now + ARGV[2]))
-- Another server may claim it at once.
if tonumber(ARGV[2]) == 0 then
  redis.call('PUBLISH', ARGV[3], '')
end
return { 'ok', state() }
