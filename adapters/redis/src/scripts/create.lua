-- KEYS: session, info, request, log, holds, answers
-- ARGV: info, request, token, epoch, lease, tombstone, format
local h = redis.call('HMGET', KEYS[1], 'epochs', 'token', 'attempts')
if h[1] then
  if h[2] == ARGV[3] and h[3] == '0' then
    return { 'ok', h[1] }
  end
  return { 'exists', state(KEYS[1], KEYS[2]) }
end
local left = redis.call('GET', KEYS[2])
if left then
  return { 'gone', left }
end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[1],
  'epochs', ARGV[4], 'token', ARGV[3], 'attempts', 0,
  'tail', 0, 'status', 'streaming', 'length', ARGV[5], 'over', digits(now + ARGV[5]),
  'created', digits(now), 'keep', 0, 'tombstone', ARGV[6], 'format', ARGV[7])
redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6])
return { 'ok', ARGV[4] }
