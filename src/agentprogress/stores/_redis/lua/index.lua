#!lua flags=allow-oom
-- Hints, in a slot of their own. KEYS: due, a set of ids by the microsecond in which somebody has to
-- look; lives, the same ids by the microsecond in which the session goes; entries, a hash from an id
-- to its names in the order and its ttl; order, a set of those names.
-- ARGV: one line after the other, with times in microseconds from now:
--   live id                               it lives for its ttl from now, if it is listed
--   look id time                          look then, or sooner where that was planned
--   move id seen time ends                look then; it goes at `ends`, or if that is empty: live
--   put id seen time ttl name owners      look then, list it, live
--   drop id seen                          forget it
-- Where `seen` is not empty, it is the time that was found in `due`: nothing is done when there is
-- another one by now.

local DUE, LIVES, ENTRIES, ORDER = unpack(KEYS)
-- What is left out by a process that tells of the same session all the time; see _redis/index.py.
local SLACK = 1000000
-- For so long after its time, what is not listed yet can be found by whoever looks.
local MARGIN = 60000000

local clock = redis.call('TIME')
local NOW = clock[1] * 1000000 + clock[2]

local function at(key, id, wait, how)
  local when = string.format('%.0f', NOW + wait)
  if how then
    redis.call('ZADD', key, how, when, id)
  else
    redis.call('ZADD', key, when, id)
  end
end

local function entry_of(id)
  local entry = redis.call('HGET', ENTRIES, id)
  return entry and cmsgpack.unpack(entry)
end

local function live(id)
  local entry = entry_of(id)
  if entry then
    at(LIVES, id, entry.ttl)
  end
  return entry
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
    at(DUE, id, wait, 'LT')
    if not entry_of(id) then
      at(LIVES, id, wait + MARGIN, 'GT')
    end
    return 2
  end,
  move = function(id, seen, wait, ends)
    if unchanged(id, seen) then
      at(DUE, id, wait)
      if ends ~= '' then
        at(LIVES, id, ends)
      elseif not live(id) then
        at(LIVES, id, wait + MARGIN, 'GT')
      end
    end
    return 4
  end,
  put = function(id, seen, wait, ttl, name, owners)
    if unchanged(id, seen) then
      unlist(id)
      at(DUE, id, wait)
      local names = {name}
      if owners ~= '' then
        names[2] = owners
      end
      for _, each in ipairs(names) do
        redis.call('ZADD', ORDER, 0, each)
      end
      redis.call('HSET', ENTRIES, id, cmsgpack.pack({names = names, ttl = ttl}))
      live(id)
    end
    return 6
  end,
  drop = function(id, seen)
    if unchanged(id, seen) then
      redis.call('ZREM', DUE, id)
      redis.call('ZREM', LIVES, id)
      unlist(id)
    end
    return 2
  end,
}

local i = 1
while i <= #ARGV do
  i = i + 1 + act[ARGV[i]](unpack(ARGV, i + 1, i + 6))
end

-- The index goes with the session that lives longest, whether or not a process is there to see it.
local last = redis.call('ZRANGE', LIVES, 0, 0, 'REV', 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIREAT', key, string.format('%.0f', (last + SLACK) / 1000))
  end
end
return 1
