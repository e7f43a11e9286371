-- KEYS: session, tombstone
-- The commands don't depend on what they find: the look at an id that was never used takes as long as the look
-- at a session of another owner, which is refused in the same words.
local read = fields()
local expires = redis.call('PTTL', KEYS[1])
local remains = redis.call('GET', KEYS[2])
local left = redis.call('PTTL', KEYS[2])
if not read[1] then
  return absent(remains, left)
end
return { 'ok', state(read), expires }
