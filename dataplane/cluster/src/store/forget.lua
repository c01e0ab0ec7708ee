-- Removes what was said in a slice, and keeps where it stands in the log: whoever applies more goes on from there, and a
-- slice without a place would be taken for one that was lost.
-- KEYS 1 applied, 2 rank, 3 hist, 4 mod
-- ARGV by partition, from 0: the offset from which on nothing may be applied yet; what is belongs to somebody else
-- Gives 1 if it did, 0 if more is applied.
local stored = redis.call('HGETALL', KEYS[1])
local fields = {}
for i = 1, #stored, 2 do fields[stored[i]] = stored[i + 1] end
if fields['p'] then
    local stop = tonumber(ARGV[tonumber(fields['p']) + 1])
    if not stop or tonumber(fields['o']) >= stop then return 0 end
    -- The counts first: keys without counts are no contradiction, should this end in the middle.
    redis.call('HSET', KEYS[1], 'l', '0', 'k', '0', 'x', '', 'c', '0', 'v', '0')
    for field in pairs(fields) do
        -- Danmaku by steps of time.
        if string.match(field, '^h%d+$') then redis.call('HSET', KEYS[1], field, '') end
    end
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
return 1
