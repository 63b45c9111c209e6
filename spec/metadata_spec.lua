--- Metadata: what travels beside an element, seen by tw.metadata() (API.md of the contract,
-- "Metadata and reference counts").
local catalog = require "tideway.catalog"
local helper = require "helper"
local tw = helper.tw

local function same(x) return x end

local function tag(id) return { { id = id } } end

--- The ids in the metadata of the element at hand; "none" when it has none.
local function ids()
  local metadata = tw.metadata()
  if metadata == nil then return "none" end
  local list = {}
  for i, entry in ipairs(metadata) do list[i] = entry.id end
  return list
end

--- What the elements of a stream carry: filled as they come.
local function carried(stream)
  local log = {}
  stream:sink(function() log[#log + 1] = ids() end)
  return log
end

describe("metadata", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  --- Emit each input with its number as metadata, in a task, into build(source).
  -- case  { build, inputs = , wait = how long, ends = whether the stream ends }
  local function run(case)
    local source = case.ends and tw.from_iterable {} or tw.stream()
    local log = carried(case[1](source))
    tw.spawn(function()
      for i, x in ipairs(case.inputs or { 1, 2, 3 }) do source:emit(x, tag(i)) end
    end)
    clock:advance(case.wait or "1s")
    if case.ends then
      source:start()
      clock:advance(case.wait or "1s")
    end
    return log
  end

  local one_each = { { 1 }, { 2 }, { 3 } }
  local function holding(n)
    return function(s) return s:partition(n) end
  end

  -- operator -> cases: { build, inputs =, want = what each output carries, ... }
  local cases = {
    map = { { function(s) return s:map(same) end, want = one_each } },
    starmap = {
      { function(s) return s:starmap(function(a, b) return a + b end) end,
        inputs = { { 1, 2 }, { 3, 4 } }, want = { { 1 }, { 2 } } },
    },
    filter = {
      { function(s) return s:filter(function(x) return x ~= 2 end) end, want = { { 1 }, { 3 } } },
      { function(s) return s:filter() end, inputs = { false, 2 }, want = { { 2 } } },
    },
    remove = {
      { function(s) return s:remove(function(x) return x ~= 2 end) end, want = { { 2 } } },
    },
    filter_map = {
      { function(s) return s:filter_map(function(x) if x ~= 2 then return -x end end) end,
        want = { { 1 }, { 3 } } },
    },
    flat_map = {
      { function(s) return s:flat_map(function(x) return { x, -x } end) end,
        want = { "none", { 1 }, "none", { 2 }, "none", { 3 } } },
    },
    flatten = {
      { function(s) return s:flatten() end, inputs = { { "a", "b", "c" }, {}, { "d" } },
        want = { "none", "none", { 1 }, { 3 } } },
      { function(s)
        return s:map(function(x)
          local i = 0
          return function()
            i = i + 1
            if i <= x then return i end
          end
        end):flatten()
      end, inputs = { 1, 0, 3 }, want = { { 1 }, "none", "none", { 3 } } },
    },
    tap = { { function(s) return s:tap(same) end, want = one_each } },
    enumerate = { { function(s) return s:enumerate() end, want = one_each } },
    accumulate = {
      { function(s) return s:accumulate(function(a, b) return a + b end) end, want = one_each },
      { function(s)
        return s:accumulate(function(a, b) return a + b end, { start = 0, with_state = true })
      end, want = one_each },
    },
    frequencies = { { function(s) return s:frequencies() end, want = one_each } },
    pluck = {
      { function(s) return s:pluck "a" end, inputs = { { a = 1 }, { b = 1 }, { a = 2 } },
        want = { { 1 }, { 3 } } },
      { function(s) return s:pluck { "a", "b" } end, inputs = { { a = 1, b = 2 } }, want = { { 1 } } },
    },
    unique = {
      { function(s) return s:unique() end, inputs = { "a", "a", "b" }, want = { { 1 }, { 3 } } },
    },
    distinct = {
      { function(s) return s:distinct() end, inputs = { "a", "a", "b" }, want = { { 1 }, { 3 } } },
    },
    slice = { { function(s) return s:slice(2, 4, 2) end, inputs = { 1, 2, 3, 4, 5 }, want = { { 2 }, { 4 } } } },
    take = { { function(s) return s:take(2) end, want = { { 1 }, { 2 } } } },
    skip = { { function(s) return s:skip(2) end, want = { { 3 } } } },
    take_last = {
      { function(s) return s:take_last() end, ends = true, want = { { 3 } } },
      { function(s) return s:take_last(2) end, ends = true, want = { { 2 }, { 3 } } },
    },
    partition = {
      { function(s) return s:partition(2) end, inputs = { 1, 2, 3, 4, 5 }, want = { { 1, 2 }, { 3, 4 } } },
      { function(s) return s:partition(1) end, want = one_each },
      { function(s) return s:partition(2, { key = function(x) return x % 2 end }) end,
        inputs = { 1, 2, 3, 4 }, want = { { 1, 3 }, { 2, 4 } } },
      { function(s) return s:partition(2, { flush = true }) end, ends = true,
        want = { { 1, 2 }, { 3 } } },
    },
    partition_unique = {
      { function(s) return s:partition_unique(2) end, inputs = { "a", "a", "b", "c", "d" },
        want = { { 1, 3 }, { 4, 5 } } },
      { function(s) return s:partition_unique(2, { keep = "last" }) end,
        inputs = { "a", "a", "b" }, want = { { 2, 3 } } },
      { function(s) return s:partition_unique(3, { keep = "last" }) end,
        inputs = { "a", "b", "a", "c" }, want = { { 2, 3, 4 } } },
    },
    sliding_window = {
      { function(s) return s:sliding_window(2) end, want = { { 1 }, { 1, 2 }, { 2, 3 } } },
      { function(s) return s:sliding_window(2, { return_partial = false }) end,
        want = { { 1, 2 }, { 2, 3 } } },
      { function(s) return s:sliding_window(1) end, want = one_each },
    },
    collect = {
      { function(s)
        local c = s:collect()
        s:filter(function(x) return x == 3 end):sink(function() c:flush() end)
        return c
      end, inputs = { 1, 2, 3, 4 }, want = { { 1, 2, 3 } } },
      { function(s)
        local c = s:collect { maxsize = 2 }
        s:filter(function(x) return x == 3 end):sink(function() c:flush() end)
        return c
      end, want = { { 2, 3 } } },
      { function(s)
        local c = s:collect()
        s:sink(function()
          c:flush()
          c:flush() -- an empty one
        end)
        return c
      end, inputs = { 1, 2 }, want = { { 1 }, "none", { 2 }, "none" } },
    },
    union = {
      { function(s) return s:map(same):union(s:map(same)) end, inputs = { "a", "b" },
        want = { { 1 }, { 1 }, { 2 }, { 2 } } },
    },
    zip = {
      { function(s)
        return s:filter(function(x) return x < 3 end):zip(s:filter(function(x) return x > 2 end))
      end, inputs = { 1, 2, 3, 4 }, want = { { 1, 3 }, { 2, 4 } } },
      { function(s) -- in the order of the upstreams, not of arrival
        local small = s:filter(function(x) return x < 3 end)
        return s:filter(function(x) return x > 2 end):zip("literal", small)
      end, inputs = { 1, 2, 3, 4 }, want = { { 3, 1 }, { 4, 2 } } },
    },
    combine_latest = {
      { function(s)
        return s:filter(function(x) return x > 10 end):combine_latest(s:filter(function(x) return x < 10 end))
      end, inputs = { 1, 11, 2, 12, 13 }, want = { { 2, 1 }, { 2, 3 }, { 4, 3 }, { 5, 3 } } },
      { function(s)
        return s:filter(function(x) return x > 10 end)
          :combine_latest(s:filter(function(x) return x < 10 end), { emit_on = 1 })
      end, inputs = { 1, 11, 2, 12 }, want = { { 2, 1 }, { 4, 3 } } },
    },
    zip_latest = {
      { function(s)
        return s:filter(function(x) return x > 10 end):zip_latest(s:filter(function(x) return x < 10 end))
      end, inputs = { 11, 12, 1, 2, 13 }, want = { { 1, 3 }, { 2, 3 }, { 5, 4 } } },
    },
    decode = {
      { function(s) return s:decode "json" end, inputs = { "1", "[2]" }, want = { { 1 }, { 2 } } },
      { function(s) return s:json() end, inputs = { "1" }, want = { { 1 } } },
    },
    encode = { { function(s) return s:encode "json" end, want = one_each } },
    buffer = {
      { function(s) return s:buffer(1) end, want = one_each },
      { function(s) return s:buffer(5):buffer(1) end, want = one_each },
    },
    rate_limit = { { function(s) return s:rate_limit "10ms" end, want = one_each } },
    delay = {
      { function(s) return s:delay "10ms" end, want = one_each },
      { function(s) return s:delay("10ms", { maxsize = 1 }) end, want = one_each },
    },
    timed_window = {
      { function(s) return s:timed_window "1s" end, wait = "2s", want = { { 1, 2, 3 }, "none" } },
      { function(s) return s:timed_window("1h", { flush = true }) end, ends = true,
        want = { { 1, 2, 3 } } },
    },
    timed_window_unique = {
      { function(s) return s:timed_window_unique "1s" end, inputs = { "a", "b", "a" },
        want = { { 1, 2 } } },
      { function(s) return s:timed_window_unique("1s", { keep = "last" }) end,
        inputs = { "a", "b", "a" }, want = { { 2, 3 } } },
    },
    latest = { { function(s) return s:latest() end, want = { { 3 } } } },
    map_async = {
      { function(s) return s:map_async(same) end, want = one_each },
      { function(s)
        return s:map_async(function(x)
          tw.sleep(0.01 * x)
          return x
        end, { parallelism = 3 })
      end, inputs = { 3, 2, 1 }, want = one_each },
      { function(s)
        return s:map_async(function(x)
          tw.sleep(0.01 * x)
          return x
        end, { parallelism = 3, ordered = false })
      end, inputs = { 3, 2, 1 }, want = { { 3 }, { 2 }, { 1 } } },
    },
    timeout = { { function(s) return s:timeout "1s" end, want = one_each } },
    to_dataframe = { { function(s)
      return s:map(function(x) return tw.frame { x = { x } } end)
        :to_dataframe { schema = { x = "f64" } }.x:sum().stream
    end, want = one_each } },
    to_batch = { { function(s)
      return s:map(function(x) return { x } end):to_batch():to_stream()
    end, want = one_each } },
  }

  -- what is read from a topic is another message: spec/op/through_spec.lua; threads do not go by the
  -- virtual clock: spec/op/scatter_spec.lua
  local apart = { through = true, scatter = true, gather = true }

  for _, name in ipairs(catalog.op) do
    if apart[name] then
      assert.is_nil(cases[name])
    elseif name == "reduce" then
      it("is that of all elements, of reduce's result at the end", function()
        local want = { { 1, 2, 3 } }
        assert.same(want, run { function(s)
          return s:reduce(function(a, b) return a + b end)
        end, ends = true })
      end)
    else
      it("is passed on as it should by " .. name, function()
        assert.truthy(cases[name], "there is no case for " .. name)
        for i, case in ipairs(cases[name]) do
          local got = run(case)
          if not helper.same(case.want, got) then
            error(("case %d: expected %s\ngot %s"):format(i, helper.show(case.want), helper.show(got)))
          end
        end
      end)

      it("is there below what holds elements and " .. name, function()
        for _, case in ipairs(cases[name] or {}) do
          local build = case[1]
          local got = run { function(s) return build(s:buffer(10)) end,
            inputs = case.inputs, wait = case.wait, ends = case.ends }
          if case.ends or name ~= "collect" then helper.expect(case.want, got) end
        end
      end)
    end
  end

  it("is that of a numeric window's elements", function()
    for _, name in ipairs(catalog.agg) do
      local setting = name == "quantile" and 0.5 or nil
      helper.expect({ { 1 }, { 1, 2 }, { 2, 3 } }, run { helper.window_of(2, name, setting) })
    end
    helper.expect({ { 1, 2 }, { 2, 3 } }, run { helper.window_of(2, "sum", nil, { return_partial = false }) })
    helper.expect({ { 1 }, { 1, 2 }, { 2, 3 } }, run { function(s)
      return s:sliding_window(2):aggregate { total = tw.sum(), n = tw.count() }
    end })
  end)

  it("of a partition that times out is that of what it holds", function()
    local got = run { function(s) return s:partition(5, { timeout = "1s" }) end, wait = "2s" }
    helper.expect({ { 1, 2, 3 } }, got)
  end)

  it("of zip with itself is that of the element", function()
    for _, list in ipairs(run { function(s) return s:zip(s) end }) do
      assert.truthy(#list >= 1)
      for _, id in ipairs(list) do assert.equal(list[1], id) end
    end
  end)

  it("of windows of windows is that of all they hold, in order", function()
    helper.expect({ { 1, 2, 3, 4 } }, run { function(s)
      return s:partition(2):partition(2)
    end, inputs = { 1, 2, 3, 4 } })
    helper.expect({ { 1 }, { 1, 1, 2 }, { 1, 2, 2, 3 } }, run { function(s)
      return s:sliding_window(2):sliding_window(2)
    end })
  end)

  it("of a window taken apart goes with its last member", function()
    helper.expect({ "none", { 1, 2 }, "none", { 3, 4 } }, run { function(s)
      return s:partition(2):flatten()
    end, inputs = { 1, 2, 3, 4 } })
  end)

  it("of elements with several entries is all of them, the tables themselves", function()
    local source, seen = tw.stream(), nil
    source:partition(2):sink(function() seen = tw.metadata() end)
    local a, b, c = { id = "a" }, { id = "b", offset = 7 }, { id = "c" }
    source:emit(1, { a, b })
    source:emit(2, { c })
    assert.equal(3, #seen)
    assert.is_true(rawequal(a, seen[1]) and rawequal(b, seen[2]) and rawequal(c, seen[3]))
  end)

  it("is nothing of elements that have none, in company, too", function()
    for _, build in ipairs { holding(3), function(s) return s:timed_window("1s", { empty = false }) end } do
      local source = tw.stream()
      local log = carried(build(source))
      tw.spawn(function()
        source:emit(1)
        source:emit(2, tag "two")
        source:emit(3)
        tw.sleep "1s"
        for i = 4, 6 do source:emit(i) end
      end)
      clock:advance "3s"
      helper.expect({ { "two" }, "none" }, log)
    end
  end)

  it("is the element's own in every function that gets it", function()
    local source, log = tw.stream(), {}
    local function note(name, ...)
      log[#log + 1] = { name, ids() }
      return ...
    end
    source
      :map(function(x) return note("map", x) end)
      :filter(function() return note("filter", true) end)
      :tap(function() note "tap" end)
      :remove(function() return note("remove", false) end)
      :accumulate(function(_, x) return note("accumulate", x) end, { start = 0 })
      :unique { key = function(x) return note("key", x) end }
      :map_async(function(x) return note("map_async", x) end)
      :partition(1, { key = function(x) return note("by", x) end })
      :map(function(t) return t end)
      :flat_map(function(t) return note("flat_map", t) end)
      :sink(function() note "sink" end)
    source:emit(1, tag "a")
    clock:advance(0)
    local names = {}
    for i, row in ipairs(log) do
      names[i] = row[1]
      assert.same({ "a" }, row[2], row[1])
    end
    assert.equal("map filter tap remove accumulate key map_async by flat_map sink", table.concat(names, " "))
  end)

  it("is that of reduce's element at hand in its function", function()
    local log = {}
    run { function(s)
      return s:reduce(function(a, x)
        log[#log + 1] = ids()
        return a + x
      end, 0)
    end, ends = true }
    helper.expect(one_each, log)
  end)

  it("is nothing outside any element", function()
    assert.is_nil(tw.metadata())
    local source, log = tw.stream(), {}
    source:sink(same)
    source:emit(1, tag "a")
    assert.is_nil(tw.metadata())
    tw.spawn(function()
      source:emit(1, tag "b")
      log[1] = ids()
    end)
    clock:advance(0)
    assert.same({ "none" }, log)
    source:sink(function() error "boom" end)
    pcall(source.emit, source, 1, tag "c")
    assert.is_nil(tw.metadata())
  end)

  it("is nothing of a source's elements", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("one\ntwo\n")
    file:close()
    for _, open in ipairs {
      function() return tw.from_iterable { 1, 2 } end,
      function() return tw.from_range(1, 2) end,
      function() return tw.from_textfile(path) end,
      function() return tw.from_periodic(function() return 1 end, "1h") end,
    } do
      local source = open()
      local direct, held = carried(source), carried(source:partition(1))
      source:start()
      clock:advance "1h"
      source:stop()
      assert.same({ "none", "none" }, direct)
      assert.same({ "none", "none" }, held)
    end
    os.remove(path)
  end)

  it("is nothing of an element that follows one with metadata", function()
    helper.seeded(function(rng)
      local source = tw.stream()
      local chain = source:map(same):filter(function(x) return x % 7 ~= 0 end)
      local log, n = {}, 2000
      local wanted = {}
      chain:sink(function(x) log[#log + 1] = { x, ids() } end)
      local often = rng:pick { 0.01, 0.5, 0.99 }
      for i = 1, n do
        local with = rng:chance(often)
        source:emit(i, with and tag(i) or nil)
        if i % 7 ~= 0 then wanted[#wanted + 1] = { i, with and { i } or "none" } end
      end
      helper.expect(wanted, log)
    end, 6)
  end)

  it("goes round a feedback loop with its element", function()
    local source, log = tw.stream(), {}
    source:map(function(x) if x < 3 then return x + 1 end end):connect(source)
    source:sink(function(x) log[#log + 1] = { x, ids() } end)
    source:emit(1, tag "a")
    source:emit(2)
    source:emit(2, tag "b")
    helper.expect({ { 1, { "a" } }, { 2, { "a" } }, { 3, { "a" } }, { 2, "none" }, { 3, "none" },
      { 2, { "b" } }, { 3, { "b" } } }, log)
  end)

  it("is the receiver's own at each of several downstreams and doors", function()
    local source, other = tw.stream(), tw.stream()
    local join = source:map(same):union(other, source:map(same))
    local below, beside = carried(join:map(same)), carried(source)
    source:emit(1, tag "a")
    other:emit(2, tag "b")
    other:emit(3)
    helper.expect({ { "a" }, { "a" }, { "b" }, "none" }, below)
    helper.expect({ { "a" } }, beside)
  end)

  -- nested emits ---------------------------------------------------------------------------

  it("is nothing in a nested emit, and the element's own again after it", function()
    local source, inner, log = tw.stream(), tw.stream(), {}
    inner:sink(function() log[#log + 1] = ids() end)
    source:sink(function(x)
      log[#log + 1] = ids()
      inner:emit(x)
      log[#log + 1] = ids()
    end)
    source:emit(1, tag "a")
    helper.expect({ { "a" }, "none", { "a" } }, log)
  end)

  it("is a nested emit's own when it has some, also the outer one's passed on", function()
    local source, inner, log = tw.stream(), tw.stream(), {}
    inner:buffer(5):sink(function() log[#log + 1] = ids() end)
    source:sink(function(x)
      inner:emit(x, tag "b")
      inner:emit(x, tw.metadata())
      inner:emit(x)
      log[#log + 1] = ids()
    end)
    source:emit(1, tag "a")
    clock:advance(0)
    helper.expect({ { "a" }, { "b" }, { "a" }, "none" }, log)
  end)

  it("is nothing of what is emitted into the stream that is delivering", function()
    local source, log = tw.stream(), {}
    source:sink(function(x)
      log[#log + 1] = { x, ids() }
      if x == 1 then
        source:emit(2)
        source:emit(3, tag "c")
      end
    end)
    source:emit(1, tag "a")
    helper.expect({ { 1, { "a" } }, { 2, "none" }, { 3, { "c" } } }, log)
  end)

  it("is nothing in a nested emit that fails, and the element's own after it", function()
    local source, inner, log = tw.stream(), tw.stream(), {}
    inner:sink(function() error "boom" end)
    source:sink(function(x)
      pcall(inner.emit, inner, x, tag "b")
      log[#log + 1] = ids()
    end)
    source:emit(1, tag "a")
    helper.expect({ { "a" } }, log)
  end)

  it("below a flush in another stream's function is that of what was held", function()
    local source, other = tw.stream(), tw.stream()
    local held = source:collect()
    local log = carried(held)
    other:sink(function()
      held:flush()
      log[#log + 1] = ids()
    end)
    source:emit(1, tag "a")
    other:emit(0, tag "flusher")
    helper.expect({ { "a" }, { "flusher" } }, log)
  end)

  -- tasks ------------------------------------------------------------------------------------

  it("is still the element's own after its function was suspended", function()
    local source, log = tw.stream(), {}
    source:map(function(x)
      local before = ids()
      tw.sleep "10ms"
      log[#log + 1] = { before, ids() }
      return x
    end):sink(function() log[#log + 1] = ids() end)
    tw.spawn(function()
      source:emit(1, tag "a")
      source:emit(2)
      source:emit(3, tag "c")
    end)
    clock:advance "1s"
    helper.expect({ { { "a" }, { "a" } }, { "a" }, { "none", "none" }, "none",
      { { "c" }, { "c" } }, { "c" } }, log)
  end)

  it("of two elements suspended in the same function is each one's own", function()
    local source, log = tw.stream(), {}
    source:map_async(function(x)
      local before = ids()
      tw.sleep(x * 0.01)
      log[#log + 1] = { x, before, ids() }
      tw.sleep "5ms"
      log[#log + 1] = { x, ids() }
    end, { parallelism = 3 })
    tw.spawn(function()
      source:emit(2, tag "slow")
      source:emit(1, tag "fast")
      source:emit(1.6)
    end)
    clock:advance "1s"
    helper.expect({ { 1, { "fast" }, { "fast" } }, { 1, { "fast" } }, { 1.6, "none", "none" },
      { 2, { "slow" }, { "slow" } }, { 1.6, "none" }, { 2, { "slow" } } }, log)
  end)

  it("of two elements suspended at different places of one chain is each one's own", function()
    local source, log = tw.stream(), {}
    local function slowly(name)
      return function(x)
        local before = ids()
        tw.sleep "10ms"
        log[#log + 1] = { name, x, before, ids() }
        return x
      end
    end
    source:map(slowly "above"):buffer(1):map(slowly "below"):sink(slowly "sink")
    tw.spawn(function()
      for i = 1, 4 do source:emit(i, i ~= 3 and tag(i) or nil) end
    end)
    clock:advance "1s"
    assert.equal(12, #log)
    for _, row in ipairs(log) do
      local want = row[2] == 3 and "none" or { row[2] }
      helper.expect({ want, want }, { row[3], row[4] })
    end
  end)

  it("of two tasks that emit into two streams is each one's own", function()
    helper.seeded(function(rng)
      local wrong = {}
      local shared = tw.stream()
      local function look(x)
        local want = x.id and { x.id } or "none"
        for _ = 1, rng:int(1, 3) do
          if not helper.same(want, ids()) then
            wrong[#wrong + 1] = { want, ids() }
          end
          if rng:chance(0.5) then tw.sleep(rng:int(0, 3) * 1e-3) end
        end
        return x
      end
      shared:map(look):buffer(2):map(look):rate_limit "1ms":sink(look)
      local id = 0
      for _ = 1, 4 do
        local source = tw.stream()
        source:map(look):map_async(look, { parallelism = 2, ordered = rng:chance(0.5) })
          :delay "2ms":connect(shared)
        for _ = 1, 2 do
          tw.spawn(function()
            for _ = 1, 10 do
              id = id + 1
              local mine = rng:chance(0.7) and id or nil
              source:emit({ id = mine }, mine and tag(mine))
              if tw.metadata() ~= nil then wrong[#wrong + 1] = "a task outside any element" end
            end
          end)
        end
      end
      clock:advance "10s"
      assert.same({}, wrong)
    end, 10)
  end)

  it("of an emitter that waits for its turn, for room or for time is its element's", function()
    for _, build in ipairs {
      same,
      function(s) return s:buffer(1) end,
      function(s) return s:rate_limit "10ms" end,
      function(s) return s:delay("1ms", { maxsize = 1 }) end,
    } do
      local source, log = tw.stream(), {}
      build(source):sink(function(x)
        tw.sleep "10ms"
        log[#log + 1] = { x, ids() }
      end)
      for i = 1, 4 do
        tw.spawn(function() source:emit(i, i ~= 2 and tag(i) or nil) end)
      end
      clock:advance "1s"
      helper.expect({ { 1, { 1 } }, { 2, "none" }, { 3, { 3 } }, { 4, { 4 } } }, log)
    end
  end)

  it("of a task cancelled in the middle stays with its element", function()
    local source, log = tw.stream(), {}
    source:sink(function(x)
      tw.sleep(x)
      log[#log + 1] = ids()
    end)
    local task = tw.spawn(function() source:emit(3600, tag "a") end)
    clock:advance "1s"
    task:cancel()
    clock:advance(0)
    tw.spawn(function()
      source:emit(1)
      source:emit(1, tag "b")
    end)
    clock:advance "10s"
    helper.expect({ "none", { "b" } }, log)
  end)

  it("is given to no function at the end of a stream", function()
    local source, seen = tw.from_iterable {}, nil
    source:partition(2, { flush = true }):on_end(function() seen = ids() end)
    source:emit(1, tag "a")
    source:start()
    clock:advance(0)
    assert.equal("none", seen)
  end)

  -- policies -----------------------------------------------------------------------------------

  it("is in the dead letter of an element that failed", function()
    for _, build in ipairs {
      same,
      function(s) return s:buffer(1) end,
      function(s) return s:delay "1ms" end,
      function(s) return s:partition(2):flatten():partition(2) end,
      function(s) return s:sliding_window(2, { return_partial = false }) end,
    } do
      local source, letters, got = tw.stream(), tw.stream(), {}
      source:on_error(letters)
      letters:sink(function(letter)
        for i, entry in ipairs(letter.metadata) do got[i] = entry.id end
      end)
      local held = build(source)
      held:sink(function() error "boom" end)
      tw.spawn(function()
        source:emit(1, tag "a")
        if held ~= source then source:emit(2, tag "b") end
      end)
      clock:advance "1s"
      assert.equal(build == same and "a" or #got == 1 and "b" or "a b", table.concat(got, " "))
    end
  end)

  it("goes with the dead letter", function()
    local source, letters, got = tw.stream(), tw.stream(), nil
    source:on_error(letters)
    letters:delay("1ms"):sink(function() got = ids() end)
    source:sink(function() error "boom" end)
    source:emit(1, tag "a")
    clock:advance "1ms"
    assert.same({ "a" }, got)
  end)

  it("is absent in the dead letter of an element that has none", function()
    local source, letters = tw.stream(), tw.stream()
    local list = letters:sink_to_list()
    source:on_error(letters)
    source:sink(function() error "boom" end)
    source:emit(1)
    assert.is_nil(list[1].metadata)
  end)

  it("is the element's own in every further attempt, after the pause too", function()
    local source, log = tw.stream(), {}
    source:on_error { retry = 2, backoff = "10ms" }
    source:map(function(x)
      log[#log + 1] = ids()
      if #log < 3 then error "boom" end
      return x
    end):sink(function() log[#log + 1] = ids() end)
    tw.spawn(function() source:emit(1, tag "a") end)
    clock:advance "1s"
    helper.expect({ { "a" }, { "a" }, { "a" }, { "a" } }, log)
  end)

  it("of the next element is its own, whatever a policy did with the one before", function()
    for _, policy in ipairs { "skip", { retry = 1, ["then"] = "skip" }, tw.stream() } do
      local source = tw.stream():on_error(policy)
      local log = carried(source:map(helper.fails_on(1, same)))
      source:emit(1, tag "a")
      source:emit(2)
      source:emit(3, tag "c")
      helper.expect({ "none", { "c" } }, log)
    end
  end)

  -- misuse -------------------------------------------------------------------------------------

  it("must be an array of tables", function()
    local s = tw.stream()
    helper.misuse(function() s:emit(1, 5) end, "emit", "metadata")
    helper.misuse(function() s:emit(1, "text") end, "emit", "metadata")
    helper.misuse(function() s:emit(1, true) end, "emit", "metadata")
    helper.misuse(function() s:emit(1, { 5 }) end, "emit", "metadata")
    helper.misuse(function() s:emit(1, { {}, "text" }) end, "emit", "metadata")
    helper.misuse(function() s:emit(1, { ref = tw.ref_counter() }) end, "emit", "metadata")
  end)

  it("has counters for references, nothing else", function()
    local s = tw.stream()
    helper.misuse(function() s:emit(1, { { ref = 5 } }) end, "emit", "ref")
    helper.misuse(function() s:emit(1, { { ref = {} } }) end, "emit", "ref")
    helper.misuse(function() s:emit(1, { { ref = print } }) end, "emit", "ref")
  end)

  it("that is refused leaves the stream as it was", function()
    local s = tw.stream()
    local out = s:sink_to_list()
    assert.is_false(pcall(s.emit, s, 1, { { ref = 5 } }))
    s:emit(2, tag "a")
    assert.same({ 2 }, out)
    assert.is_nil(tw.metadata())
  end)
end)
