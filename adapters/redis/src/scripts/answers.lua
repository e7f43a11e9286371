-- KEYS: session, info, answers
if redis.call('EXISTS', KEYS[1]) == 0 then
  return absent(KEYS[2])
end
return { 'ok', redis.call('HGETALL', KEYS[3]) }
