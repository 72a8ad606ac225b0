-- Put behind the first line of every script about one session. KEYS are that session's six keys, in
-- this order: all in one slot, so that a script may change them together.

local META, EVENTS, BASE, STATE, RESULT, DETAILS = unpack(KEYS)

-- Microseconds on the server's clock. A number of that size must not be joined to a string as it
-- is: Lua writes 14 digits of it.
local clock = redis.call('TIME')
local NOW = clock[1] * 1000000 + clock[2]

local ENDED = {completed = true, failed = true, cancelled = true, lost = true}

local function int(number)
  return string.format('%.0f', number)
end

-- Given text with a sign before it, so that empty text is not taken for none.
local function given(argument)
  if argument ~= '' then
    return string.sub(argument, 2)
  end
  return nil
end

-- What is known of the session, nil when it is not there.
local function load()
  local found = redis.call('HMGET', META, 'epoch', 'status', 'attempt', 'fence', 'head', 'oldest',
    'owner', 'created', 'ended_at', 'lease', 'stalled', 'bytes', 'ttl', 'gone_at')
  if not found[1] then
    return nil
  end
  local meta = {
    epoch = found[1], status = found[2], attempt = tonumber(found[3]), fence = tonumber(found[4]),
    head = tonumber(found[5]), oldest = tonumber(found[6]), owner = found[7], created = found[8],
    ended_at = found[9], lease = found[10], stalled = found[11] or '',
    bytes = tonumber(found[12]), ttl = tonumber(found[13]), gone_at = tonumber(found[14] or 0),
  }
  meta.ended = ENDED[meta.status] or false
  meta.gone = meta.ended and NOW >= meta.gone_at
  if meta.gone or (meta.ended and redis.call('EXISTS', EVENTS) == 0) then
    meta.oldest = meta.head + 1
  end
  return meta
end

-- What is told of it, in the order in which _redis/replies.py reads it. Most of it in one text: a
-- client takes longer over many small answers. Only the last part of that may be anything.
local function told(meta, details)
  local left = meta.lease and int(meta.lease - NOW) or ''
  local lives = meta.ended and math.ceil((meta.gone_at - NOW) / 1000) or redis.call('PTTL', META)
  local about = table.concat({
    meta.epoch, meta.status, int(meta.attempt), int(meta.fence), int(meta.head), int(meta.oldest),
    meta.created, meta.ended_at or '', left, meta.gone and '1' or '0', meta.lease or '',
    int(lives), int(meta.ttl), meta.stalled,
  }, '\n')
  return {about, meta.owner, details or ''}
end

-- Whether all that a running session has is what the meta says. It is not where somebody has
-- deleted keys.
local function whole(meta)
  return redis.call('XLEN', EVENTS) == meta.head - meta.oldest + 1
    and redis.call('EXISTS', BASE, DETAILS) == (meta.oldest == 1 and 1 or 2)
end

-- A session that has not ended lives on from now.
local function touch(ttl)
  redis.call('PEXPIRE', META, ttl)
  redis.call('PEXPIRE', EVENTS, ttl)
  redis.call('PEXPIRE', BASE, ttl)
  redis.call('PEXPIRE', DETAILS, ttl)
end

-- Wakes whoever listens, in the moment in which the change can be seen. With the cursor of the head
-- where there are new events; without where something else is news, so that nobody takes it for
-- events that they have.
local function wake(channel, cursor)
  redis.call('PUBLISH', channel, cursor)
end
