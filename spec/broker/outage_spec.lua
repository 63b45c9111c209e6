--- An hour without a broker, in twenty seconds: first it answers nothing, then it is dead, and the
-- times that clients have for something are shorter in proportion. Those who write are held back,
-- and when it comes back everything arrives.
local broker = require "support.broker"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

local HALF = 10 -- seconds
local PARTITIONS = 2
local MB = 2 ^ 20 -- bytes
local ENOUGH = 1000 -- messages that have come: they flow
-- What a writer may have on its way: 2 MB in librdkafka's queue, what is being disposed of (1000) and
-- what was emitted at once (20).
local ON_ITS_WAY = 2 * MB / 500 + 1020

-- By default 60 s, 10 s, 45 s, and 60 s for a transaction: less than its 2 s is too short for a busy
-- machine.
local SETTINGS = [[
local tw = require "tideway"
local brokers, group, from, to = unpack(arg)
local client = {["socket.timeout.ms"] = 500, ["reconnect.backoff.max.ms"] = 100}
local function conf(more)
  local all = {}
  for name, value in pairs(client) do all[name] = value end
  for name, value in pairs(more) do all[name] = value end
  return all
end
local member = {["session.timeout.ms"] = 1500, ["heartbeat.interval.ms"] = 150, ["fetch.wait.max.ms"] = 50}
local function partition(x) return x.partition end
]]

-- Writes 1, 2 ... until it is stopped, and says after each few how many they were.
local function writer(policy, timeout)
  return pipeline.script(SETTINGS .. ([[
local n, zeros = 0, ("0"):rep(500)
tw.from_periodic(function()
    local list = {}
    for i = 1, 20 do list[i] = n + i end
    n = n + 20
    io.stdout:write(n, "\n")
    io.stdout:flush()
    return list
  end, "5ms")
  :on_error(%s):flatten()
  :to_kafka{topic = to, brokers = brokers, value = function(x) return zeros .. x end,
    partition = function(x) return x %% 2 end,
    conf = conf{["queue.buffering.max.kbytes"] = 2048, ["message.timeout.ms"] = %d}}
tw.run()
]]):format(policy, timeout))
end

local patient = writer('"raise"', 0) -- records have no time limit
local stubborn = writer('{retry = 1000, backoff = "50ms"}', 2500) -- by default 300 s

local at_least_once = pipeline.script(SETTINGS .. [[
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms",
    conf = conf(member)}
  :to_kafka{topic = to, brokers = brokers, partition = partition, conf = conf{["message.timeout.ms"] = 0}}
tw.run()
]])

local exactly_once = pipeline.script(SETTINGS .. [[
member["transaction.timeout.ms"], member["message.timeout.ms"] = 2000, 2000
tw.exactly_once{topics = from, brokers = brokers, group = group, full = true, conf = conf(member)}
  :to_kafka{topic = to, partition = partition}
tw.run()
]])

-- The programs that run, and where they write -------------------------------------------------------

local programs, topics

local function size(topic)
  local ok, ranges = pcall(broker.offsets, topic)
  local sum = 0
  for _, range in ipairs(ok and ranges or {}) do sum = sum + range[2] end
  return sum
end

local function start(name, script)
  programs[name] = script(name .. "-" .. topics.patient, topics.patient, topics[name])
end

--- All run. A transaction that was open for too long is aborted by the broker, and its producer shut
-- out: that run is over and says so, the next one goes on.
local function look_after()
  for name, one in pairs(programs) do
    if name == "once" and not one:running() then
      local status, _, err = one:wait()
      assert.equal(1, status)
      assert.matches("exactly_once: ", err, 1, true)
      start(name, exactly_once)
    else
      assert.is_true(one:running(), name .. " has ended: " .. one:errors())
    end
  end
end

