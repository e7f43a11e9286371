-- The beginning of every script on a session. Times are microseconds of this server's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- By default Lua writes large numbers as 1.8e+15.
local function digits(number)
  return string.format('%.0f', number)
end

-- Returns a time in milliseconds, for PEXPIREAT; never early.
local function at(moment)
  return digits(math.ceil(moment / 1000))
end

local function sealed(status)
  return status ~= 'streaming' and status ~= 'waiting'
end

-- Returns the reply where there is no session: its tombstone, if there is one.
local function absent(info)
  local left = redis.call('GET', info)
  if left then
    return { 'gone', left }
  end
  return { 'none' }
end

-- Returns the microseconds that a lease still runs; -1 if it is free.
local function lease(status, length, over)
  if sealed(status) or length == '0' then
    return -1
  end
  return math.max(over - now, 0)
end

-- Returns the fields of a `SessionState`.
local function state(session, info)
  local h = redis.call('HMGET', session, 'epochs', 'attempts', 'tail', 'status', 'abort', 'length', 'over', 'created', 'answers')
  return {
    redis.call('GET', info),
    string.sub(h[1], -16),
    h[2],
    h[3],
    h[4],
    h[5],
    lease(h[4], h[6], h[7]),
    math.max(now - h[8], 0),
    h[9] or 0,
  }
end

-- Makes the engine drop a sealed session at the end of its retention, and its tombstone at the
-- end of that.
local function expire(session, info, log, keep, tombstone)
  if keep <= now then
    redis.call('UNLINK', session, log)
  else
    redis.call('PEXPIREAT', session, at(keep))
    redis.call('PEXPIREAT', log, at(keep))
  end
  redis.call('PEXPIREAT', info, at(keep + tombstone))
end
