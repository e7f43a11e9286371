-- Removes a session that is not sealed, with all its keys.
-- KEYS: session, tombstone, log, request, holds, answers, ending
-- ARGV: epoch; channel of records, channel of turns
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
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
redis.call('PUBLISH', ARGV[2], '')
redis.call('PUBLISH', ARGV[3], '')
return { 'ok' }
