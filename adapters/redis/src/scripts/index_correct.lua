-- Moves or removes an entry, unless it has changed since it was read.
-- KEYS: the sets of a scope
-- ARGV: id, place seen, score seen; to move it, the place of the status
local seen = KEYS[tonumber(ARGV[2])]
local score = redis.call('ZSCORE', seen, ARGV[1])
if score and tonumber(score) == tonumber(ARGV[3]) then
  redis.call('ZREM', seen, ARGV[1])
  if ARGV[4] then
    redis.call('ZADD', KEYS[tonumber(ARGV[4])], score, ARGV[1])
  end
end
return {}
