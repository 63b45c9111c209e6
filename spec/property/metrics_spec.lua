--- The counts of random graphs agree with a naive tally, at the end and whenever somebody looks in between.
--
-- Each stream of a graph has a function that counts what comes in, and a sink as its first downstream that
-- counts what goes out. Elements come from sources, in loops over batches, and by hand; functions return nil,
-- fail, wait; some branches skip what fails; edges come and go.
local helper = require "helper"
local tw = require "tideway"

local GRAPHS = 120

--- What tw.metrics() says of the same.
local function check(streams)
  local rows = require("tideway.tally").now()
  for i, stream in ipairs(streams) do
    local want, row = streams[stream], rows(stream._node)
    local got = ("%s number %d: in %d, out %d, errors %d"):format(tostring(stream), i,
      want.into and row.into or 0, want.out and row.out or 0, row.errors)
    helper.expect(("%s number %d: in %d, out %d, errors %d"):format(tostring(stream), i, want.into or 0,
      want.out or 0, want.errors), got)
  end
end

local function build(rng)
  local streams, open, fed = {}, {}, {}
  local fails, waits = rng:chance(0.6), rng:chance(0.5)

  --- A user function: fn of every element, after counting it, with its accidents.
  local function function_of(n, fn)
    local every, nap = fails and rng:chance(0.4) and rng:int(3, 40), waits and rng:chance(0.3) and rng:int(2, 20)
    local peeks, calls = rng:int(5, 60), 0
    return function(x)
      n.into, calls = n.into + 1, calls + 1
      -- not as an upvalue: a stream that functions refer to has a door of its own, and loops are short
      if calls % peeks == 0 then package.loaded.metrics_spec_look() end
      if nap and calls % nap == 0 then tw.sleep(0) end
      if every and calls % every == 0 then
        n.errors = n.errors + 1
        error("boom")
      end
      return fn(x)
    end
  end

  --- Note a stream and what is counted of it; its first downstream counts what it gives.
  local function add(stream, n)
    streams[#streams + 1], streams[stream] = stream, n
    open[#open + 1] = stream
    stream:sink(function() n.out = n.out + 1 end)
  end

  local function count() return { into = 0, out = 0, errors = 0 } end

  local ops = {
    map = function(s)
      local n, m = count(), rng:int(2, 9)
      add(s:map(function_of(n, function(x) if x % m ~= 0 then return x + 1 end end)), n)
    end,
    starmap = function(s)
      local n = count()
      local pairs_of = s:map(function(x) return { x, 1 } end)
      add(pairs_of:starmap(function_of(n, function(x) return x end)), n)
    end,
    filter = function(s)
      local n, m = count(), rng:int(2, 5)
      add(s:filter(function_of(n, function(x) return x % m ~= 0 end)), n)
    end,
    filter_map = function(s)
      local n, m = count(), rng:int(2, 5)
      add(s:filter_map(function_of(n, function(x) if x % m ~= 1 then return x end end)), n)
    end,
    tap = function(s)
      local n = count()
      add(s:tap(function_of(n, function() end)), n)
    end,
    accumulate = function(s)
      local n = count()
      local fn = function_of(n, function(x) return x % 1000 end)
      add(s:accumulate(function(a, x) return (a + fn(x)) % 997 end, { start = 0 }), n)
    end,
    flat_map = function(s)
      local n = count()
      add(s:flat_map(function_of(n, function(x) return x % 3 == 0 and { x, x + 1 } or { x } end)), n)
    end,
    union = function(s)
      local n = count()
      n.into = nil
      add(s:union(rng:pick(open)), n)
    end,
    buffer = function(s)
      local n = count()
      n.into = nil
      add(s:buffer(rng:int(1, 20)), n)
    end,
    on_error = function(s)
      local n = count()
      local stream = s:tap(function_of(n, function() end))
      stream:on_error "skip"
      add(stream, n)
    end,
  }
  local names = {}
  for name in pairs(ops) do names[#names + 1] = name end
  table.sort(names)

  for _ = 1, rng:int(1, 3) do
    local n = count()
    n.into = nil
    local kind, left = rng:int(1, 4), rng:int(0, 300)
    local source = kind == 1 and tw.from_range(1, rng:int(0, 400)) or kind == 2 and tw.from_iterable { 5, 6, 7, 8 }
      or kind == 3 and tw.from_iterable(function()
        left = left - 1
        if left == 77 then tw.sleep(0) end
        return left > 0 and left or nil
      end) or tw.stream()
    if kind == 4 then fed[#fed + 1] = source end
    add(source, n)
  end
  for _ = 1, rng:int(1, 12) do ops[rng:pick(names)](rng:pick(open)) end
  for _ = 1, rng:int(1, 4) do
    local n = count()
    n.out = nil
    local sink = rng:pick(open):sink(function_of(n, function() end))
    streams[#streams + 1], streams[sink] = sink, n
  end
  return streams, open, fed
end

describe("the counts of a random graph", function()
  before_each(function() require("tideway.graph").destroy_all() end)

  it("agree with a naive tally, also in the middle of everything", function()
    helper.seeded(function(rng)
      local streams, problem
      local function look()
        if problem then return end
        local ok, err = pcall(check, streams)
        if not ok then problem = err end
      end
      local function finish() -- each failure ends a run
        for _ = 1, 50 do
          if pcall(tw.run) then break end
        end
      end
      tw.metrics()
      package.loaded.metrics_spec_look = function() return streams and look() end
      local all, open, fed = build(rng)
      streams = all
      finish()
      for i = 1, rng:int(0, 60) do
        for _, stream in ipairs(fed) do pcall(stream.emit, stream, i) end
        if rng:chance(0.1) then
          local late, n = rng:pick(open), { into = 0, errors = 0 }
          local sink = late:sink(function() n.into = n.into + 1 end)
          streams[#streams + 1], streams[sink] = sink, n
        end
        look()
      end
      finish()
      look()
      if problem then error(problem, 0) end
    end, GRAPHS)
  end)
end)
