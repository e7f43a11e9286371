-- KEYS: session, tombstone, request, log
-- ARGV: epoch seen, token, new epoch, lease, latest format, channel of records, channel of turns,
--       the most bytes of a request in the reply
-- Replies with the request or, if it is longer, with nothing and its length after the state.
local h = redis.call('HMGET', KEYS[1], 'epochs', 'token', 'attempts', 'status', 'length', 'over', 'format')
if not h[1] then
  return gone()
end
if tonumber(h[7]) > tonumber(ARGV[5]) then
  return { 'unsupported', h[7] }
end
if sealed(h[4]) then
  return { 'sealed' }
end
-- Without a log that can be appended to, nobody can seal the session: each claim would be followed by another.
local log = redis.call('TYPE', KEYS[4]).ok
if log ~= 'stream' and log ~= 'none' then
  return { 'damaged' }
end
-- A claimant without the request can still seal the session.
local request = redis.pcall('GET', KEYS[3])
if type(request) == 'table' then
  request = false
end
local length = 0
if request and #request > tonumber(ARGV[8]) then
  request, length = false, #request
end
if h[2] == ARGV[2] and h[3] ~= '0' then
  return { 'ok', request, state(), length }
end
if string.sub(h[1], -16) ~= ARGV[1] or lease(h[4], h[5], h[6]) > 0 then
  return { 'held' }
end
redis.call('HSET', KEYS[1],
  'epochs', h[1] .. ARGV[3], 'token', ARGV[2], 'attempts', h[3] + 1,
  'length', ARGV[4], 'over', digits(now + ARGV[4]))
redis.call('PUBLISH', ARGV[6], '')
redis.call('PUBLISH', ARGV[7], '')
return { 'ok', request, state(), length }
