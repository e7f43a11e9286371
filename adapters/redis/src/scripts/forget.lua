-- Drops a tombstone before its time, unless a session has the id again, or an ending needs it.
-- KEYS: session, tombstone, ending
if redis.call('EXISTS', KEYS[1], KEYS[3]) == 0 then
  redis.call('UNLINK', KEYS[2])
end
return { 'ok' }
