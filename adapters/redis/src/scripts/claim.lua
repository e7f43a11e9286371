-- KEYS: session, tombstone, request, log
-- ARGV: epoch seen, token, new epoch, lease, latest format, channel of records, channel of turns,
--       the most bytes of a request in the reply
-- Replies with the request or, if it is longer, with nothing and its length after the state.
local h = redis.call('HMGET', KEYS[1], 'epochs', 'token', 'attempts', 'status', 'length', 'over', 'format', 'author')
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
local former = string.sub(h[1], -16)
if h[2] == ARGV[2] and h[1] ~= former then
  return { 'ok', request, state(), length }
end
local left = lease(h[4], h[5], h[6])
if former ~= ARGV[1] or left > 0 then
  return { 'held' }
end
-- An owner who gave the lease back, or has appended, costs no attempt.
local attempts = h[3]
if left == 0 and h[8] ~= former then
  attempts = attempts + 1
end
redis.call('HSET', KEYS[1],
  'epochs', h[1] .. ARGV[3], 'token', ARGV[2], 'attempts', attempts,
  'length', ARGV[4], 'over', digits(now + ARGV[4]))
redis.call('PUBLISH', ARGV[6], '')
redis.call('PUBLISH', ARGV[7], '')
return { 'ok', request, state(), length }
