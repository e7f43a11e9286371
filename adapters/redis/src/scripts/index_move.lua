-- Moves a session to the set of its status.
-- KEYS: the sets of a scope; with the scope of all sessions, the open ones and the sealed ones
-- ARGV: id, place of the status, age of the session; if it is sealed and the scope is that of all sessions, the
--       member among the open and the sealed ones, its retention
local MINUTE = 60000000
local id, to = ARGV[1], tonumber(ARGV[2])
local from, score = find(id)
local created = now - ARGV[3]
-- An entry of an earlier session with this id.
local former = from and tonumber(score) < created - MINUTE
-- A session that has ended never runs again: this status came late.
local late = from and from > RUNNING and to <= RUNNING and not former
if not late and (from ~= to or former) then
  if from then
    redis.call('ZREM', KEYS[from], id)
  end
  redis.call('ZADD', KEYS[to], not former and score or digits(created), id)
end
if ARGV[4] then
  redis.call('ZADD', KEYS[7], digits(now + ARGV[5]), ARGV[4])
  redis.call('ZREM', KEYS[6], ARGV[4])
end
return {}
