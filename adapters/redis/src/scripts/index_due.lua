-- KEYS: an index
-- ARGV: how many to skip, how many to give
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
return { string.format('%.0f', now), found }
