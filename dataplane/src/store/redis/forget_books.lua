-- Empties a room's books; who had them has them no more.
-- KEYS 1 books
if redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('HINCRBY', KEYS[1], 'e', 1)
redis.call('HDEL', KEYS[1], 'c')
