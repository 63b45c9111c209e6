--- kill -9 of members at random moments, while numbers flow through them: at-least-once loses
-- nothing, exactly once shows each record once. TIDEWAY_KILLS=100 kills as often (default 9).
local broker = require "support.broker"
local helper = require "helper"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

local KILLS = tonumber(os.getenv "TIDEWAY_KILLS") or 9
local MEMBERS, PARTITIONS = 3, 6
local SLOWEST = 2.5 -- seconds from one kill to the next

-- librdkafka may wait a second before it joins anew, without a heartbeat.
local CONF = [[
local conf = {["session.timeout.ms"] = 2000, ["heartbeat.interval.ms"] = 100,
  ["partition.assignment.strategy"] = strategy}
local function partition(x) return x.partition end
]]

local at_least_once = pipeline.script([[
local tw = require "tideway"
local brokers, _, group, from, to, strategy = unpack(arg)
]] .. CONF .. [[
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "50ms", conf = conf}
  :to_kafka{topic = to, brokers = brokers, partition = partition}
tw.run()
]])

local exactly_once = pipeline.script([[
local tw = require "tideway"
local brokers, id, group, from, to, strategy = unpack(arg)
]] .. CONF .. [[
tw.exactly_once{topics = from, brokers = brokers, group = group, transactional_id = group .. id, full = true,
    commit_interval = "50ms", conf = conf}
  :to_kafka{topic = to, partition = partition}
tw.run()
]])

--- Let numbers flow from a topic through members of a group to another, kill and start them anew.
-- Returns both topics, when all has been committed.
local function kill(script, strategy, rng)
  local from, to = broker.topic(PARTITIONS), broker.topic(PARTITIONS)
  local group = "group-of-" .. from
  local feed, members = pipeline.feed(from), {}
  local function start(k) members[k] = script(k, group, from, to, strategy) end
  for k = 1, MEMBERS do start(k) end
  pipeline.members(group, MEMBERS)
  for _ = 1, KILLS do
    for _ = 1, 4 do
      feed:put(50)
      process.sleep(rng:unit() * SLOWEST / 4)
    end
    local k = rng:int(1, MEMBERS)
    assert.truthy(members[k]:running(), "a member has ended: " .. members[k]:errors())
    members[k]:signal "KILL"
    members[k]:wait()
    start(k)
  end
  feed:put(50)
  feed:finish()
  pipeline.committed(group, from, 60)
  for _, member in ipairs(members) do
    local status, _, err = member:signal("TERM"):wait()
    assert.equal(0, status, err)
  end
  return from, to
end

describe("members killed at random moments", function()
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  for _, strategy in ipairs { "range", "cooperative-sticky" } do
    it("lose nothing, and keep the order: " .. strategy, function()
      helper.seeded(function(rng)
        local from, to = kill(at_least_once, strategy, rng)
        assert.is_nil(pipeline.difference(pipeline.lists(from), (pipeline.first(pipeline.lists(to)))))
      end)
    end)

    it("show read_committed consumers each record once: " .. strategy, function()
      helper.seeded(function(rng)
        local from, to = kill(exactly_once, strategy, rng)
        assert.is_nil(pipeline.difference(pipeline.lists(from), pipeline.lists(to, { committed = true })))
      end)
    end)
  end
end)
