-- KEYS: session, tombstone, log, request, answers
-- ARGV: epoch, its counter, first LSN, last LSN, records, status, retention of a seal,
--       channel of records, channel of turns, summary of a seal. A chunk that is too large comes without its records.
-- Replies with the state too if the append has changed the status, or may have done so before.
local h = redis.call('HMGET', KEYS[1], 'epochs', 'tail', 'author', 'status', 'length', 'abort', 'keep', 'tombstone',
  'outbox')
if not h[1] then
  return gone()
end
if h[2] == ARGV[4] and h[3] == ARGV[1] then
  return { 'ok', h[6], state() }
end
if string.sub(h[1], -16) ~= ARGV[1] then
  return { 'fenced' }
end
if sealed(h[4]) then
  return { 'sealed' }
end
local tail, first = tonumber(h[2]), tonumber(ARGV[3])
if first > tail + 1 then
  return { 'rewound', h[2] }
end
if first <= tail then
  return { 'conflict', h[2] }
end
if ARGV[5] == '' then
  return { 'large' }
end
-- The first write is one that the engine refuses without memory or replicas, so that none happens then.
redis.call('XADD', KEYS[3], ARGV[4] .. '-' .. ARGV[2], 'r', ARGV[5])
-- A lease that was given back has no length, and stays free.
redis.call('HSET', KEYS[1], 'tail', ARGV[4], 'author', ARGV[1], 'status', ARGV[6], 'over', digits(now + h[5]))
local changed = h[4] ~= ARGV[6] and state()
if sealed(ARGV[6]) then
  local keep = math.max(tonumber(h[7]), now + ARGV[7])
  redis.call('HSET', KEYS[1], 'keep', digits(keep), 'answers', 0)
  redis.call('UNLINK', KEYS[5])
  if h[9] then
    local over = digits(now + h[9])
    redis.call('HSET', KEYS[1], 'summary', ARGV[10], 'deliveries', 0, 'due', digits(now), 'until', over)
    redis.call('PEXPIREAT', KEYS[4], at(over))
  else
    redis.call('UNLINK', KEYS[4])
  end
  expire(KEYS[3], keep, tonumber(h[8]))
  redis.call('PUBLISH', ARGV[9], '')
end
redis.call('PUBLISH', ARGV[8], '')
return { 'ok', h[6], changed }
