-- Adds a session that is about to be created to a scope, unless it is there. Replies with the place where it was.
-- KEYS: the sets of a scope; with the scope of all sessions, the open ones
-- ARGV: id; with the scope of all sessions, the member among the open ones, its lease
local place = find(ARGV[1])
if not place then
  redis.call('ZADD', KEYS[1], digits(now), ARGV[1])
end
if ARGV[2] then
  redis.call('ZADD', KEYS[6], 'NX', digits(now + ARGV[3]), ARGV[2])
end
return { place or 0 }
