#!lua flags=no-writes,allow-oom
-- What is known of a session. ARGV: whether the details too, "1" or "0".

local meta = load()
if not meta then
  return false
end
return told(meta, ARGV[1] == '1' and redis.call('GET', DETAILS))
