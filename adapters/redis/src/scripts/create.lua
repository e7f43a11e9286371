-- KEYS: session, tombstone, request, log, holds, answers, ending
-- ARGV: digest, owner, chat, service, format, request, token, epoch, lease, length of the tombstone,
--       the longest time of the ending in the outbox or nothing.
--       An owner or a chat is a plus sign and the name, or nothing.
local h = redis.call('HMGET', KEYS[1], 'epochs', 'token')
if h[1] then
  if h[2] == ARGV[7] and #h[1] == 16 then
    return { 'ok', h[1] }
  end
  return { 'exists', state() }
end
local left = gone()
if left[1] == 'gone' then
  return left
end
redis.call('SET', KEYS[3], ARGV[6])
redis.call('HSET', KEYS[1],
  'digest', ARGV[1], 'owner', ARGV[2], 'chat', ARGV[3], 'service', ARGV[4], 'format', ARGV[5],
  'token', ARGV[7], 'epochs', ARGV[8], 'attempts', 0,
  'tail', 0, 'status', 'streaming', 'length', ARGV[9], 'over', digits(now + ARGV[9]),
  'created', digits(now), 'keep', 0, 'tombstone', ARGV[10])
if ARGV[11] ~= '' then
  redis.call('HSET', KEYS[1], 'outbox', ARGV[11])
end
redis.call('UNLINK', KEYS[4], KEYS[5], KEYS[6], KEYS[7])
return { 'ok', ARGV[8] }
