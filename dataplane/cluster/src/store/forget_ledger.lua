-- Empties a room's ledger; who had it has it no more.
-- KEYS 1 ledger; ARGV 1 the counts of nothing
if redis.call('HEXISTS', KEYS[1], 'e') == 0 then return end
redis.call('HINCRBY', KEYS[1], 'e', 1)
redis.call('HSET', KEYS[1], 'c', ARGV[1])
