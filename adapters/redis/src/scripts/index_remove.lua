-- KEYS: the sets of a scope; with the scope of all sessions, the open ones
-- ARGV: id; with the scope of all sessions, the member among the open ones
for place = 1, STATUSES do
  redis.call('ZREM', KEYS[place], ARGV[1])
end
if ARGV[2] then
  redis.call('ZREM', KEYS[6], ARGV[2])
end
return {}
