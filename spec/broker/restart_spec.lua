--- The broker is restarted, and killed, while numbers flow through tideway's pipelines: all go on
-- where they were, and every number is where it belongs. TIDEWAY_KILLS=20 kills as often (default 1).
local broker = require "support.broker"
local helper = require "helper"
local pipeline = require "support.pipeline"
local process = require "support.process"

if not broker.address then return pending "a real broker (make test-broker)" end

local KILLS = tonumber(os.getenv "TIDEWAY_KILLS") or 1
local PARTITIONS = 2
local ENOUGH = 2000 -- messages in a copy: they flow

-- By default librdkafka comes back after up to ten seconds.
local SETTINGS = [[
local tw = require "tideway"
local brokers, group, from, to = unpack(arg)
local conf = {["reconnect.backoff.max.ms"] = 500}
local function partition(x) return x.partition end
local function marked(x)
  x.key = "copied"
  return x
end
]]

-- Writes 1, 2 ... until it is stopped, then says how many they were.
local count = pipeline.script(SETTINGS .. [[
local n = 0
tw.from_periodic(function()
    local list = {}
    for i = 1, 20 do list[i] = n + i end
    n = n + 20
    return list
  end, "20ms")
  :flatten():to_kafka{topic = to, brokers = brokers, conf = conf, partition = function(x) return x % 2 end}
tw.run()
print(n)
]])

local at_least_once = pipeline.script(SETTINGS .. [[
tw.from_kafka{topics = from, brokers = brokers, group = group, full = true, commit_interval = "100ms", conf = conf}
  :map(marked):to_kafka{topic = to, brokers = brokers, partition = partition, conf = conf}
tw.run()
]])

local exactly_once = pipeline.script(SETTINGS .. [[
tw.exactly_once{topics = from, brokers = brokers, group = group, full = true, conf = conf}
  :map(marked):to_kafka{topic = to, partition = partition}
tw.run()
]])

describe("a broker that comes back", function()
  after_each(pipeline.clean)
  teardown(pipeline.remove)

  local from, plain, once, programs

  --- All programs still run, and a copy has grown.
  local function flows()
    local function size(topic)
      local ok, ranges = pcall(broker.offsets, topic)
      local sum = 0
      for _, range in ipairs(ok and ranges or {}) do sum = sum + range[2] end
      return sum
    end
    local before = { [plain] = size(plain), [once] = size(once) }
    for name, program in pairs(programs) do
      local topic = name == "once" and once or plain
      process.eventually(name .. " goes on", function()
        assert.truthy(program:running(), name .. " has ended: " .. program:errors())
        return size(topic) > before[topic] + ENOUGH
      end, 60)
    end
  end

  it("finds producers, consumers and transactions going on, nothing lost, transactions seen once", function()
    helper.seeded(function(rng)
      from, plain, once = broker.topic(PARTITIONS), broker.topic(PARTITIONS), broker.topic(PARTITIONS)
      programs = {
        feed = count("", "", from), plain = at_least_once("plain-" .. from, from, plain),
        once = exactly_once("once-" .. from, from, once),
      }
      flows()
      broker.restart()
      flows()
      for _ = 1, KILLS do
        process.sleep(rng:unit() * 0.2) -- a transaction takes about 0.1 s
        broker.kill()
        broker.start()
        flows()
      end

      local status, out, err, _ = programs.feed:signal("TERM"):wait(30)
      assert.equal(0, status, err)
      local wanted = {}
      for p = 1, PARTITIONS do wanted[p] = {} end
      for i = 1, tonumber(out) do table.insert(wanted[i % PARTITIONS + 1], tostring(i)) end
      assert.is_nil(pipeline.difference(wanted, pipeline.lists(from)), "what was written")
      for name, to in pairs { plain = plain, once = once } do
        pipeline.committed(name .. "-" .. from, from, 60)
        status, _, err = programs[name]:signal("TERM"):wait(30)
        assert.equal(0, status, err)
        local lists = pipeline.lists(to, { committed = true })
        if name == "plain" then lists = pipeline.first(lists) end
        assert.is_nil(pipeline.difference(wanted, lists), name)
      end
    end)
  end)
end)
