-- Writes the entry of a session that was created just now, whose id had one before: that of an earlier session or of
-- a start that was refused. The new score tells a removal of that one's entry that this is another one.
-- KEYS: the sets of a scope; with the scope of all sessions, the open ones
-- ARGV: id; with the scope of all sessions, the member among the open ones, its lease
local MINUTE = 60000000
local from, score = find(ARGV[1])
-- A repetition of the call that came late: the session has ended.
if from and from > RUNNING and tonumber(score) >= now - MINUTE then
  return {}
end
if from then
  redis.call('ZREM', KEYS[from], ARGV[1])
end
redis.call('ZADD', KEYS[1], digits(now), ARGV[1])
if ARGV[2] then
  redis.call('ZADD', KEYS[6], digits(now + ARGV[3]), ARGV[2])
end
return {}
