-- KEYS: an index by time
-- ARGV: how many to give
return { digits(now), redis.call('ZREVRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES') }
