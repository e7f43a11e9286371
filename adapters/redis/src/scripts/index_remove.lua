-- KEYS: the sets of a scope; with the scope of all sessions, the open ones and the sealed ones
-- ARGV: id; with the scope of all sessions, the member among the open ones; for a deleted session whose ending waits,
--       the time in microseconds from now at which it is looked at again
for place = 1, STATUSES do
  redis.call('ZREM', KEYS[place], ARGV[1])
end
if ARGV[2] then
  redis.call('ZREM', KEYS[6], ARGV[2])
end
if ARGV[3] then
  redis.call('ZADD', KEYS[7], digits(now + ARGV[3]), ARGV[2])
end
return {}
