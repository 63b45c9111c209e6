--- What it costs to change a graph: work in proportion to what changes, whatever its shape.
-- Counted in instructions of the interpreter, which runs the modules concerned (jit.off); the
-- clock is not asked.
local tw = require "tideway"

local function same(x) return x end

--- Instructions, in thousands, that fn() takes.
local function cost(fn)
  local count = 0
  jit.off()
  debug.sethook(function() count = count + 1 end, "", 1000)
  local ok, err = pcall(fn)
  debug.sethook()
  jit.on()
  if not ok then error(err, 0) end
  return count
end

--- A graph of 2 n streams takes at most twice the work of one of n, and `limit` instructions a
-- stream.
-- build  function(n, keep) that returns what is counted, a function; the handles given to `keep`,
--        which returns them, are the user's until then
local function linear(n, limit, build)
  local function once(m)
    local kept = {}
    local function keep(stream)
      kept[#kept + 1] = stream
      return stream
    end
    collectgarbage()
    collectgarbage()
    local fn = build(m, keep)
    return cost(function()
      kept = {} -- luacheck: ignore
      return fn()
    end)
  end
  local small, large = once(n), once(2 * n)
  local message = ("%d thousand steps for %d, %d thousand for %d"):format(small, n, large, 2 * n)
  assert.is_true(large <= 2.3 * small + 10, message)
  assert.is_true(large * 1000 <= 2 * n * limit, message)
end

--- A chain of n maps below a stream. Returns both ends.
local function chain(n, keep)
  local first = tw.stream()
  local last = first
  for _ = 1, n do last = keep(last:map(same)) end
  return first, last
end

--- n times: two branches that meet again. Returns both ends.
local function ladder(n, keep)
  local first = tw.stream()
  local last = first
  for _ = 1, n do last = keep(keep(last:map(same)):union(keep(last:map(same)))) end
  return first, last
end

--- What a collection finds is detached now. Returns how many streams are left below.
local function reaped(stream)
  collectgarbage()
  collectgarbage()
  return #stream:downstreams()
end

describe("a graph of n streams costs work in proportion to n", function()
  it("to build as a chain, from its beginning", function()
    linear(2000, 1000, function(n, keep)
      return function() chain(n, keep) end
    end)
  end)

  it("to connect as a chain, from its end", function()
    linear(4000, 200, function(n)
      local all = {}
      for i = 1, n do all[i] = tw.stream() end
      return function()
        for i = n - 1, 1, -1 do all[i]:connect(all[i + 1]) end
      end
    end)
  end)

  it("to connect and to leave below a stream that runs now and then", function()
    linear(1000, 3000, function(n)
      local source = tw.stream()
      source:sink(same)
      return function()
        for i = 1, n do
          local below = tw.stream()
          tw.stream():connect(below)
          source:connect(below)
          below:destroy()
          if i % 100 == 0 then source:emit(i) end
        end
      end
    end)
  end)

  it("when the handles of a chain go that has a sink", function()
    linear(10000, 200, function(n, keep)
      local first, last = chain(n, keep)
      last:sink(same)
      last = nil -- luacheck: ignore
      return function() assert.equal(1, reaped(first)) end
    end)
  end)

  it("when a chain goes", function()
    linear(10000, 300, function(n, keep)
      local first = chain(n, keep)
      return function() assert.equal(0, reaped(first)) end
    end)
  end)

  it("when a chain goes that has run", function()
    linear(1000, 1000, function(n, keep)
      local first, last = chain(n, keep)
      local sink = last:sink(same)
      last = nil -- luacheck: ignore
      first:emit(1)
      return function()
        sink:destroy()
        sink = nil
        assert.equal(0, reaped(first))
      end
    end)
  end)

  it("when n branches go", function()
    linear(4000, 300, function(n, keep)
      local first = tw.stream()
      for _ = 1, n do keep(first:map(same)) end
      return function() assert.equal(0, reaped(first)) end
    end)
  end)

  it("when the handles of n branches go that have sinks", function()
    linear(4000, 1000, function(n, keep)
      local first = tw.stream()
      for _ = 1, n do keep(first:map(same)):sink(same) end
      return function() assert.equal(n, reaped(first)) end
    end)
  end)

  it("when branches go that meet again and again", function()
    linear(3000, 1000, function(n, keep)
      local first = ladder(n, keep)
      return function() assert.equal(0, reaped(first)) end
    end)
  end)

  it("when their handles go and there is a sink at their end", function()
    linear(3000, 1000, function(n, keep)
      local first, last = ladder(n, keep)
      last:sink(same)
      last = nil -- luacheck: ignore
      return function() assert.equal(2, reaped(first)) end
    end)
  end)

  it("when a ring goes", function()
    linear(4000, 300, function(n, keep)
      local first = tw.stream()
      local ring = keep(first:union(tw.stream()))
      local last = ring
      for _ = 1, n do last = keep(last:map(same)) end
      last:connect(ring)
      ring, last = nil, nil -- luacheck: ignore
      return function() assert.equal(0, reaped(first)) end
    end)
  end)

  it("to compile below an error policy", function()
    linear(500, 10000, function(n, keep)
      local first, last = chain(n, keep)
      first:on_error("skip")
      last:sink(same)
      return function() first:emit(1) end
    end)
  end)
end)
