--- Sources that wait for what may never come: they end when nobody listens any more, at once.
local bb = require "support.black_box"
local helper = require "helper"
local kafka = require "support.kafka"
local scratch = require "support.scratch"
local tw = helper.tw

local function same(x) return x end

--- An empty file.
local function file()
  local path = scratch.path()
  io.open(path, "wb"):close()
  return path
end

-- source -> one that gives nothing, and has no end of its own
local sources = {
  from_tcp = function() return tw.from_tcp(0) end,
  from_udp = function() return tw.from_udp(0) end,
  from_unix = function() return tw.from_unix(scratch.also(scratch.path() .. ".socket")) end,
  from_http_server = function() return tw.from_http_server(0) end,
  from_process = function() return tw.from_process { "sleep", "1000" } end,
  from_periodic = function() return tw.from_periodic(same, "1h") end,
  ["from_textfile that follows"] = function() return tw.from_textfile(file(), { follow = true }) end,
  filenames = function() return tw.filenames(file() .. ".none*") end,
  input = function() return tw.input "waiting" end,
  ["from_iterable that waits"] = function()
    local channel = tw.channel(1)
    return tw.from_iterable(function() return channel:get() end)
  end,
}
if not kafka.missing then
  function sources.from_kafka() return tw.from_kafka { topics = kafka.topic(1), brokers = "embedded" } end
  function sources.from_kafka_batched()
    return tw.from_kafka_batched { topics = kafka.topic(1), brokers = "embedded", group = "g" }
  end
  function sources.exactly_once()
    return tw.exactly_once { topics = kafka.topic(1), brokers = "embedded", group = "g" }
  end
end

describe("a source that waits", function()
  for name, open in pairs(sources) do
    it("ends when its listeners have had enough of what others give: " .. name, function()
      local got = {}
      local function build()
        local source = open()
        local other = tw.stream()
        source:map(same):union(other):take(2):sink(function(x) got[#got + 1] = x end)
        return source, other
      end
      local source, other = bb.apart(build)
      tw.run(function()
        tw.sleep "30ms"
        for i = 1, 3 do other:emit(i) end
      end)
      assert.same({ 1, 2 }, got)
      source:destroy()
    end)

    it("ends when its listeners have been collected: " .. name, function()
      local source = bb.apart(open)
      local function listen() return { source:map(same) } end
      local held = bb.apart(listen)
      tw.run(function()
        tw.sleep "30ms"
        held[1] = nil
        bb.collect()
      end)
      assert.is_nil(held[1])
      assert.same({}, source:downstreams())
      source:destroy()
    end)
  end

  it("ends when its sink is destroyed, and only then", function()
    local source = tw.from_tcp(0)
    local sinks = { source:sink(same), source:sink(same) }
    local steps = {}
    tw.run(function()
      for i = 1, 2 do
        tw.sleep "10ms"
        sinks[i]:destroy()
        tw.sleep "10ms"
        steps[i] = source._node.running
      end
    end)
    assert.same({ true, false }, steps)
  end)

  it("goes on when another listener comes in place of the one that leaves", function()
    local source, ended = tw.from_tcp(0), false
    local sink = source:sink(same)
    source:on_end(function() ended = true end)
    tw.run(function()
      tw.sleep "10ms"
      sink:destroy()
      sink = source:sink(same)
      tw.sleep "10ms"
      assert.is_false(ended)
      source:stop()
    end)
    assert.is_truthy(sink)
  end)

  it("goes on as long as anybody holds what is below it", function()
    local source, ended = tw.from_tcp(0), false
    local held = source:map(same)
    source:on_end(function() ended = true end)
    tw.run(function()
      held:sink(same):destroy()
      tw.sleep "20ms"
      assert.is_false(ended)
      source:stop()
    end)
    assert.is_truthy(held)
  end)
end)
