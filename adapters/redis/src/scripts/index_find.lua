-- Replies with the score of a session's entry in a scope, or nothing.
-- KEYS: the sets of a scope
-- ARGV: id
local _, score = find(ARGV[1])
return { score or false }