local function flow()
  local before = {}
  for name, topic in pairs(topics) do before[name] = size(topic) end
  for name, topic in pairs(topics) do
    process.eventually(name .. " goes on", function()
      look_after()
      return size(topic) > before[name] + ENOUGH
    end, 60)
  end
end

--- Stop one in order. Returns what it has written.
local function stop(name)
  local status, out, err = programs[name]:signal("TERM"):wait(60)
  assert.equal(0, status, err)
  programs[name] = nil
  return out
end

local function emitted(one) return tonumber(one:output():match "(%d+)\n$") or 0 end

local function resident(one)
  local file = assert(io.open(("/proc/%d/statm"):format(one.pid)))
  local pages = tonumber(file:read("*a"):match "%d+ (%d+)")
  file:close()
  return pages * 4096 / MB
end

--- name -> what fn says of its program
local function each(fn)
  local all = {}
  for name, one in pairs(programs) do all[name] = one:running() and fn(one) or nil end
  return all
end

-- What has come ---------------------------------------------------------------------------------------

--- By partition the numbers of a topic, as they came.
local function numbers(topic)
  local lists = pipeline.lists(topic, { committed = true })
  for _, list in ipairs(lists) do
    for i, value in ipairs(list) do list[i] = value:gsub("^0+", "") end
  end
  return lists
end

--- 1 .. n by partition, as the writers divide them.
local function divided(n)
  local lists = {}
  for p = 1, PARTITIONS do lists[p] = {} end
  for i = 1, n do table.insert(lists[i % PARTITIONS + 1], tostring(i)) end
  return lists
end

local function in_order(lists)
  for _, list in ipairs(lists) do
    table.sort(list, function(a, b) return tonumber(a) < tonumber(b) end)
  end
  return lists
end

describe("an hour's outage", function()
  before_each(function()
    programs, topics = {}, {}
    for _, name in ipairs { "patient", "stubborn", "plain", "once" } do topics[name] = broker.topic(PARTITIONS) end
  end)
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  local function outage()
    local count, memory = each(emitted), each(resident)
    broker.signal "STOP"
    process.sleep(HALF)
    local count_half, memory_half = each(emitted), each(resident)
    broker.kill()
    process.sleep(HALF)
    local count_whole, memory_whole = each(emitted), each(resident)
    broker.start()
    for name, last in pairs(memory_whole) do
      local text = ("%s: %d emitted before, %d at half time, %d at last; %.1f MB, %.1f MB, %.1f MB"):format(name,
        count[name], count_half[name], count_whole[name], memory[name], memory_half[name], last)
      assert.is_true(count_whole[name] - count[name] <= 2 * ON_ITS_WAY, text)
      assert.is_true(count_whole[name] - count_half[name] <= 1000, text)
      assert.is_true(last <= memory[name] + 48 and last <= memory_half[name] + 16, text)
    end
  end

  it("holds writers back in bounded memory, and then nothing is missing", function()
    start("patient", patient)
    start("stubborn", stubborn)
    start("plain", at_least_once)
    start("once", exactly_once)
    flow()
    outage()
    flow()

    local wanted = divided(tonumber(stop("patient"):match "(%d+)\n$"))
    assert.is_nil(pipeline.difference(wanted, numbers(topics.patient)), "patient")
    local all = divided(tonumber(stop("stubborn"):match "(%d+)\n$"))
    local got = pipeline.first(numbers(topics.stubborn)) -- what timed out was sent again, later
    assert.is_nil(pipeline.difference(all, in_order(got)), "stubborn")
    for _, name in ipairs { "plain", "once" } do
      process.eventually(name .. " has committed everything", function()
        look_after()
        return pcall(pipeline.committed, name .. "-" .. topics.patient, topics.patient, 1)
      end, 60)
      stop(name)
    end
    assert.is_nil(pipeline.difference(wanted, (pipeline.first(numbers(topics.plain)))), "plain")
    assert.is_nil(pipeline.difference(wanted, numbers(topics.once)), "once")
  end)
end)
