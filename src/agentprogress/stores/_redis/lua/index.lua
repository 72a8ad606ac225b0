#!lua flags=allow-oom
-- Hints, in a slot of their own. KEYS: due, a set of ids by the microsecond in which somebody has to
-- look; lives, the same ids by the microsecond in which the session goes; entries, a hash from an id
-- to its names in the order and its ttl; order, a set of those names.
-- ARGV: one line after the other, with times in microseconds from now:
--   live id                                  it lives for its ttl from now, if it is listed
--   look id time                             look then, or sooner where that was planned
--   ends id epoch time                       look then, or sooner; it goes then, if that epoch is listed
--   move id seen time ends                   look then; it goes at `ends`, or if that is empty: live
--   put id seen time ttl epoch name owners   list it, live; look then, if nothing was seen as `look`
--   drop id seen                             forget it
-- `seen` is the time that was found in `due`: nothing is done when there is another one by now. `move`
-- and `put` may come without: empty.

local DUE, LIVES, ENTRIES, ORDER = unpack(KEYS)
-- What is left out by a process that tells of the same session all the time; see _redis/index.py.
local SLACK = 1000000
-- See `linger`.
local MARGIN = 60000000

local clock = redis.call('TIME')
local NOW = clock[1] * 1000000 + clock[2]

local function set(key, id, when)
  redis.call('ZADD', key, string.format('%.0f', when), id)
end

-- Where it was planned sooner it is changed as well: who has read the session before must not correct
-- what hints at something newer.
local function sooner(id, wait)
  local planned = redis.call('ZSCORE', DUE, id)
  set(DUE, id, planned and math.min(planned + 1, NOW + wait) or NOW + wait)
end

local function entry_of(id)
  local entry = redis.call('HGET', ENTRIES, id)
  return entry and cmsgpack.unpack(entry)
end

local function live(id)
  local entry = entry_of(id)
  if entry then
    set(LIVES, id, NOW + entry.ttl)
  end
  return entry
end

-- What is not listed yet can be found for a while after its time by whoever looks.
local function linger(id, wait)
  redis.call('ZADD', LIVES, 'GT', string.format('%.0f', NOW + wait + MARGIN), id)
end

local function unlist(id)
  local entry = entry_of(id)
  if entry then
    redis.call('ZREM', ORDER, unpack(entry.names))
    redis.call('HDEL', ENTRIES, id)
  end
end

local function unchanged(id, seen)
  return seen == '' or redis.call('ZSCORE', DUE, id) == seen
end

-- Each answers how many arguments it has taken.
local act = {
  live = function(id)
    live(id)
    return 1
  end,
  look = function(id, wait)
    sooner(id, wait)
    if not entry_of(id) then
      linger(id, wait)
    end
    return 2
  end,
  ends = function(id, epoch, wait)
    local entry = entry_of(id)
    if not entry then
      sooner(id, wait)
      linger(id, wait)
    elseif entry.epoch == epoch then
      sooner(id, wait)
      set(LIVES, id, NOW + wait)
    end
    return 3
  end,
  move = function(id, seen, wait, ends)
    if unchanged(id, seen) then
      set(DUE, id, NOW + wait)
      if ends ~= '' then
        set(LIVES, id, NOW + ends)
      elseif not live(id) then
        linger(id, wait)
      end
    end
    return 4
  end,
  put = function(id, seen, wait, ttl, epoch, name, owners)
    if unchanged(id, seen) then
      unlist(id)
      if seen == '' then
        sooner(id, wait)
      else
        set(DUE, id, NOW + wait)
      end
      local names = {name}
      if owners ~= '' then
        names[2] = owners
      end
      for _, each in ipairs(names) do
        redis.call('ZADD', ORDER, 0, each)
      end
      redis.call('HSET', ENTRIES, id, cmsgpack.pack({names = names, ttl = ttl, epoch = epoch}))
      live(id)
    end
    return 7
  end,
  drop = function(id, seen)
    if (redis.call('ZSCORE', DUE, id) or '') == seen then
      redis.call('ZREM', DUE, id)
      redis.call('ZREM', LIVES, id)
      unlist(id)
    end
    return 2
  end,
}

local i = 1
while i <= #ARGV do
  i = i + 1 + act[ARGV[i]](unpack(ARGV, i + 1, i + 7))
end

-- The index goes with the session that lives longest, whether or not a process is there to see it.
local last = redis.call('ZRANGE', LIVES, 0, 0, 'REV', 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIREAT', key, string.format('%.0f', (last + SLACK) / 1000))
  end
end
return 1
