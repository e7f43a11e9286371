-- Gives entries new times. One that has changed since it was read, or isn't there any more, keeps what it has.
-- KEYS: an index by time
-- ARGV: for each entry its member; the score seen, or nothing to write it whatever is there; and the new time in
--       microseconds from now, or nothing to remove it
for at = 1, #ARGV, 3 do
  local member, seen, to = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local score = seen ~= '' and redis.call('ZSCORE', KEYS[1], member)
  if seen == '' or (score and tonumber(score) == tonumber(seen)) then
    -- The first write is one that the engine takes even if its memory is full.
    redis.call('ZREM', KEYS[1], member)
    if to ~= '' then
      redis.call('ZADD', KEYS[1], digits(now + to), member)
    end
  end
end
return {}
