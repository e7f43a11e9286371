-- Updates the leases of sessions that run. Replies with the positions of those that are not in the set of their
-- status, counted from 0.
-- KEYS: the sets of the scope of all sessions, the open ones
-- ARGV: for each session its member, its lease, its id, and the place of its status
local lost = {}
for at = 1, #ARGV, 4 do
  redis.call('ZADD', KEYS[6], digits(now + ARGV[at + 1]), ARGV[at])
  if not redis.call('ZSCORE', KEYS[tonumber(ARGV[at + 3])], ARGV[at + 2]) then
    lost[#lost + 1] = (at - 1) / 4
  end
end
return lost
