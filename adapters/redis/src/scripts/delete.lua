-- KEYS: session, info, log, request, holds, answers
-- ARGV: the holder that asks, or nothing; channel of records, channel of turns
local tombstone = redis.call('HGET', KEYS[1], 'tombstone')
local info = redis.call('GET', KEYS[2])
if not tombstone then
  if info then
    return { 'ok', info }
  end
  return { 'none' }
end
if ARGV[1] ~= '' then
  for _, holder in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. digits(now), '+inf')) do
    if holder ~= ARGV[1] then
      return { 'held' }
    end
  end
end
redis.call('PEXPIREAT', KEYS[2], at(now + tombstone))
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('PUBLISH', ARGV[2], '')
redis.call('PUBLISH', ARGV[3], '')
return { 'ok', info }
