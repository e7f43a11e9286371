-- Removes the entry of a session that was withdrawn, unless it has changed since it was read: then it is that of a
-- later session with the id.
-- KEYS: the sets of a scope; with the scope of all sessions, the open ones
-- ARGV: id, score seen; with the scope of all sessions, the member among the open ones
local place, score = find(ARGV[1])
if place and tonumber(score) == tonumber(ARGV[2]) then
  redis.call('ZREM', KEYS[place], ARGV[1])
  if ARGV[3] then
    redis.call('ZREM', KEYS[6], ARGV[3])
  end
end
return {}
