--- A stream that is emitted to while it is still delivering queues the element and delivers it
-- right after the current one; one that is not delivering delivers at once. The same in every
-- place of the graph, by emit, by connect, by flush, fed by hand or from a source.
local helper = require "helper"
local tw = helper.tw

local function same(x) return x end

--- The log of run(engine, note) is what the reference's is, and that is want.
local function logs(want, run)
  for _, engine in ipairs { helper.reference, tw } do
    local log = {}
    run(engine, function(x) log[#log + 1] = x end)
    assert.equal(want, table.concat(log, " "))
  end
end

local function noting(note, name) return function(x) note(name .. tostring(x)) end end

describe("an element emitted from below", function()
  it("to an entry comes right after the current one", function()
    logs("a1 b1 a2 b2 a3 b3 a2 b2 a3 b3", function(engine, note)
      local s = engine.stream()
      s:sink(function(x)
        if x < 3 then s:emit(x + 1) end
        note("a" .. x)
      end)
      s:sink(noting(note, "b"))
      s:emit(1)
      s:emit(2)
    end)
  end)

  it("to a stream in the middle comes before the siblings of that stream", function()
    logs("a1 b1 a2 b2 a3 b3 root1 a2 b2 a3 b3 root2", function(engine, note)
      local root = engine.stream()
      local m = root:map(same)
      m:sink(function(x)
        if x < 3 then m:emit(x + 1) end
        note("a" .. x)
      end)
      m:sink(noting(note, "b"))
      root:sink(noting(note, "root"))
      root:emit(1)
      root:emit(2)
    end)
  end)

  it("to a stream that has delivered goes at once", function()
    logs("m1 m11 a1 m2 m12 a2", function(engine, note)
      local root = engine.stream()
      local m = root:map(same)
      m:sink(noting(note, "m"))
      root:sink(function(x)
        m:emit(x + 10)
        note("a" .. x)
      end)
      root:emit(1)
      root:emit(2)
    end)
  end)

  it("by flush of a collection that is not delivering goes at once", function()
    logs("root1 flushing c2 flushed root2 root3", function(engine, note)
      local root = engine.stream()
      local c = root:collect()
      c:sink(function(t) note("c" .. #t) end)
      root:sink(function(x)
        if x ~= 2 then return end
        note "flushing"
        c:flush()
        note "flushed"
      end)
      root:sink(noting(note, "root"))
      for i = 1, 3 do root:emit(i) end
    end)
  end)

  it("by flush, through a connection to a stream that is delivering, comes after the current one", function()
    logs("1 flushed", function(engine, note)
      local root, two, fuel = engine.stream(), engine.stream(), 1
      local c = root:collect()
      two:sink(function()
        fuel = fuel - 1
        if fuel == 0 then c:flush() end
      end)
      two:sink(note)
      root:map(same):connect(two)
      c:map(function() return "flushed" end):connect(two)
      root:emit(1)
    end)
  end)

  it("to a stream below a source comes right after the current one", function()
    local log = {}
    local source, root = tw.from_iterable { 1, 10 }, tw.stream()
    source:connect(root)
    root:sink(function(x) if x < 3 then root:emit(x + 1) end end)
    root:sink(function(x) log[#log + 1] = x end)
    tw.run()
    assert.same({ 1, 2, 3, 10 }, log)
  end)

  it("by emit and by a connection keeps the order of the two", function()
    logs("1 2 102 3 103", function(engine, note)
      local s = engine.stream()
      s:map(function(x) if x < 3 then return x + 1 end end):connect(s)
      s:sink(function(x) if x < 3 then s:emit(x + 101) end end)
      s:sink(note)
      s:emit(1)
    end)
  end)

  it("a million times runs in constant stack", function()
    local s, count = tw.stream(), 0
    s:map(function(x) if x < 1e6 then return x + 1 end end):connect(s)
    s:sink(function() count = count + 1 end)
    s:emit(1)
    assert.equal(1e6, count)
  end)
end)
