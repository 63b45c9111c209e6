--- from_kafka_batched: arrays of messages of one partition, committed as wholes.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = tostring(i) end
  return list
end

--- A source of the batches of a topic, which its name is the group of, to the end of it.
local function batches(topic, more)
  local settings = { topics = topic, brokers = "embedded", group = topic, until_end = true, drain = "200ms" }
  for name, value in pairs(more or {}) do settings[name] = value end
  return tw.from_kafka_batched(settings)
end

describe("from_kafka_batched", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("from_kafka_batched", "source") end)

  it("gives arrays of at most `batch`, all of one partition, in order", function()
    local topic = kafka.topic(3)
    for p = 0, 2 do kafka.fill(topic, numbers(p * 1000, p * 1000 + 99), p) end
    local got = batches(topic, { batch = 7 }):sink_to_list()
    tw.run()
    local next_value = { 0, 1000, 2000 }
    for _, list in ipairs(got) do
      assert.is_true(#list >= 1 and #list <= 7)
      local p = math.floor(list[1] / 1000) + 1
      for _, x in ipairs(list) do
        assert.equal(next_value[p], tonumber(x))
        next_value[p] = next_value[p] + 1
      end
    end
    assert.same({ 100, 1100, 2100 }, next_value)
    assert.same({ 100, 100, 100 }, kafka.committed(topic, topic, 3))
  end)

  it("gives tombstones as null, and keys with keys = true", function()
    local list = { { value = "a", key = "k" }, { value = tw.null, key = "k" }, "b", "" }
    local topic = kafka.topic(1, list)
    local plain = batches(topic):flatten():sink_to_list()
    tw.run()
    helper.expect({ "a", tw.null, "b", "" }, plain)
    local keyed = batches(topic, { keys = true, group = topic .. "keys" }):flatten():sink_to_list()
    tw.run()
    helper.expect({ { value = "a", key = "k" }, { value = tw.null, key = "k" }, { value = "b" }, { value = "" } },
      keyed)
  end)

  it("commits whole batches only", function()
    local topic = kafka.topic(1, numbers(1, 100))
    local done, failed = {}, nil
    local source = batches(topic, { batch = 10 })
    source:sink(function(list)
      for _, x in ipairs(list) do
        if x == "55" then
          failed = tonumber(list[1])
          error "boom"
        end
      end
      done[#done + 1] = tonumber(list[#list])
    end)
    assert.has_error(function() tw.run() end)
    assert.equal(failed - 1, kafka.committed(topic, topic)[1])
    assert.equal(failed - 1, done[#done])
    local again = batches(topic):flatten():sink_to_list()
    tw.run()
    assert.same(numbers(failed, 100), again)
  end)

  it("keeps a batch that is held, with all of its messages", function()
    local topic = kafka.topic(1, numbers(1, 100))
    local held
    batches(topic, { batch = 10 }):sink(function(list)
      for _, x in ipairs(list) do
        if x == "33" then
          held = tonumber(list[1])
          tw.metadata()[1].ref:retain(1)
        end
      end
    end)
    tw.run()
    assert.equal(held - 1, kafka.committed(topic, topic)[1])
  end)

  it("is stopped between batches, and goes on with the next", function()
    local topic = kafka.topic(1, numbers(1, 100))
    local out = {}
    local first = batches(topic, { batch = 8 })
    first:sink(function(list)
      for _, x in ipairs(list) do out[#out + 1] = x end
      if #out > 40 then first:stop() end
    end)
    tw.run()
    assert.equal(#out, kafka.committed(topic, topic)[1])
    batches(topic):flatten():sink(function(x) out[#out + 1] = x end)
    tw.run()
    assert.same(numbers(1, 100), out)
  end)

  it("refuses misuse when it is built", function()
    local function with(batch) return { topics = "t", brokers = "embedded", batch = batch } end
    for _, batch in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.from_kafka_batched(with(batch)) end, "batch must be a whole number from 1")
    end
    helper.misuse(function() tw.from_kafka_batched(with(1e7)) end, "batch must be at most 1000000")
    helper.misuse(function() tw.from_kafka_batched { topics = "t" } end, "needs brokers")
  end)
end)
