--- through: what goes into a topic comes out of it, for whoever has its partition.
local helper = require "helper"
local kafka = require "support.kafka"
local tw = helper.tw

if kafka.missing then return pending(kafka.missing) end

describe("through", function()
  after_each(kafka.mend)

  it("does what its example says", function() helper.example("through") end)

  it("gives what went in, a key's elements in order", function()
    local topic, got = kafka.topic(4), {}
    local n = 0
    local out = tw.from_range(1, 500):through {
      topic = topic, brokers = "embedded", group = topic, key = function(x) return x % 10 end, full = true,
    }
    out:sink(function(m)
      got[m.key] = got[m.key] or {}
      table.insert(got[m.key], tonumber(m.value))
      n = n + 1
      if n == 500 then tw.stop() end
    end)
    tw.run()
    for key = 0, 9 do
      local list = got[tostring(key)]
      assert.equal(50, #list)
      for i, x in ipairs(list) do assert.equal((key == 0 and 10 or key) + 10 * (i - 1), x) end
    end
  end)

  it("gives elements that are messages of the topic, whatever metadata they had", function()
    local topic, seen, released = kafka.topic(1), {}, 0
    local source = tw.stream()
    source:through { topic = topic, brokers = "embedded", group = topic, partition = 0 }:sink(function()
      local m = tw.metadata()
      seen[#seen + 1] = { m[1].topic, m[1].offset, m[1].id, #m }
      if #seen == 3 then tw.stop() end
    end)
    tw.run(function()
      for i = 1, 3 do
        source:emit(i, { { id = i, ref = tw.ref_counter { callback = function() released = released + 1 end } } })
      end
    end)
    assert.same({ { topic, 0, nil, 1 }, { topic, 1, nil, 1 }, { topic, 2, nil, 1 } }, seen)
    assert.equal(3, released)
  end)

  it("divides them among the members of a group", function()
    local topic, n, share = kafka.topic(4), 0, { 0, 0 }
    local source = tw.from_range(1, 400)
    local function take(i)
      return function()
        n, share[i] = n + 1, share[i] + 1
        if n == 400 then tw.stop() end
      end
    end
    source:through { topic = topic, brokers = "embedded", group = topic, partition = function(x) return x % 4 end }
      :sink(take(1))
    tw.from_kafka { topics = topic, brokers = "embedded", group = topic }:sink(take(2))
    tw.run()
    assert.same({ 200, 200 }, share)
  end)

  it("writes no more when the stream that it gives is destroyed", function()
    local source = tw.stream()
    local out = source:through { topic = kafka.topic(1), brokers = "embedded" }
    assert.equal(1, #source:downstreams())
    out:destroy()
    assert.same({}, source:downstreams())
    source:emit(1)
  end)

  it("refuses misuse when it is built", function()
    local s = tw.stream()
    helper.misuse(function() s:through() end, "through: topic must be a string, got nil")
    helper.misuse(function() s:through { topic = "t" } end, "through: needs brokers")
    helper.misuse(function() s:through { topic = print, brokers = "embedded" } end, "topic must be a string")
    helper.misuse(function() s:through { topic = "t", brokers = "embedded", grup = "g" } end, "did you mean 'group'")
    helper.misuse_on_destroyed("through", function(d) d:through { topic = "t", brokers = "embedded" } end)
  end)
end)
