-- Takes an ending, and leases it.
-- KEYS: session, tombstone, request, ending
-- ARGV: lease, the most bytes of the request and the summary in the reply
-- Replies with the ending; with its bytes if these are more, and leases nothing; with the time until it may be taken;
-- or that none waits.
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
local length = #(request or '') + #h[3]
if length > tonumber(ARGV[2]) then
  return { 'bytes', length }
end
local delivery = h[4] + 1
move_due(key, KEYS[3], ARGV[1])
redis.call('HSET', key, 'deliveries', delivery)
return { 'ok', state(fields(key)), request, h[5] and 1 or 0, h[3], delivery, left }
