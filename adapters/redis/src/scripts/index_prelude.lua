-- The beginning of every script on indexes. Times are microseconds of this server's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- By default Lua writes large numbers as 1.8e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- The first keys are the sets of a scope, one for each status; those of sessions that run come first.
local RUNNING, STATUSES = 2, 5

-- Returns the place of the set that has the session, and its score there.
local function find(id)
  for place = 1, STATUSES do
    local score = redis.call('ZSCORE', KEYS[place], id)
    if score then
      return place, score
    end
  end
end
