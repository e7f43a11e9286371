-- KEYS: session, tombstone, answers
-- ARGV: name, content, the most answers, the most bytes of them, channel of records, channel of turns
local h = redis.call('HMGET', KEYS[1], 'status', 'answers', 'answered')
if not h[1] then
  return gone()
end
-- A stored answer is its place in the order, a colon and the content.
local there = redis.call('HGET', KEYS[3], ARGV[1])
if there then
  if string.sub(there, string.find(there, ':', 1, true) + 1) == ARGV[2] then
    return { 'ok', state() }
  end
  return { 'taken' }
end
if sealed(h[1]) then
  return { 'sealed' }
end
local count = tonumber(h[2] or 0)
local bytes = tonumber(h[3] or 0) + #ARGV[1] + #ARGV[2]
if count >= tonumber(ARGV[3]) or bytes > tonumber(ARGV[4]) then
  return { 'full' }
end
redis.call('HSET', KEYS[3], ARGV[1], digits(count) .. ':' .. ARGV[2])
redis.call('HSET', KEYS[1], 'answers', digits(count + 1), 'answered', digits(bytes))
redis.call('PUBLISH', ARGV[5], '')
redis.call('PUBLISH', ARGV[6], '')
return { 'ok', state() }
