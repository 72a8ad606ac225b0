#!lua flags=allow-oom
-- An owner's proof of life. ARGV: channel, epoch, fence, ttl (microseconds), stalled.
-- Answers 1, or 0 when it is another's, or not running.

local channel, epoch, fence, ttl, stalled = unpack(ARGV)
local meta = load()
if not meta or meta.epoch ~= epoch or meta.fence ~= tonumber(fence) or meta.status ~= 'running' then
  return 0
end
redis.call('HSET', META, 'lease', int(NOW + ttl), 'stalled', stalled)
touch(meta.ttl)
if stalled ~= meta.stalled then
  wake(channel, '')
end
return 1
