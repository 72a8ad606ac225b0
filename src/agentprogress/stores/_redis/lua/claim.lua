#!lua
-- An owner's beginning. ARGV: channel; what is expected, "epoch fence status" or empty; epoch,
-- status, attempt, fence, =owner, created; lease (microseconds, or empty), ttl (milliseconds);
-- base_seq, base, details; 1 where the lease must have run out. Answers 1, or 0 when something else is there.

local channel, expected, epoch, status, attempt, fence, owner, created = unpack(ARGV, 1, 8)
local lease, ttl, base_seq, base, details, lapsed = unpack(ARGV, 9, 14)

local meta = load()
local there = ''
if meta then
  there = meta.epoch .. ' ' .. int(meta.fence) .. ' ' .. meta.status
end
if there ~= expected or (lapsed == '1' and not (meta.lease and NOW - meta.lease >= 0)) then
  return 0
end

if meta and meta.epoch == epoch then
  -- Nothing follows an end in its epoch.
  if meta.ended then
    return 0
  end
  redis.call('HDEL', META, 'owner', 'lease', 'stalled')
else
  redis.call('DEL', unpack(KEYS))
  redis.call('HSET', META, 'epoch', epoch, 'head', base_seq, 'oldest', int(base_seq + 1),
    'bytes', 0)
  if base_seq ~= '0' then
    redis.call('SET', BASE, base)
  end
end
redis.call('HSET', META, 'status', status, 'attempt', attempt, 'fence', fence,
  'created', created, 'ttl', ttl)
if owner ~= '' then
  redis.call('HSET', META, 'owner', given(owner))
end
if lease ~= '' then
  redis.call('HSET', META, 'lease', int(NOW + lease))
end
redis.call('SET', DETAILS, details)
touch(ttl)
wake(channel, '')
return 1
