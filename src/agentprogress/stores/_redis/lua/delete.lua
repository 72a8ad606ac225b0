#!lua flags=allow-oom
-- Leaves a tombstone of an ended session. ARGV: channel, its ttl (milliseconds). Answers 1 or 0.

local channel, ttl = unpack(ARGV)
local meta = load()
if not meta or not meta.ended or meta.gone then
  return 0
end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', META, 'epoch', meta.epoch, 'status', meta.status, 'attempt', meta.attempt,
  'fence', int(meta.fence), 'head', int(meta.head), 'oldest', int(meta.head + 1), 'bytes', 0,
  'created', meta.created, 'ended_at', meta.ended_at, 'ttl', ttl)
if meta.owner then
  redis.call('HSET', META, 'owner', meta.owner)
end
redis.call('PEXPIRE', META, ttl)
wake(channel, '')
return 1
