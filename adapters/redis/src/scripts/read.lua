-- KEYS: session, tombstone, log
-- ARGV: LSN of the position, whether it has a tag, bytes, entries, the most bytes of the reply
-- Replies with the bytes of the page alone if there are more: the caller then asks for so many.
local h = redis.call('HMGET', KEYS[1], 'epochs', 'tail')
if not h[1] then
  return gone()
end
local after = tonumber(ARGV[1])
if after > tonumber(h[2]) then
  return { 'rewound', h[2] }
end
-- An entry's id is the last LSN in it and the counter of the epoch that wrote it.
local author = false
if ARGV[2] == '1' and after > 0 then
  local entry = redis.call('XRANGE', KEYS[3], digits(after), '+', 'COUNT', 1)[1]
  author = entry and entry[1]
end
local ids, records = {}, {}
local bytes, count, step = 0, 0, 16
local most_bytes, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local from = digits(after + 1)
while bytes < most_bytes and count < most do
  local part = redis.call('XRANGE', KEYS[3], from, '+', 'COUNT', step)
  for _, entry in ipairs(part) do
    local piece = entry[2][2]
    count = count + 1
    ids[count], records[count] = entry[1], piece
    bytes = bytes + #piece
    if bytes >= most_bytes then
      break
    end
  end
  if #part < step then
    break
  end
  from = '(' .. part[#part][1]
  step = math.min(step * 2, 256)
end
-- A page has at least one record, whatever the limit.
if count == 0 then
  local entry = redis.call('XRANGE', KEYS[3], from, '+', 'COUNT', 1)[1]
  if entry then
    ids[1], records[1] = entry[1], entry[2][2]
    bytes = #records[1]
  end
end
if bytes > tonumber(ARGV[5]) then
  return { 'bytes', bytes }
end
return { 'ok', state(), h[1], author, ids, records }
