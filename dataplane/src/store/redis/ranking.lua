-- The best of a slice, and what they include, as of one moment.
-- KEYS 1 applied, 2 rank; ARGV 1 how many
local at = redis.call('HMGET', KEYS[1], 'p', 'o')
return {at, redis.call('ZREVRANGE', KEYS[2], 0, ARGV[1] - 1, 'WITHSCORES')}
