#!lua flags=no-writes,allow-oom
-- Who is to be looked at by now, the longest due first. KEYS: see index.lua.
-- ARGV: how many to leave out, how many to answer. Answers {id, when, whether it is listed}, ….

local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])
local found = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2],
  'WITHSCORES')
local answer = {}
for i = 1, #found, 2 do
  answer[#answer + 1] = {found[i], found[i + 1], redis.call('HEXISTS', KEYS[3], found[i])}
end
return answer
