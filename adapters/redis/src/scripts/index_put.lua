-- KEYS: an index
-- ARGV: NX to leave what is there, or XX, or nothing; then pairs of a score (microseconds from now) and an id
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for at = 2, #ARGV, 2 do
  local score = string.format('%.0f', now + ARGV[at])
  if ARGV[1] == '' then
    redis.call('ZADD', KEYS[1], score, ARGV[at + 1])
  else
    redis.call('ZADD', KEYS[1], ARGV[1], score, ARGV[at + 1])
  end
end
return {}
