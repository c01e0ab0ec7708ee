-- Saves a room's ledger unless somebody has taken it over under a higher epoch; gives 1 if it did.
-- KEYS 1 ledger; ARGV 1 epoch, 2 counts, 3 watermark
if tonumber(redis.call('HGET', KEYS[1], 'e') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'c', ARGV[2], 'w', ARGV[3])
return 1
