#!lua
-- Events into one log, all or none. ARGV: see _redis/keys.py, `packed_append`, then the entries.
-- Answers {1, first, head, repeated, mark}, or {0, why, what is known}.

local FIRST_ENTRY = 23
local channel, epoch, known_head, fence, producer, producer_seq, once, mark = unpack(ARGV, 1, 8)
local only, at_head, status, lease, max_events, max_bytes, details = unpack(ARGV, 9, 15)
local ended_at, history_ttl, result_ttl, ttl, result, state, lapsed = unpack(ARGV, 16, 22)
producer, once, details, result = given(producer), given(once), given(details), given(result)
fence = tonumber(fence)
mark = once and mark or ''

local meta = load()
if not meta then
  return {0, 'unknown'}
end

local function refused(why)
  return {0, why, told(meta)}
end

local function repeated(first, kept)
  return {1, first, meta.head, 1, kept}
end

if meta.gone then
  return refused('unknown')
end
if meta.epoch ~= epoch then
  return refused('epoch')
end
-- Before the other refusals: what has been done has been done, whoever owns the session by now.
local last = producer and redis.call('HGET', META, 'p:' .. producer)
if last then
  local seq, first, kept = string.match(last, '^(%d+) (%d+) (.*)$')
  if tonumber(producer_seq) == tonumber(seq) then
    return repeated(tonumber(first), kept)
  elseif tonumber(producer_seq) < tonumber(seq) then
    -- Where an earlier one lies is not remembered.
    return repeated(0, '')
  end
end
local before = once and redis.call('HGET', META, 'o:' .. once)
if before then
  local first, kept = string.match(before, '^(%d+) (.*)$')
  return repeated(tonumber(first), kept)
end

if fence and fence < meta.fence then
  return refused('fenced')
end
-- A newer fence than the store has: it lost the claim. A log that is not whole: somebody has
-- deleted keys.
if tonumber(known_head) > meta.head or (fence and fence > meta.fence)
  or not (meta.ended or whole(meta)) then
  return refused('behind')
end

if meta.ended then
  return refused('ended')
end
if only ~= '' and not string.find(only, ' ' .. meta.status .. ' ', 1, true) then
  return refused('status')
end
if lapsed ~= '' and not (meta.lease and NOW - meta.lease >= tonumber(lapsed)) then
  return refused('status')
end
if at_head ~= '' and tonumber(at_head) ~= meta.head then
  return refused('moved')
end

if (max_events ~= '' and meta.head - meta.oldest + 1 > tonumber(max_events))
  or (max_bytes ~= '' and meta.bytes > tonumber(max_bytes)) then
  return refused('full')
end

local first, head, bytes = meta.head + 1, meta.head, meta.bytes
for i = FIRST_ENTRY, #ARGV do
  head = head + 1
  bytes = bytes + #ARGV[i]
  redis.call('XADD', EVENTS, int(head) .. '-0', 'e', ARGV[i])
end
local set = {'head', int(head), 'bytes', int(bytes)}
local function put(field, value)
  set[#set + 1] = field
  set[#set + 1] = value
end
if producer then
  put('p:' .. producer, producer_seq .. ' ' .. int(first) .. ' ' .. mark)
end
if once then
  put('o:' .. once, int(first) .. ' ' .. mark)
end
if status ~= '' then
  put('status', status)
end
if lease == '0' or ended_at ~= '' then
  redis.call('HDEL', META, 'lease', 'stalled')
elseif lease ~= '' then
  put('lease', int(NOW + lease))
  put('stalled', '')
end
-- From then on only the tombstone is left; no key goes before the meta says so.
local gone_at = NOW + result_ttl * 1000
if ended_at ~= '' then
  put('ended_at', ended_at)
  put('gone_at', int(gone_at))
end
redis.call('HSET', META, unpack(set))
if details then
  redis.call('SET', DETAILS, details)
end

if ended_at == '' then
  touch(meta.ttl)
else
  local milliseconds = int(math.ceil(gone_at / 1000))
  redis.call('SET', STATE, state, 'PXAT', milliseconds)
  if result then
    redis.call('SET', RESULT, result, 'PXAT', milliseconds)
  end
  redis.call('PEXPIREAT', DETAILS, milliseconds)
  redis.call('PEXPIRE', EVENTS, history_ttl)
  redis.call('PEXPIRE', BASE, history_ttl)
  redis.call('PEXPIRE', META, ttl)
end
wake(channel, head >= first and epoch .. '-' .. int(head) or '')
return {1, first, head, 0, mark}
