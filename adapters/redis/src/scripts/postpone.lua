-- Moves the time from which an ending may be taken.
-- KEYS: session, tombstone, ending
-- ARGV: number of the delivery, duration
-- Replies with the names of the session.
local key = waiting(KEYS[3])
if not key then
  if redis.call('EXISTS', KEYS[1]) == 1 then
    return { 'none' }
  end
  return gone()
end
if redis.call('HGET', key, 'deliveries') ~= ARGV[1] then
  return { 'fenced' }
end
redis.call('HSET', key, 'due', digits(now + ARGV[2]))
return { 'ok', names(key) }
