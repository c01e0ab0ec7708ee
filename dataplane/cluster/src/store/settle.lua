-- A partition's part of a lost hash slot has been filled again.
-- KEYS 1 the marker; ARGV 1 which loss, 2 the partition's field
if redis.call('HGET', KEYS[1], 'lost') == ARGV[1] then redis.call('HSET', KEYS[1], ARGV[2], ARGV[1]) end
return 1
