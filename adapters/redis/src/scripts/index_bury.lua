-- Removes a session that is gone from the scope of all sessions, and counts its tombstone. Replies with the ids
-- of the tombstones that are too many, the oldest first.
-- KEYS: the sets of the scope, the open ones, the sealed ones, the tombstones
-- ARGV: the most tombstones, how many to reply with; id, member, what is left of the tombstone or nothing
if ARGV[3] then
  for place = 1, STATUSES do
    redis.call('ZREM', KEYS[place], ARGV[3])
  end
  redis.call('ZREM', KEYS[6], ARGV[4])
  redis.call('ZREM', KEYS[7], ARGV[4])
  if ARGV[5] ~= '' then
    redis.call('ZADD', KEYS[8], digits(now + ARGV[5]), ARGV[3])
  end
end
local over = math.min(redis.call('ZCARD', KEYS[8]) - ARGV[1], tonumber(ARGV[2]))
if over <= 0 then
  return {}
end
return redis.call('ZRANGE', KEYS[8], 0, over - 1)
