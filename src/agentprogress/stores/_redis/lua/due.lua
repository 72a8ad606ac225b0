#!lua flags=no-writes,allow-oom
-- Whose time has come, the longest ago first. KEYS: see index.lua. ARGV: which time, 1 when to look or
-- 2 when they go; how many to leave out, how many to answer. Answers {id, when to look, whether it is
-- listed}, ….

local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000000 + clock[2])
local found = redis.call('ZRANGE', KEYS[tonumber(ARGV[1])], '-inf', now, 'BYSCORE', 'LIMIT', ARGV[2],
  ARGV[3])
local answer = {}
for i, id in ipairs(found) do
  answer[i] = {id, redis.call('ZSCORE', KEYS[1], id), redis.call('HEXISTS', KEYS[3], id)}
end
return answer
