-- Corrects an entry, unless it has changed since it was read.
-- KEYS: an index
-- ARGV: id, score seen, new score (microseconds from now) or nothing to remove it
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then
  if ARGV[3] == '' then
    redis.call('ZREM', KEYS[1], ARGV[1])
  else
    local clock = redis.call('TIME')
    redis.call('ZADD', KEYS[1], string.format('%.0f', clock[1] * 1000000 + clock[2] + ARGV[3]), ARGV[1])
  end
end
return {}
