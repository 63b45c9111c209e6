--- The end of a run: by itself, by tw.stop, by a task that goes on for ever. Signals are in
-- spec/integration/signal_spec.lua.
local helper = require "helper"
local tw = require "tideway"

local clock

local function setup() clock = tw.testing.clock() end
local function teardown() helper.restore(clock) end

local function numbers(interval)
  local n = 0
  return tw.from_periodic(function()
    n = n + 1
    return n
  end, interval)
end

local function count_to(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

--- Every element of the arrays in a list, in order.
local function pieces(list)
  local all = {}
  for _, part in ipairs(list) do
    for _, x in ipairs(part) do all[#all + 1] = x end
  end
  return all
end

describe("tw.stop", function()
  before_each(setup)
  after_each(teardown)

  it("lets the element on its way through before the streams below end", function()
    local log = {}
    local source = tw.from_range(1, 100)
    source:rate_limit(1):on_end(function() log[#log + 1] = "end" end)
      :partition(10, { flush = true }):sink(function(t) log[#log + 1] = t end)
    source:start()
    clock:advance(2.5) -- 1, 2 and 3 are through, 4 waits for its second
    tw.stop()
    clock:advance(0)
    assert.same({}, log)
    clock:advance(10)
    assert.same({ "end", { 1, 2, 3, 4 } }, log)
  end)

  it("empties buffers and delays before what is below them ends", function()
    local log = {}
    local source = tw.from_range(1, 5)
    local slow = source:buffer(3):delay(2):rate_limit(1)
    slow:on_end(function() log[#log + 1] = "end" end)
    slow:sink(function(x) log[#log + 1] = x end)
    source:start()
    clock:advance(0.5)
    tw.stop()
    clock:advance(100)
    local last = #log
    assert.equal("end", log[last])
    log[last] = nil
    assert.same(count_to(last - 1), log)
    assert.is_true(last > 3)
  end)

  it("has timed windows emit what is incomplete with flush = true only, once", function()
    for _, flush in ipairs { true, false } do
      local source = numbers(1)
      local out = source:timed_window(10, { flush = flush }):sink_to_list()
      source:start()
      clock:advance(12)
      assert.equal(1, #out)
      tw.stop()
      clock:advance(100)
      assert.same(flush and count_to(13) or count_to(#out[1]), pieces(out))
    end
  end)

  it("leaves one beat to a timed window whose source starts again within the interval", function()
    local source, times = numbers(1), {}
    source:timed_window(10):sink(function() times[#times + 1] = clock:now() end)
    source:start()
    clock:advance(3)
    tw.stop()
    clock:advance(1)
    source:start()
    clock:advance(30)
    for i = 2, #times do helper.expect(10, times[i] - times[i - 1], 1e-9) end
    source:stop()
  end)

  it("delivers the newest of latest and the results of map_async under way", function()
    local source = numbers(1)
    local newest, results = {}, {}
    source:latest():sink(function(x)
      newest[#newest + 1] = x
      tw.sleep(2.5)
    end)
    source:map_async(function(x)
      tw.sleep(5)
      return x
    end, { parallelism = 10 }):sink(function(x) results[#results + 1] = x end)
    source:start()
    clock:advance(6.2)
    tw.stop()
    clock:advance(100)
    assert.equal(7, newest[#newest])
    assert.same(count_to(7), results)
  end)

  it("ends a join when its last source has ended, also below a slow branch", function()
    local log = {}
    local a, b = numbers(1), numbers(1)
    local both = a:delay(5):union(b)
    both:on_end(function() log[#log + 1] = "end" end)
    both:sink(function(x) log[#log + 1] = x end)
    a:start()
    b:start()
    clock:advance(1.5)
    tw.stop()
    clock:advance(100)
    assert.same({ 1, 2, 1, 2, "end" }, log)
  end)

  it("ends a join also when another upstream has no end: fed by hand, or stopped before", function()
    local a, by_hand, b = numbers(1), tw.stream(), numbers(1)
    local out = a:union(by_hand, b):partition(100, { flush = true }):sink_to_list()
    a:start()
    b:start()
    by_hand:emit "x"
    clock:advance(0)
    b:stop()
    clock:advance(2.5)
    tw.stop()
    clock:advance(10)
    assert.same({ { "x", 1, 1, 2, 3 } }, out)
    -- and it ends again when it is fed again
    a:start()
    clock:advance(0)
    tw.stop()
    clock:advance(10)
    assert.same({ { "x", 1, 1, 2, 3 }, { 4 } }, out)
  end)

  it("can be called by a function below the source, which delivers its element", function()
    local out = {}
    local source = tw.from_range(1, 1e6)
    local ended = false
    source:on_end(function() ended = true end):tap(function(x) if x == 3 then tw.stop() end end)
      :sink(function(x) out[#out + 1] = x end)
    tw.run()
    assert.same({ 1, 2, 3 }, out)
    assert.is_true(ended)
  end)

  it("interrupts a source's function that makes the next element, and waits for none", function()
    local log, channel = {}, tw.channel(1)
    local a = tw.from_iterable(function() return channel:get() end)
    local b = tw.from_periodic(function() tw.sleep "1h" return 1 end, 1)
    a:on_end(function() log[#log + 1] = "a" end):sink(function(x) log[#log + 1] = x end)
    b:on_end(function() log[#log + 1] = "b" end):sink(function(x) log[#log + 1] = x end)
    tw.spawn(function()
      tw.sleep(0)
      channel:put(7)
      tw.stop()
    end)
    tw.run()
    assert.same({ 7, "a", "b" }, log)
  end)

  it("cancels the user's tasks once all else is through", function()
    local log = {}
    local source, channel, entered = tw.from_range(1, 50), tw.channel(1), 0
    source:tap(function(x) entered = x end):buffer(3):sink(function(x) channel:put(x) end)
    local consumer = tw.spawn(function()
      for x in function() return channel:get() end do
        tw.sleep(0)
        log[#log + 1] = x
      end
    end)
    local sleeper = tw.spawn(function() while true do tw.sleep "1h" end end)
    local restless = tw.spawn(function() while true do tw.sleep(0) end end)
    tw.run(function()
      while #log < 5 do tw.sleep(0) end
      tw.stop()
    end)
    assert.is_true(entered < 20)
    assert.same(count_to(entered), log)
    assert.equal("cancelled", consumer:status())
    assert.equal("cancelled", sleeper:status())
    assert.equal("cancelled", restless:status())
  end)

  it("lets a task that emits finish that, whatever follows", function()
    local source, entered, out = tw.stream(), 0, {}
    source:rate_limit(1):buffer(2):delay(3):sink(function(x) out[#out + 1] = x end)
    local task = tw.spawn(function()
      while true do
        entered = entered + 1
        source:emit(entered)
      end
    end)
    clock:advance(4.5)
    tw.stop()
    clock:advance(100)
    assert.equal("cancelled", task:status())
    assert.same(count_to(entered), out)
    assert.equal(6, entered)
  end)

  it("waits for a task that was spawned for an element", function()
    local source, out = numbers(1), {}
    source:sink(function(x)
      tw.spawn(function()
        tw.sleep(5)
        out[#out + 1] = x
      end)
    end)
    source:start()
    clock:advance(2.5)
    tw.stop()
    clock:advance(100)
    assert.same({ 1, 2, 3 }, out)
  end)

  it("leaves a task time to clean up, which may emit", function()
    local source, out = tw.stream(), {}
    source:buffer(1):sink(function(x) out[#out + 1] = x end)
    local task = tw.spawn(function()
      local ok, err = pcall(tw.sleep, "1h")
      source:emit { ok, tostring(err) }
      tw.sleep(0.5)
      source:emit "bye"
    end)
    clock:advance(1)
    tw.stop()
    clock:advance(10)
    assert.same({ { false, "cancelled" }, "bye" }, out)
    assert.equal("cancelled", task:status())
  end)

  it("is over with the run: what is built and started next runs as ever", function()
    tw.run(function() tw.stop() end)
    local out = tw.from_range(1, 3):buffer(1):sink_to_list()
    tw.run()
    assert.same({ 1, 2, 3 }, out)
    local done = false
    tw.stop() -- nothing is running
    tw.run(function()
      tw.sleep(0)
      done = true
    end)
    assert.is_true(done)
    done = false
    tw.spawn(function()
      tw.sleep(1)
      done = true
    end)
    clock:advance(2)
    assert.is_true(done)
  end)

  it("called twice, and again while buffers drain, does the same", function()
    local source, out, ends = numbers(1), {}, 0
    source:on_end(function() ends = ends + 1 end):delay(10):sink(function(x) out[#out + 1] = x end)
    source:start()
    clock:advance(2.5)
    tw.stop()
    tw.stop()
    clock:advance(5)
    tw.stop()
    clock:advance(20)
    assert.same({ 1, 2, 3 }, out)
    assert.equal(1, ends)
  end)

  it("raises what fails on the way out", function()
    local source = numbers(1)
    source:delay(5):sink(function() error("late", 0) end)
    source:start()
    clock:advance(1)
    tw.stop()
    local ok, err = pcall(clock.advance, clock, 10)
    assert.is_false(ok)
    assert.equal("late", helper.message(err))
  end)
end)

describe("the end of a run", function()
  before_each(setup)
  after_each(teardown)

  it("comes when sources have ended, buffers are empty and sinks are through", function()
    local out = {}
    tw.from_range(1, 20):buffer(5):map_async(function(x)
      tw.sleep(0)
      return x
    end, { parallelism = 3 }):buffer(1):sink(function(x)
      tw.sleep(0)
      out[#out + 1] = x
    end)
    tw.run()
    assert.same(count_to(20), out)
  end)

  it("waits for what a window below a buffer flushes, however long it takes", function()
    for _, hold in ipairs {
      function(s) return s:buffer(1) end,
      function(s) return s:map_async(function(x) return x end) end,
    } do
      local out = {}
      hold(tw.from_range(1, 3)):partition(10, { flush = true }):sink(function(t)
        for _ = 1, 10 do tw.sleep(0) end
        out[#out + 1] = t
      end)
      tw.run()
      assert.same({ { 1, 2, 3 } }, out)
    end
  end)

  it("returns nothing, and takes {signals = false}", function()
    assert.equal(0, select("#", tw.run()))
    local ran = false
    assert.equal(0, select("#", tw.run({ signals = false })))
    tw.run(function() ran = true end, { signals = false })
    assert.is_true(ran)
    helper.misuse(function() tw.run(nil, { signal = false }) end, "run", "signal", "signals")
    helper.misuse(function() tw.run { signals = 1 } end, "run", "signals")
  end)
end)

-- Random graphs: an element that has entered leaves at every sink, once, in order.

local windows = {
  function(s, rng) return s:partition(rng:int(1, 5), { flush = true }):flatten() end,
  function(s, rng) return s:timed_window(rng:int(1, 30) / 10, { flush = true }):flatten() end,
}

local stages = {
  function(s, rng) return s:buffer(rng:int(1, 4)) end,
  function(s, rng) return s:delay(rng:int(0, 30) / 10, rng:chance(0.3) and { maxsize = rng:int(1, 3) } or nil) end,
  function(s, rng) return s:rate_limit(rng:int(0, 12) / 10) end,
  function(s, rng)
    local naps = rng:int(0, 20) / 10
    return s:map_async(function(x)
      tw.sleep(naps)
      return x
    end, { parallelism = rng:int(1, 3) })
  end,
  function(s, rng)
    local naps = rng:int(0, 5) / 10
    return s:tap(function() tw.sleep(naps) end)
  end,
  function(s) return s:map(function(x) return x end) end,
}

--- ends: the stream has an end, at which windows flush.
local function chain(s, rng, ends)
  for _ = 1, rng:int(0, 5) do s = rng:pick(ends and rng:chance(0.3) and windows or stages)(s, rng) end
  return s
end

--- A feeder of elements { source = i, n = 1 .. }; entered[i] counts those that went in.
local function feeder(rng, i, entered, heads)
  entered[i] = 0
  local function make()
    entered[i] = entered[i] + 1
    return helper.own { source = i, n = entered[i] }
  end
  local kind = rng:int(1, 3)
  if kind == 1 then
    local head = tw.from_periodic(make, rng:int(1, 20) / 10)
    heads[#heads + 1] = head
    return head, true
  elseif kind == 2 then
    local pause = rng:int(1, 10) / 10
    local head = tw.from_iterable(function()
      tw.sleep(pause)
      return make()
    end)
    heads[#heads + 1] = head
    return head, true
  end
  local head, pause = tw.stream(), rng:int(1, 10) / 10
  tw.spawn(function()
    while true do
      head:emit(make())
      tw.sleep(pause)
    end
  end)
  return head
end

--- Nothing twice, nothing missing, the elements of each source in order.
local function whole(got, entered)
  local next_of = {}
  for _, x in ipairs(got) do
    local want = (next_of[x.source] or 0) + 1
    if x.n ~= want then
      error(("source %d: expected its element %d, got %d"):format(x.source, want, x.n), 0)
    end
    next_of[x.source] = want
  end
  for i, n in ipairs(entered) do
    if (next_of[i] or 0) ~= n then
      error(("source %d: %d entered, %d left"):format(i, n, next_of[i] or 0), 0)
    end
  end
end

describe("a random graph that is stopped", function()
  before_each(setup)
  after_each(teardown)

  it("lets all out that has entered, in order, exactly once", function()
    helper.seeded(function(rng)
      local entered, heads, lists, sinks = {}, {}, {}, {}
      local streams = {}
      for i = 1, rng:int(1, 3) do
        local head, ends = feeder(rng, i, entered, heads)
        streams[i] = chain(head, rng, ends)
      end
      local joined = streams[1]
      for i = 2, #streams do joined = joined:union(streams[i]) end
      for k = 1, rng:int(1, 2) do
        lists[k] = {}
        local naps = rng:chance(0.5) and rng:int(1, 10) / 10
        -- fed by hand alone it has no end; beside a source it ends with that
        sinks[k] = chain(joined, rng, #heads > 0):sink(function(x)
          if naps then tw.sleep(naps) end
          table.insert(lists[k], x)
        end)
      end
      for _, head in ipairs(heads) do head:start() end
      clock:advance(rng:int(0, 200) / 10)
      tw.stop()
      clock:advance "1h"
      for _, got in ipairs(lists) do whole(got, entered) end
      for _, sink in ipairs(sinks) do sink:destroy() end
    end, 150)
  end)
end)
