-- What is known of the loss of a hash slot; a marker that is missing says so from now on.
-- KEYS 1 the marker; ARGV 1 what the loss is called if it is new
-- Gives the marker's fields, or nothing when all is well.
if redis.call('HEXISTS', KEYS[1], 'lost') == 0 then
    if redis.call('HEXISTS', KEYS[1], 'laid') == 1 then return {} end
    redis.call('HSET', KEYS[1], 'lost', ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
