#!lua flags=allow-oom
-- An owner's cut. ARGV: epoch, fence, seq, base. Answers 1, or 0 when nothing is cut.

local epoch, fence, seq, base = unpack(ARGV)
local meta = load()
seq = tonumber(seq)
if not meta or meta.gone or meta.epoch ~= epoch or meta.fence ~= tonumber(fence)
  or seq < meta.oldest or seq > meta.head then
  return 0
end

-- The sizes of what goes are not kept anywhere else.
local bytes = meta.bytes
local cut = redis.call('XRANGE', EVENTS, '-', int(seq) .. '-0')
for i = 1, #cut do
  bytes = bytes - #cut[i][2][2]
end
redis.call('XTRIM', EVENTS, 'MINID', int(seq + 1) .. '-0')
redis.call('SET', BASE, base)
redis.call('HSET', META, 'oldest', int(seq + 1), 'bytes', int(bytes))
if meta.ended then
  redis.call('PEXPIRE', BASE, redis.call('PTTL', EVENTS))
else
  touch(meta.ttl)
end
return 1
