-- Removes what was said in a slice, and keeps where it stands in the log: whoever applies more goes on from there, and a
-- slice without a place would be taken for one that was lost.
-- KEYS 1 applied, 2 rank, 3 hist, 4 mod
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
local fields = redis.call('HKEYS', KEYS[1])
if #fields == 0 then return end
for _, field in ipairs(fields) do
    -- Danmaku by steps of time.
    if string.match(field, '^h%d+$') then redis.call('HDEL', KEYS[1], field) end
end
redis.call('HSET', KEYS[1], 'l', '0', 'k', '0', 'x', '', 'c', '0', 'v', '0')
