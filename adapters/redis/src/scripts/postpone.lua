-- Moves the time from which an ending may be taken.
-- KEYS: session, tombstone, request, ending
-- ARGV: number of the delivery, duration
-- Replies with the names of the session.
local key = waiting(KEYS[4])
if not key then
  if redis.call('EXISTS', KEYS[1]) == 1 then
    return { 'none' }
  end
  return gone()
end
if redis.call('HGET', key, 'deliveries') ~= ARGV[1] then
  return { 'fenced' }
end
move_due(key, KEYS[3], ARGV[2])
return { 'ok', names(key) }
