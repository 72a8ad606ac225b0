#!lua flags=allow-oom
-- Leaves a tombstone of an ended session. ARGV: channel, its ttl (milliseconds). Answers its epoch, or
-- nothing when none has ended.

local channel, ttl = unpack(ARGV)
local meta = load()
if not meta or not meta.ended or meta.gone then
  return false
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
return meta.epoch
