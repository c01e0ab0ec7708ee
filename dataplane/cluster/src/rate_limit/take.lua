-- The rate limit of users, by the generic cell rate algorithm (ITU-T I.371): one number a user, the time at which
-- everything that it was allowed would have been due.
-- KEYS one for each user; ARGV 1 µs between two danmaku at the sustained rate, 2 burst, 3… danmaku wished, by user
-- Gives for each user how many are allowed, and ms until one more would be.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local answers = {}
for i, key in ipairs(KEYS) do
    local wished = tonumber(ARGV[i + 2])
    local due = math.max(tonumber(redis.call('GET', key) or now), now)
    local free = math.floor((now + interval * burst - due) / interval)
    local allowed = math.max(math.min(free, wished), 0)
    if allowed > 0 then
        due = due + allowed * interval
        redis.call('SET', key, string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
    end
    local wait = 0
    if allowed < wished then wait = math.max(math.ceil((due + interval - interval * burst - now) / 1000), 1) end
    answers[2 * i - 1], answers[2 * i] = allowed, wait
end
return answers
