-- Drops a tombstone before its time, unless a session has the id again.
-- KEYS: session, tombstone
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('UNLINK', KEYS[2])
end
return { 'ok' }
