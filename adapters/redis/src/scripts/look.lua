-- KEYS: session, info
if redis.call('EXISTS', KEYS[1]) == 0 then
  return absent(KEYS[2])
end
return { 'ok', state(KEYS[1], KEYS[2]), redis.call('PTTL', KEYS[1]) }
