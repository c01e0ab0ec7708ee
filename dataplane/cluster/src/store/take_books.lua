-- Raises the epoch of a room's books; gives them.
-- KEYS 1 books
redis.call('HINCRBY', KEYS[1], 'e', 1)
return redis.call('HMGET', KEYS[1], 'e', 'c', 'w')
