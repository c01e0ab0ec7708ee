-- Raises the epoch of a room's ledger; gives it.
-- KEYS 1 ledger
redis.call('HINCRBY', KEYS[1], 'e', 1)
return redis.call('HMGET', KEYS[1], 'e', 'c', 'w')
