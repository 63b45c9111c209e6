--- Members of a group that are told no, and members that leave while they join: by the group's own
-- protocol, on the cluster in this process, which takes three seconds to let a member join.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local NOT_COORDINATOR, NOT_AVAILABLE = 16, 15 -- Kafka's error codes

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

local function threads()
  local pipe = io.popen(("ls /proc/%d/task | wc -l"):format(io.open "/proc/self/stat":read "*n"))
  local n = pipe:read "*n"
  pipe:close()
  return n
end

--- Call fn with standard error out of sight. Returns what was written there.
local function quiet(fn)
  local real, text = io.stderr, {}
  io.stderr = { write = function(_, part) text[#text + 1] = part end } -- luacheck: ignore 122
  local ok, err = pcall(fn)
  io.stderr = real -- luacheck: ignore 122
  if not ok then error(err, 0) end
  return table.concat(text)
end

describe("a member of a group", function()
  after_each(kafka.mend)

  for _, strategy in ipairs { "range", "cooperative-sticky" } do
    it("reads although the coordinator knew no offsets at first: " .. strategy, function()
      local topic, out = kafka.topic(3), {}
      for p = 0, 2 do kafka.fill(topic, numbers(p * 100 + 1, p * 100 + 20), p) end
      kafka.fail("OffsetFetch", { NOT_COORDINATOR, NOT_AVAILABLE })
      local source = tw.from_kafka {
        topics = topic, brokers = kafka.brokers(), group = topic, until_end = true,
        conf = { ["partition.assignment.strategy"] = strategy, ["fetch.wait.max.ms"] = 10 },
      }
      source:sink(function(x) out[#out + 1] = x end)
      local said = quiet(tw.run)
      assert.matches("trying again", said)
      assert.equal(60, #out)
      assert.same({ 20, 20, 20 }, kafka.committed(topic, topic, 3))
    end)
  end

  it("reads in the embedded group, too", function()
    local topic, out = kafka.topic(2), {}
    kafka.fill(topic, numbers(1, 20), 1)
    kafka.fail("OffsetFetch", { NOT_COORDINATOR, NOT_AVAILABLE, NOT_COORDINATOR, NOT_COORDINATOR })
    local source = tw.from_kafka { topics = topic, brokers = "embedded", group = topic, until_end = true }
    source:sink(function(x) out[#out + 1] = x end)
    quiet(tw.run)
    assert.same(numbers(1, 20), out)
  end)

  it("leaves nothing behind when it is stopped while it joins", function()
    local topic = kafka.topic(1, numbers(1, 20))
    local before, times = threads(), { 0, 0.05, 0.5, 2 }
    for i = 1, 24 do -- the answer comes after three seconds and a little
      times[#times + 1] = 2.95 + i * 0.025
    end
    tw.run(function()
      for i, seconds in ipairs(times) do
        tw.spawn(function()
          local source = tw.from_kafka {
            topics = topic, brokers = kafka.brokers(), group = topic .. i,
            conf = { ["partition.assignment.strategy"] = "cooperative-sticky" },
          }
          source:sink(function() end)
          source:start()
          tw.sleep(seconds)
          source:stop()
        end)
      end
    end)
    assert.equal(before, threads())
  end)
end)
