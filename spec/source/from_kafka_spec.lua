--- from_kafka: what is in topics comes, in order, and what is through is committed, nothing else.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

--- The values of a topic as group reads them, to the end of its partitions.
-- build: function(source) -> stream; opts: more settings
local function read(topic, group, build, opts)
  local settings = { topics = topic, brokers = "embedded", group = group, until_end = true }
  for name, value in pairs(opts or {}) do settings[name] = value end
  local source = tw.from_kafka(settings)
  local out = (build and build(source) or source):sink_to_list()
  tw.run()
  return out
end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

describe("from_kafka", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("from_kafka", "source") end)

  it("gives the values of a partition in order, and ends where it ends", function()
    local topic = kafka.topic(1, numbers(1, 5000))
    assert.same(numbers(1, 5000), read(topic))
  end)

  it("goes on exactly where take(n) has stopped", function()
    local topic = kafka.topic(1, numbers(1, 300))
    local function take(n) return function(s) return s:take(n) end end
    assert.same(numbers(1, 7), read(topic, topic, take(7)))
    assert.same({ 7 }, kafka.committed(topic, topic))
    assert.same(numbers(8, 100), read(topic, topic, take(93)))
    assert.same(numbers(101, 300), read(topic, topic))
    assert.same({}, read(topic, topic))
  end)
end)
