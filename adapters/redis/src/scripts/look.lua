-- KEYS: session, tombstone, ending
-- The commands don't depend on what they find: the look at an id that was never used takes as long as the look
-- at a session of another owner, which is refused in the same words.
local read = fields()
local expires = redis.call('PTTL', KEYS[1])
local remains = redis.call('GET', KEYS[2])
local left = redis.call('PTTL', KEYS[2])
local ending = redis.call('HMGET', KEYS[3], 'due', 'until')
if not read[1] then
  local reply = absent(remains, left)
  reply[4], reply[5] = times(ending[1], ending[2])
  return reply
end
return { 'ok', state(read), expires, times(read[16], read[17]) }
