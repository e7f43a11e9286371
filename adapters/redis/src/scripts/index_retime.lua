-- Gives an entry a new time, unless it has changed since it was read; removes it if there is no new time.
-- KEYS: an index by time
-- ARGV: member, score seen; the new time in microseconds from now, if there is one
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then
  if ARGV[3] then
    redis.call('ZADD', KEYS[1], digits(now + ARGV[3]), ARGV[1])
  else
    redis.call('ZREM', KEYS[1], ARGV[1])
  end
end
return {}
