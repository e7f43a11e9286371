-- KEYS: session, tombstone, answers
if not redis.call('HGET', KEYS[1], 'epochs') then
  return gone()
end
return { 'ok', redis.call('HGETALL', KEYS[3]) }
