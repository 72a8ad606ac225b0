#!lua flags=no-writes,allow-oom
-- What is known of a session. ARGV: the states in which the details are wanted too, as `only` of an
-- append.

local meta = load()
if not meta then
  return false
end
local wanted = string.find(ARGV[1], ' ' .. meta.status .. ' ', 1, true)
return told(meta, wanted and not meta.gone and redis.call('GET', DETAILS))
