-- Replies with the number of the layout, after it was written where there was none, or an earlier one was raised.
-- KEYS: layout
-- ARGV: the latest layout, the earliest one whose sessions are read
local found = redis.call('GET', KEYS[1])
local number = tonumber(found or ARGV[2])
if number and number >= tonumber(ARGV[2]) and number < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  return ARGV[1]
end
return found
