-- Applies records of one slice, all of them or none: scores, a block of history, counts, the applied position.
--
-- KEYS  1 applied, 2 rank, 3 hist, 4 the marker of their hash slot, 5 mod
-- ARGV  1 "1" when the slice is being filled again from the log's start
--       2 epoch of the caller's ownership
--       3 the partition that the records stand in
--       4 offset that has to be the last applied one, -1 for none; "" when the caller does not know
--       5 "1" when the caller has applied something of the slice before
--       6 offset of the last record
--       7 danmaku to keep, 8 ms to keep them, "" for ever
--       9 danmaku, 10 receipt time of the last, 11 their block
--       12 what moderation comes to with these records, "" as before; 13 the version of it that this was made from
--       14 danmaku by steps of time: lines of place in the ring, step, danmaku
--       15… for each user: member of rank, points
-- Gives {"ok"}, {"lost"}, {"fenced", epoch}, {"at", offset}, {"elsewhere", partition}, {"moved"}.
local applied, rank, hist, mod = KEYS[1], KEYS[2], KEYS[3], KEYS[5]
local rebuilding, expects = ARGV[1] == '1', ARGV[5] == '1'
local epoch, partition, last = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[6]
local length, age, rows = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local mark = redis.call('HMGET', KEYS[4], 'laid', 'lost', 'p' .. ARGV[3])
if not mark[1] and not mark[2] then return {'lost'} end
if mark[2] and mark[2] ~= mark[3] and not rebuilding then return {'lost'} end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stored = redis.pcall('HMGET', applied, 'm', 'p', 'o', 'e', 'l', 'k', 'x', 'c', 'v')
local kinds = {redis.call('TYPE', rank).ok, redis.call('TYPE', hist).ok, redis.call('TYPE', mod).ok}
local has_rank, has_hist, has_mod = kinds[1] == 'zset', kinds[2] == 'stream', kinds[3] == 'string'
-- Somebody has put something else where a key of the slice was: that is gone, too.
local foreign = stored.err or not (has_rank or kinds[1] == 'none') or not (has_hist or kinds[2] == 'none')
    or not (has_mod or kinds[3] == 'none')
if stored.err then stored = {} end
local logged, kept = tonumber(stored[5] or 0), tonumber(stored[6] or 0)
local checked, version = tonumber(stored[8] or 0), tonumber(stored[9] or 0)

-- What belongs together is not all there: somebody evicted or deleted a key. History that was due to expire is no loss;
-- 10 s are more than the clocks of a master and its replica may differ.
local gone
if stored[1] then
    local expired = stored[7] ~= '' and now >= tonumber(stored[7] or 0) - 10000
    gone = (logged > 0 and not has_rank) or (kept > 0 and not has_hist and not expired) or (version > 0 and not has_mod)
    if not has_hist then kept = 0 end
else
    gone = expects or has_rank or has_hist or has_mod
end
if gone or foreign then
    if expects or not rebuilding then return {'lost'} end
    redis.call('DEL', applied, rank, hist, mod)
    stored, logged, kept, checked, version = {}, 0, 0, 0, 0
end

if stored[1] then
    -- How often the slice had moved to another partition: what an earlier version wrote of such a slice is not read here.
    if stored[1] ~= '0' then return {'moved'} end
    if tonumber(stored[4]) > epoch then return {'fenced', stored[4]} end
    if tonumber(stored[4]) < epoch then redis.call('HSET', applied, 'e', ARGV[2]) end
    if stored[3] ~= '-1' and tonumber(stored[2]) ~= partition then return {'elsewhere', stored[2]} end
    if stored[3] ~= ARGV[4] then return {'at', stored[3]} end
end

-- Somebody has changed it since it was read.
if ARGV[12] ~= '' and tonumber(ARGV[13]) ~= version then return {'at', stored[3] or '-1'} end

-- Removes the oldest blocks, once a tenth more than the length is kept, and those that are too old.
local function trim()
    local over = kept > length + length / 10
    local from, keep, done = '-', nil, false
    while not done do
        local entries = redis.call('XRANGE', hist, from, '+', 'COUNT', 32)
        for _, entry in ipairs(entries) do
            local n, t = tonumber(entry[2][2]), tonumber(entry[2][4])
            if not ((over and kept - n >= length) or (age and t < now - age)) then
                keep, done = entry[1], true
                break
            end
            kept = kept - n
            from = '(' .. entry[1]
        end
        done = done or #entries < 32
    end
    if not keep then
        redis.call('DEL', hist)
        kept = 0
    elseif from ~= '-' then
        redis.call('XTRIM', hist, 'MINID', '=', keep)
    end
end

if rows > 0 then
    -- The second half is the offset after the last record: 0-0 is no ID, and the first offset is 0.
    local id = string.format('0-%.0f', tonumber(last) + 1)
    -- A failing script keeps what it has written. This is what refuses a second time, so it comes before the scores.
    redis.call('XADD', hist, id, 'n', ARGV[9], 't', ARGV[10], 'p', ARGV[3], 'b', ARGV[11])
    for i = 15, #ARGV, 2 do redis.call('ZINCRBY', rank, ARGV[i + 1], ARGV[i]) end
    logged, kept = logged + rows, kept + rows
    -- Reading the oldest block costs something: for age, once a second.
    if kept > length + length / 10 or (age and now - checked >= 1000) then
        trim()
        checked = now
    end
end
if ARGV[12] ~= '' then
    redis.call('SET', mod, ARGV[12])
    version = version + 1
end
local expires = ''
if age then
    redis.call('PEXPIRE', hist, ARGV[8])
    expires = string.format('%.0f', now + age)
else
    redis.call('PERSIST', hist)
end

local counts = {'l', string.format('%.0f', logged), 'k', string.format('%.0f', kept), 'x', expires,
    'c', string.format('%.0f', checked), 'v', string.format('%.0f', version)}
for place, step, danmaku in string.gmatch(ARGV[14], '(%d+) (-?%d+) (%d+)') do
    local known, sum = string.match(redis.call('HGET', applied, 'h' .. place) or '', '^(-?%d+):(%d+)$')
    -- What is older than the step that has the place now is late by a whole round.
    if not known or tonumber(known) <= tonumber(step) then
        if known == step then danmaku = string.format('%.0f', danmaku + sum) end
        counts[#counts + 1], counts[#counts + 2] = 'h' .. place, step .. ':' .. danmaku
    end
end
redis.call('HSET', applied, 'm', '0', 'p', ARGV[3], 'o', last, 'e', ARGV[2], unpack(counts))
return {'ok'}
