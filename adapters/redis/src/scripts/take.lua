-- Takes an ending, and leases it.
-- KEYS: session, tombstone, request, ending
-- ARGV: lease, the most bytes of the request and the summary in the reply
-- Replies with the request or, if both are longer, with nothing and its length after it; with the time until the
-- ending may be taken; or that none waits.
local key = waiting(KEYS[4])
if not key then
  return { 'over' }
end
local h = redis.call('HMGET', key, 'due', 'until', 'summary', 'deliveries', 'deleted')
local due, left = times(h[1], h[2])
if due > 0 then
  return { 'later', due }
end
-- An ending without its request can still be delivered.
local request = redis.pcall('GET', KEYS[3])
if type(request) == 'table' then
  request = false
end
local length = 0
if request and #request + #h[3] > tonumber(ARGV[2]) then
  request, length = false, #request
end
redis.call('HSET', key, 'due', digits(now + ARGV[1]), 'deliveries', h[4] + 1)
return { 'ok', state(fields(key)), request, length, h[5] and 1 or 0, h[3], h[4] + 1, left }
