-- The rate limit of users where redis-cell is loaded (https://github.com/brandur/redis-cell): same arguments and answers
-- as take.lua, but for ARGV 1: danmaku a second.
local answers = {}
for i, key in ipairs(KEYS) do
    local wished, allowed, wait = tonumber(ARGV[i + 2]), 0, 0
    local asked = wished
    -- It gives all or nothing; what it says is left is asked for once more.
    for _ = 1, 2 do
        if asked <= 0 then break end
        local said = redis.call('CL.THROTTLE', key, ARGV[2] - 1, ARGV[1], 1, asked)
        if said[1] == 0 then
            allowed = asked
            break
        end
        asked, wait = said[3], math.max(said[4] * 1000, 1)
    end
    answers[2 * i - 1], answers[2 * i] = allowed, wait
end
return answers
