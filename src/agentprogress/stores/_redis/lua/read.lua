#!lua flags=no-writes,allow-oom
-- A log after a position. ARGV: its epoch, empty for none; its seq.
-- Answers {what is known, the first entry's seq, the base, the entries}.

local meta = load()
if not meta then
  return false
end
local about = told(meta, not meta.gone and redis.call('GET', DETAILS))
if meta.gone then
  return {about, meta.head + 1, false, {}}
end
local seq = tonumber(ARGV[2])
local on = ARGV[1] == meta.epoch and seq >= meta.oldest - 1 and seq <= meta.head
local first = on and seq + 1 or meta.oldest
local base = false
if not on and first > 1 then
  local past = meta.ended and redis.call('EXISTS', EVENTS) == 0
  base = redis.call('GET', past and STATE or BASE)
  if not base then
    return false
  end
end
local entries = {}
if first <= meta.head then
  local found = redis.call('XRANGE', EVENTS, int(first) .. '-0', '+')
  for i = 1, #found do
    entries[i] = found[i][2][2]
  end
end
-- Never a hole: where somebody has deleted events, there is no log to read.
if #entries ~= meta.head - first + 1 then
  return false
end
return {about, first, base, entries}
