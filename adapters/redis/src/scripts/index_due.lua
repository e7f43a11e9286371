-- KEYS: an index by time
-- ARGV: how many to skip, how many to give
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', digits(now), 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
return { digits(now), found }
