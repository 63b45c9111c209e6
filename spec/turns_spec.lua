--- One element at a time is in a stream, whoever delivers it: tasks that emit, operators that deliver
-- later, flushes (API: time and backpressure, "take turns").
local helper = require "helper"
local tw = helper.tw

local function same(x) return x end

describe("a join", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  -- operators that deliver in a task of their own
  local later = {
    buffer = function(s) return s:buffer(3) end,
    delay = function(s) return s:delay "1ms" end,
    latest = function(s) return s:latest() end,
    map_async = function(s) return s:map_async(same) end,
    timed_window = function(s) return s:timed_window("1ms", { empty = false }) end,
    timed_window_unique = function(s) return s:timed_window_unique("1ms", { empty = false }) end,
    ["partition with a timeout"] = function(s) return s:partition(4, { timeout = "1ms" }) end,
    ["collect, flushed by a task"] = function(s)
      local held = s:collect()
      tw.spawn(function()
        for _ = 1, 10 do
          tw.sleep "2ms"
          held:flush()
        end
      end)
      return held
    end,
    ["a stream in the middle, emitted to by a task"] = function(s)
      local middle = s:map(same)
      tw.spawn(function()
        for i = 1, 10 do
          tw.sleep "2ms"
          middle:emit(i)
        end
      end)
      return middle
    end,
  }
  local joins = {
    union = function(a, b) return a:union(b) end,
    zip = function(a, b) return a:zip(b) end,
    combine_latest = function(a, b) return a:combine_latest(b) end,
    zip_latest = function(a, b) return a:zip_latest(b) end,
  }

  for name, build in pairs(later) do
    for join_name, join in pairs(joins) do
      it(("lets one element through at a time: %s of a stream and its %s"):format(join_name, name), function()
        local source, inside, most, through = tw.stream(), 0, 0, 0
        join(source:map(same), build(source)):sink(function()
          inside = inside + 1
          most = math.max(most, inside)
          tw.sleep "3ms"
          inside = inside - 1
          through = through + 1
        end)
        source:sink(function(x) if x % 3 == 0 then tw.sleep "2ms" end end)
        tw.spawn(function()
          for i = 1, 8 do source:emit(i) end
        end)
        clock:advance "1s"
        assert.equal(1, most)
        assert.is_true(through > 2)
      end)
    end
  end
end)

describe("a stream that is emitted to for the first time", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  it("waits for the element that is in the middle of what is below it", function()
    local source = tw.stream()
    local middle = source:map(same)
    local out = helper.timeline(clock, middle:union(source:filter(function() return false end)), "10ms")
    helper.emitter(clock, source, { 1 })
    clock:advance "5ms"
    helper.emitter(clock, middle, { 2 })
    helper.emitter(clock, middle, { 3 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 10, 2 }, { 20, 3 } }, out)
  end)

  it("does not wait for one that is beside it", function()
    local source = tw.stream()
    local middle = source:map(same)
    local out = helper.timeline(clock, middle)
    source:sink(function() tw.sleep "10ms" end)
    helper.emitter(clock, source, { 1 })
    clock:advance "5ms"
    helper.emitter(clock, middle, { 2 })
    clock:advance "1s"
    assert.same({ { 0, 1 }, { 5, 2 } }, out)
  end)

  it("is free when the element in the middle has failed", function()
    local source = tw.stream()
    local middle, out = source:map(same), {}
    middle:sink(function(x)
      tw.sleep "10ms"
      out[#out + 1] = { helper.ms(clock), x }
      if x == 1 then error "boom" end
    end)
    tw.spawn(function() pcall(source.emit, source, 1) end)
    clock:advance "5ms"
    helper.emitter(clock, middle, { 2, 3 })
    clock:advance "1s"
    assert.same({ { 10, 1 }, { 20, 2 }, { 30, 3 } }, out)
  end)
end)
