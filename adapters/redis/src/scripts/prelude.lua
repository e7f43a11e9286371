-- The beginning of every script on a session. Its first keys are the session and its tombstone. Times are
-- microseconds of this server's clock.
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

-- Returns the reply where there is no session: its tombstone, if there is one, and how long that lasts.
local function absent(remains, left)
  if remains then
    return { 'gone', remains, left }
  end
  return { 'none' }
end

local function gone()
  return absent(redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2]))
end

-- Returns the microseconds that a lease still runs; -1 if it is free.
local function lease(status, length, over)
  if sealed(status) or length == '0' then
    return -1
  end
  return math.max(over - now, 0)
end

-- Returns the microseconds since the seal; -1 before it. A seal is the last that moves the end of the lease.
local function ended(status, length, over)
  if not sealed(status) then
    return -1
  end
  return math.max(now - (over - length), 0)
end

-- Reads the session, or what is left of it under another key.
local function fields(key)
  return redis.call('HMGET', key or KEYS[1], 'digest', 'owner', 'chat', 'service', 'format', 'epochs', 'attempts',
    'tail', 'status', 'abort', 'length', 'over', 'created', 'answers', 'outbox', 'due', 'until')
end

-- Returns the fields of a `SessionState`.
local function state(read)
  local h = read or fields()
  return {
    h[1],
    h[2],
    h[3],
    h[4],
    h[5],
    h[15],
    string.sub(h[6], -16),
    h[7],
    h[8],
    h[9],
    h[10],
    lease(h[9], h[11], h[12]),
    math.max(now - h[13], 0),
    h[14] or 0,
    ended(h[9], h[11], h[12]),
  }
end

-- Leaves a tombstone that the engine drops: the digest and the owner, nothing else.
local function bury(digest, owner, moment)
  redis.call('SET', KEYS[2], digest .. owner, 'PXAT', at(moment))
end

-- Makes the engine drop a sealed session at the end of its retention, and its tombstone at the
-- end of that. An ending in the outbox keeps the session for as long as it may stay there.
local function expire(log, keep, tombstone)
  local of = redis.call('HMGET', KEYS[1], 'digest', 'owner', 'until')
  keep = math.max(keep, tonumber(of[3] or 0))
  if keep <= now then
    redis.call('UNLINK', KEYS[1], log)
  else
    redis.call('PEXPIREAT', KEYS[1], at(keep))
    redis.call('PEXPIREAT', log, at(keep))
  end
  bury(of[1], of[2], keep + tombstone)
end

-- Returns the microseconds until an ending may be taken, which are less than 0 once it may, and until it is dropped;
-- false if none waits.
local function times(due, over)
  over = tonumber(over or 0)
  if over <= now then
    return false, false
  end
  return due - now, over - now
end

-- Returns the key that has the ending which waits for its delivery: the session, or what is left of one that was
-- deleted. Nothing if none waits.
local function waiting(remains)
  for _, key in ipairs({ KEYS[1], remains }) do
    if times(0, redis.call('HGET', key, 'until')) then
      return key
    end
  end
end

-- Moves the time from which an ending may be taken. The first write is one that the engine takes even if its memory is
-- full: the request ends with its ending, as before.
local function move_due(key, request, by)
  redis.call('PEXPIREAT', request, at(redis.call('HGET', key, 'until')))
  redis.call('HSET', key, 'due', digits(now + by))
end

-- Returns the names by which a session is indexed: the owner, the chat, and the service if it has an outbox.
local function names(key)
  local h = redis.call('HMGET', key, 'owner', 'chat', 'service', 'outbox')
  return h[1], h[2], h[4] and h[3]
end
