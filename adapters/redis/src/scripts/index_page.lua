-- Replies with the newest entries of each set after a cursor: id, score, position of the set, counted from 0.
-- KEYS: sets of one scope
-- ARGV: how many of each to give; the score and the id of the cursor, if there is one
local most, from, after = tonumber(ARGV[1]), ARGV[2], ARGV[3]

-- Compares bytes, as the engine does. The operator of Lua would follow the locale.
local function less(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

local found = {}
for set, key in ipairs(KEYS) do
  local skip, left = 0, most
  while left > 0 do
    local part = redis.call('ZREVRANGEBYSCORE', key, from or '+inf', '-inf', 'WITHSCORES', 'LIMIT', skip, left)
    skip = skip + left
    local whole = #part < 2 * left
    for at = 1, #part, 2 do
      local id, score = part[at], part[at + 1]
      if not from or tonumber(score) < tonumber(from) or less(id, after) then
        found[#found + 1] = id
        found[#found + 1] = score
        found[#found + 1] = set - 1
        left = left - 1
      end
    end
    if whole then
      break
    end
  end
end
return { digits(now), found }
