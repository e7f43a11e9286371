-- KEYS: an index
-- ARGV: the highest score, how many to give
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
return { string.format('%.0f', now), found }
