#!lua flags=no-writes,allow-oom
-- The encoded result, while it is kept.

return redis.call('GET', RESULT)
