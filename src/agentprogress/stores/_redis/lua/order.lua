#!lua flags=no-writes,allow-oom
-- Who was created in which order. KEYS: see index.lua. ARGV: the first and
-- the last name that may be answered, as ZRANGE takes them; how many.

return redis.call('ZRANGE', KEYS[4], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
