--- Counters of references, and the ledger by hand: what each operator holds, and until when
-- (API.md of the contract, "Metadata and reference counts"). At random: property/ledger_spec.lua.
local helper = require "helper"
local ledger = require "support.ledger"
local tw = helper.tw

local counted, state = ledger.counted, ledger.state

local function same(x) return x end

describe("a reference counter", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  it("counts from initial, by one or by n", function()
    local r = tw.ref_counter { initial = 2 }
    assert.equal(2, r:count())
    r:retain()
    r:retain(3)
    assert.equal(6, r:count())
    r:release()
    r:release(4)
    assert.equal(1, r:count())
    assert.equal(0, tw.ref_counter():count())
    assert.equal(0, tw.ref_counter {}:count())
  end)

  it("calls back once, when it comes to zero, as a task of the loop", function()
    local ref = counted(2)
    ref.counter:release()
    clock:advance(0)
    assert.equal(0, ref.fired)
    ref.counter:release()
    assert.equal(0, ref.fired) -- not within release
    clock:advance(0)
    assert.equal(1, ref.fired)
    ref.counter:retain()
    ref.counter:release()
    clock:advance(0)
    assert.equal(1, ref.fired)
  end)

  it("does not call back at its beginning, nor without a callback", function()
    local ref = counted(0)
    clock:advance(0)
    assert.equal(0, ref.fired)
    local plain = tw.ref_counter { initial = 1 }
    plain:release()
    clock:advance(0)
    assert.equal(0, plain:count())
  end)

  it("may wait in its callback, and fail there like any task", function()
    local log = {}
    local r = tw.ref_counter { initial = 1, callback = function()
      tw.sleep "10ms"
      log[1] = helper.ms(clock)
    end }
    r:release()
    clock:advance "1s"
    assert.same({ 10 }, log)
    local bad = tw.ref_counter { initial = 1, callback = function() error "boom" end }
    bad:release()
    local ok, err = pcall(clock.advance, clock, 0)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
  end)

  it("calls back in the order in which elements are through", function()
    local source, order = tw.stream(), {}
    source:sink(same)
    for i = 1, 5 do
      source:emit(i, { { ref = tw.ref_counter { callback = function() order[#order + 1] = i end } } })
    end
    clock:advance(0)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("may be shared by elements: with a count of its own it waits for all", function()
    local source, ref = tw.stream(), counted(1)
    source:buffer(1):sink(function() tw.sleep "10ms" end)
    tw.spawn(function()
      for i = 1, 3 do source:emit(i, { { ref = ref.counter } }) end
      ref.counter:release()
    end)
    clock:advance "29ms"
    assert.equal("held", state(ref))
    clock:advance "1ms"
    assert.equal("done", state(ref))
  end)

  it("refuses what is no whole number, no function, no setting", function()
    helper.misuse(function() tw.ref_counter(5) end, "ref_counter")
    helper.misuse(function() tw.ref_counter { initial = "1" } end, "ref_counter", "initial")
    helper.misuse(function() tw.ref_counter { initial = -1 } end, "ref_counter")
    helper.misuse(function() tw.ref_counter { initial = 0.5 } end, "ref_counter")
    helper.misuse(function() tw.ref_counter { callback = 5 } end, "ref_counter", "callback")
    helper.misuse(function() tw.ref_counter { count = 1 } end, "ref_counter", "count", "initial")
    local r = tw.ref_counter { initial = 5 }
    helper.misuse(function() r:retain "1" end, "retain")
    helper.misuse(function() r:retain(-1) end, "retain")
    helper.misuse(function() r:release(0.5) end, "release")
    assert.equal(5, r:count())
  end)
end)

describe("the ledger", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  --- A book of counted elements: emit(stream, x) in a task, states() of all in order of emission.
  local function book()
    local self = { refs = {} }
    --- The metadata of a new element.
    function self.new()
      local ref = counted()
      self.refs[#self.refs + 1] = ref
      return { { ref = ref.counter, id = #self.refs } }
    end
    --- Emit elements into a stream one after the other, each counted. Errors are kept.
    function self.emit(stream, ...)
      local list = { ... }
      local metadata = {}
      for i = 1, #list do metadata[i] = self.new() end
      return tw.spawn(function()
        for i = 1, #list do
          local ok, err = pcall(stream.emit, stream, list[i], metadata[i])
          if not ok then self.error = helper.message(err) end
        end
      end)
    end
    --- The states of all after a while (which may raise what failed: kept, too).
    function self.after(duration)
      local ok, err = pcall(clock.advance, clock, duration or 0)
      if not ok then
        self.error = helper.message(err)
        clock:advance(0)
      end
      local list = {}
      for i, ref in ipairs(self.refs) do list[i] = state(ref) end
      return table.concat(list, " ")
    end
    return self
  end

  local function slow() tw.sleep "10ms" end

  -- operators that hold nothing: name -> build, what is emitted (default 1, 2, 3)
  local through = {
    map = { function(s) return s:map(same) end },
    ["map to nil"] = { function(s) return s:map(function() end) end },
    starmap = { function(s) return s:starmap(function(a) return a end) end, { { 1 }, { 2 } } },
    filter = { function(s) return s:filter(function(x) return x == 2 end) end },
    remove = { function(s) return s:remove(function(x) return x == 2 end) end },
    filter_map = { function(s) return s:filter_map(function(x) if x == 2 then return x end end) end },
    flat_map = { function(s) return s:flat_map(function(x) return x > 1 and { x, x } or {} end) end, pieces = true },
    flatten = { function(s) return s:flatten() end, { { 1, 2 }, {}, { 3 } }, pieces = true },
    tap = { function(s) return s:tap(same) end },
    enumerate = { function(s) return s:enumerate() end },
    accumulate = { function(s) return s:accumulate(function(a, b) return a + b end) end },
    frequencies = { function(s) return s:frequencies() end },
    pluck = { function(s) return s:pluck "a" end, { { a = 1 }, { b = 1 } } },
    unique = { function(s) return s:unique() end, { "a", "a", "b" } },
    ["unique with a limit"] = { function(s) return s:unique { maxsize = 1 } end, { "a", "b", "b", "a" } },
    distinct = { function(s) return s:distinct() end, { "a", "a" } },
    slice = { function(s) return s:slice(2, 2) end },
    take = { function(s) return s:take(2) end },
    skip = { function(s) return s:skip(2) end },
    union = { function(s) return s:union(s:map(same)) end },
    decode = { function(s) return s:decode "json" end, { "1", "[]" } },
    encode = { function(s) return s:encode "json" end },
    ["zip with itself"] = { function(s) return s:zip(s) end },
    ["zip of two branches"] = { function(s) return s:map(same):zip(s:map(same)) end },
    ["sliding_window of 1"] = { function(s) return s:sliding_window(1) end },
    ["partition of 1"] = { function(s) return s:partition(1) end },
    ["partition_unique of 1"] = { function(s) return s:partition_unique(1) end },
    buffer = { function(s) return s:buffer(2) end },
    delay = { function(s) return s:delay "1ms" end },
    rate_limit = { function(s) return s:rate_limit "1ms" end },
    latest = { function(s) return s:latest() end },
    map_async = { function(s) return s:map_async(same) end },
    ["map_async to nil"] = { function(s) return s:map_async(function() end) end },
    ["map_async, unordered"] = {
      function(s) return s:map_async(same, { parallelism = 2, ordered = false }) end,
    },
    timeout = { function(s) return s:timeout "1s" end },
    timed_window = { function(s) return s:timed_window("20ms", { empty = false }) end },
    timed_window_unique = {
      function(s) return s:timed_window_unique("20ms", { empty = false }) end, { "a", "a", "b" },
    },
    ["timed_window_unique, keep last"] = {
      function(s) return s:timed_window_unique("20ms", { empty = false, keep = "last" }) end,
      { "a", "b", "a" },
    },
    ["partition with a timeout"] = { function(s) return s:partition(2, { timeout = "20ms" }) end },
  }

  for name, row in pairs(through) do
    it("is even in the end, once: " .. name, function()
      for _, busy in ipairs { same, slow } do
        local source, all = tw.stream(), book()
        local held = row[1](source)
        held:sink(busy)
        all.emit(source, unpack(row[2] or { 1, 2, 3 }))
        local want = ("done "):rep(#all.refs):sub(1, -2)
        assert.equal(want, all.after "1s")
        assert.is_nil(all.error)
      end
    end)

    it("is even without anything below: " .. name, function()
      local source, all = tw.stream(), book()
      local held = row[1](source)
      all.emit(source, unpack(row[2] or { 1, 2, 3 }))
      assert.equal(("done "):rep(#all.refs):sub(1, -2), all.after "1s")
      assert.is_nil(all.error)
      held:destroy()
    end)

    it("keeps what failed below for ever: " .. name, function()
      local source, all, failed = tw.stream(), book(), {}
      row[1](source):sink(function()
        tw.sleep "1ms"
        for _, entry in ipairs(tw.metadata() or {}) do failed[entry.id] = true end
        error "boom"
      end)
      for _, x in ipairs(row[2] or { 1, 2, 3 }) do
        all.emit(source, x)
        all.after "100ms"
      end
      for id, ref in ipairs(all.refs) do
        if not row.pieces then assert.equal(failed[id] and "held" or "done", state(ref), "element " .. id) end
      end
      assert.equal(name:find "to nil" and 0 or 1, all.error == "boom" and 1 or 0)
    end)

    it("is even when a policy skips what fails below: " .. name, function()
      local source, all = tw.stream(), book()
      source:on_error "skip"
      row[1](source):sink(function()
        tw.sleep "1ms"
        error "boom"
      end)
      all.emit(source, unpack(row[2] or { 1, 2, 3 }))
      assert.equal(("done "):rep(#all.refs):sub(1, -2), all.after "1s")
      assert.is_nil(all.error)
    end)
  end

  it("holds an element until all its pieces are through", function()
    for _, build in ipairs {
      function(s) return s:flatten() end,
      function(s) return s:flat_map(same) end,
    } do
      local source, all = tw.stream(), book()
      build(source):sink(slow)
      all.emit(source, { 1, 2, 3 })
      assert.equal("held", all.after "29ms")
      assert.equal("done", all.after "1ms")
    end
  end)

  it("holds an element whose pieces overtake each other until the slowest is through", function()
    local source, all = tw.stream(), book()
    source:flatten():map_async(tw.sleep, { parallelism = 2, ordered = false })
    all.emit(source, { 0.05, 0.01 })
    assert.equal("held", all.after "49ms")
    assert.equal("done", all.after "1ms")
  end)

  it("holds an element whose pieces have been joined with others until the slowest is through", function()
    for want, join in pairs {
      ["held done"] = function(a, b) return a:zip_latest(b) end,
      ["done done"] = function(a, b) return a:zip(b:map(function() return { 1, 2 } end):flatten()) end,
    } do
      local source, other, all = tw.stream(), tw.stream(), book()
      join(source:flatten(), other):map_async(function(t) tw.sleep(t[1]) end,
        { parallelism = 2, ordered = false }):sink(same)
      all.emit(other, 0)
      all.emit(source, { 0.05, 0.01 })
      assert.equal("held held", all.after "49ms")
      assert.equal(want, all.after "1ms")
    end
  end)

  it("keeps an element for ever of which a piece failed", function()
    local source, all = tw.stream(), book()
    source:flatten():sink(function(x) if x == 1 then error "boom" end end)
    all.emit(source, { 0, 1, 2 })
    assert.equal("held", all.after())
    assert.equal("boom", all.error)
  end)

  it("keeps an element for ever of which a piece failed behind a buffer", function()
    local source, all = tw.stream(), book()
    source:flatten():buffer(5):sink(function(x) if x == 1 then error "boom" end end)
    all.emit(source, { 0, 1, 2 })
    all.after()
    assert.equal("held", all.after())
    assert.equal("boom", all.error)
  end)

  it("holds the newest n - 1 of a sliding window", function()
    for _, build in ipairs {
      function(s) return s:sliding_window(3) end,
      function(s) return s:sliding_window(3, { return_partial = false }) end,
      helper.window_of(3, "sum"), helper.window_of(3, "max"), helper.window_of(3, "median"),
      function(s) return s:sliding_window(3):aggregate { n = tw.count() } end,
    } do
      local source, all = tw.stream(), book()
      build(source):sink(same)
      for _, want in ipairs { "held", "held held", "done held held", "done done held held" } do
        all.emit(source, 1)
        assert.equal(want, all.after())
      end
      assert.equal(1, all.refs[4].counter:count())
    end
  end)

  it("holds the whole window while it is on its way", function()
    local source, all = tw.stream(), book()
    source:sliding_window(2):sink(slow)
    all.emit(source, 1, 2)
    assert.equal("held held", all.after "19ms")
    assert.equal("done held", all.after "1ms")
  end)

  it("holds in a numeric window what has failed below it, and not what it has refused", function()
    for _, build in ipairs {
      helper.window_of(3, "sum"),
      function(s) return s:sliding_window(3):aggregate { sum = tw.sum() } end,
    } do
      for _, policy in ipairs { "raise", "skip" } do
        local source, all, log = tw.stream():on_error(policy), book(), {}
        build(source):sink(function()
          log[#log + 1] = {}
          for i, entry in ipairs(tw.metadata()) do log[#log][i] = entry.id end
          if #log == 1 then error "boom" end
        end)
        all.emit(source, 1, "text", 2, 3, 4)
        local kept = policy == "raise" and "held held" or "done done"
        assert.equal(kept .. " done held held", all.after())
        assert.same({ { 1 }, { 1, 3 }, { 1, 3, 4 }, { 3, 4, 5 } }, log)
      end
    end
  end)

  it("holds the window of a window until it has left both", function()
    local source, all = tw.stream(), book()
    source:sliding_window(2):sliding_window(2):sink(same)
    for _, want in ipairs { "held", "held held", "done held held", "done done held held" } do
      all.emit(source, 1)
      assert.equal(want, all.after())
    end
  end)

  it("holds a partition until its array is through", function()
    local source, all = tw.stream(), book()
    source:partition(2):sink(slow)
    all.emit(source, 1)
    assert.equal("held", all.after "1s")
    assert.equal(1, all.refs[1].counter:count())
    all.emit(source, 2, 3) -- the third comes when the second is through
    assert.equal("held held new", all.after "9ms")
    assert.equal("done done held", all.after "1ms")
  end)

  it("holds each key's partition by itself", function()
    local source, all = tw.stream(), book()
    source:partition(2, { key = function(x) return x % 2 end }):sink(same)
    all.emit(source, 1, 2, 3, 4, 5)
    assert.equal("done done done done held", all.after())
  end)

  it("holds a partition until its timeout, then until its array is through", function()
    local source, all = tw.stream(), book()
    source:partition(3, { timeout = "1s" }):sink(slow)
    all.emit(source, 1, 2)
    assert.equal("held held", all.after "1009ms")
    assert.equal("done done", all.after "1ms")
  end)

  it("lets duplicates of partition_unique go at once, and what is kept with its array", function()
    local source, all = tw.stream(), book()
    source:partition_unique(2):sink(slow)
    all.emit(source, "a", "a")
    assert.equal("held done", all.after())
    all.emit(source, "b")
    assert.equal("held done held", all.after "9ms")
    assert.equal("done done done", all.after "1ms")
    source, all = tw.stream(), book()
    source:partition_unique(2, { keep = "last" }):sink(same)
    all.emit(source, "a", "a")
    assert.equal("done held", all.after())
    all.emit(source, "b", "c")
    assert.equal("done done done held", all.after())
  end)

  it("holds what is collected until the flush is through, and lets go of what has no room", function()
    local source, all = tw.stream(), book()
    local held = source:collect()
    held:sink(slow)
    all.emit(source, 1, 2)
    assert.equal("held held", all.after "1s")
    tw.spawn(function() held:flush() end)
    assert.equal("held held", all.after "9ms")
    assert.equal("done done", all.after "1ms")
    all.emit(source, 3)
    assert.equal("done done held", all.after "1s")

    source, all = tw.stream(), book()
    held = source:collect { maxsize = 2 }
    held:sink(same)
    all.emit(source, 1, 2, 3)
    assert.equal("done held held", all.after())
    held:flush()
    assert.equal("done done done", all.after())
  end)

  it("holds the element that flushes until what it flushed is through", function()
    local source, other, all = tw.stream(), tw.stream(), book()
    local held = source:collect()
    held:sink(slow)
    other:sink(function() held:flush() end)
    all.emit(source, 1)
    all.emit(other, 1)
    assert.equal("held held", all.after "9ms")
    assert.equal("done done", all.after "1ms")
  end)

  it("holds what zip waits with until the tuple is through", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    a:zip(b):sink(slow)
    all.emit(a, 1, 2)
    assert.equal("held held", all.after "1s")
    assert.equal(1, all.refs[2].counter:count())
    all.emit(b, 3)
    assert.equal("held held held", all.after "9ms")
    assert.equal("done held done", all.after "1ms")
    all.emit(b, 4, 5)
    assert.equal("done done done done held", all.after "1s")
  end)

  it("holds what waits for room in zip", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    tw.zip({ a, b }, { maxsize = 1 }):sink(same)
    all.emit(a, 1, 2)
    assert.equal("held held", all.after "1s")
    all.emit(b, 3, 4)
    assert.equal("done done done done", all.after "1s")
  end)

  it("lets go of what an upstream of zip had given when it is disconnected", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    local both = a:zip(b)
    both:sink(same)
    all.emit(a, 1, 2)
    assert.equal("held held", all.after())
    a:disconnect(both)
    assert.equal("done done", all.after())
  end)

  it("lets go of what zip_latest keeps for its receiver when that is disconnected", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    local both = a:zip_latest(b)
    both:sink(same)
    all.emit(a, 1, 2)
    assert.equal("held held", all.after())
    a:disconnect(both)
    assert.equal("done done", all.after())
  end)

  it("delivers what becomes complete when an upstream of zip is disconnected", function()
    local a, b, c, all = tw.stream(), tw.stream(), tw.stream(), book()
    local three = a:zip(b, c)
    three:sink(same)
    all.emit(a, 1)
    all.emit(b, 2)
    assert.equal("held held", all.after())
    c:disconnect(three)
    assert.equal("done done", all.after())
  end)

  it("holds the latest of combine_latest until there is a newer one", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    a:combine_latest(b):sink(slow)
    all.emit(a, 1)
    assert.equal("held", all.after "1s")
    all.emit(a, 2)
    assert.equal("done held", all.after "1s")
    all.emit(b, 3)
    assert.equal("done held held", all.after "1s")
    assert.equal(1, all.refs[2].counter:count())
    all.emit(a, 4)
    assert.truthy(all.after("9ms"):find "^done %a+ held held$")
    assert.equal("done done held held", all.after "1ms")
  end)

  it("lets go of the latest of an upstream of combine_latest that is disconnected", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    local both = a:combine_latest(b)
    both:sink(same)
    all.emit(a, 1)
    all.emit(b, 2)
    assert.equal("held held", all.after())
    a:disconnect(both)
    assert.equal("done held", all.after())
  end)

  it("holds what zip_latest keeps: the receiver's until its tuple, the others' until a newer one", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    a:zip_latest(b):sink(slow)
    all.emit(a, 1, 2)
    assert.equal("held held", all.after "1s")
    all.emit(b, 3)
    assert.equal("held held held", all.after "9ms")
    assert.equal("done done held", all.after "1s")
    all.emit(b, 4)
    assert.equal("done done done held", all.after "1s")
    all.emit(a, 5)
    assert.equal("done done done held held", all.after "9ms")
    assert.equal("done done done held done", all.after "1ms")
  end)

  it("holds what a buffer holds, and what waits for room, each until it is through", function()
    local source, all = tw.stream(), book()
    source:buffer(2):sink(slow)
    all.emit(source, 1, 2, 3)
    assert.equal("held held held", all.after "9ms")
    assert.equal("done held held", all.after "1ms")
    assert.equal("done done held", all.after "10ms")
    assert.equal("done done done", all.after "10ms")
  end)

  it("holds what is delayed until it is through", function()
    local source, all = tw.stream(), book()
    source:delay "1s":sink(slow)
    all.emit(source, 1, 2)
    assert.equal("held held", all.after "1009ms")
    assert.equal("done held", all.after "1ms")
    assert.equal("done done", all.after "10ms")
  end)

  it("holds what a rate limit holds back", function()
    local source, all = tw.stream(), book()
    source:rate_limit "1s":sink(same)
    all.emit(source, 1)
    all.emit(source, 2)
    all.emit(source, 3)
    assert.equal("done held held", all.after "999ms")
    assert.equal("done done held", all.after "1ms")
    assert.equal("done done done", all.after "1s")
  end)

  it("lets latest's overwritten ones go at once, its newest when it is through", function()
    local source, all = tw.stream(), book()
    source:latest():sink(slow)
    all.emit(source, 1)
    assert.equal("held", all.after "1ms")
    all.emit(source, 2, 3)
    assert.equal("held done held", all.after "8ms")
    assert.equal("done done held", all.after "1ms")
    assert.equal("done done done", all.after "10ms")
  end)

  it("holds what map_async works on, and what waits for an earlier result", function()
    local source, all = tw.stream(), book()
    source:map_async(function(x)
      tw.sleep(x)
      return x
    end, { parallelism = 2 }):sink(same)
    all.emit(source, 0.05, 0.01, 0.01)
    assert.equal("held held held", all.after "49ms")
    assert.equal("done done done", all.after "1ms")
    source, all = tw.stream(), book()
    source:map_async(function(x)
      tw.sleep(x)
      return x
    end, { parallelism = 2, ordered = false }):sink(slow)
    all.emit(source, 0.05, 0.01)
    assert.equal("held held", all.after "19ms")
    assert.equal("held done", all.after "1ms")
    assert.equal("done done", all.after "40ms")
  end)

  it("keeps what map_async's function failed on for ever, skipped it is let go", function()
    local source, all = tw.stream(), book()
    source:map_async(function() error "boom" end):sink(same)
    all.emit(source, 1)
    all.after()
    assert.equal("held", all.after())
    source, all = tw.stream():on_error "skip", book()
    source:map_async(function()
      tw.sleep "10ms"
      error "boom"
    end):sink(same)
    all.emit(source, 1)
    assert.equal("held", all.after "9ms")
    assert.equal("done", all.after "1ms")
  end)

  it("holds a timed window until it is through", function()
    for _, build in ipairs {
      function(s) return s:timed_window "1s" end,
      function(s) return s:timed_window_unique "1s" end,
      function(s) return s:timed_window_unique("1s", { keep = "last" }) end,
    } do
      local source, all = tw.stream(), book()
      build(source):sink(slow)
      all.emit(source, 1, 2)
      assert.equal("held held", all.after "1009ms")
      assert.equal("done done", all.after "1ms")
    end
  end)

  it("lets duplicates of timed_window_unique go at once", function()
    local source, all = tw.stream(), book()
    source:timed_window_unique "1s":sink(same)
    all.emit(source, "a", "a")
    assert.equal("held done", all.after())
    source, all = tw.stream(), book()
    source:timed_window_unique("1s", { keep = "last" }):sink(same)
    all.emit(source, "a", "a")
    assert.equal("done held", all.after())
  end)

  it("holds what timed_window has no room for yet", function()
    local source, all = tw.stream(), book()
    source:timed_window("10ms", { empty = false }):sink(function() tw.sleep "100ms" end)
    all.emit(source, 1)
    all.after "11ms"
    all.emit(source, 2)
    all.after "10ms"
    all.emit(source, 3)
    assert.equal("held held held", all.after "80ms")
    assert.equal("done done done", all.after "1s")
  end)

  it("keeps what timed out for ever, skipped it is let go", function()
    local source, all = tw.stream(), book()
    source:timeout "10ms":sink(function() tw.sleep "1h" end)
    all.emit(source, 1)
    assert.equal("held", all.after "2h")
    assert.equal("timeout", all.error)
    source, all = tw.stream():on_error "skip", book()
    source:timeout "10ms":sink(function() tw.sleep "1h" end)
    all.emit(source, 1)
    assert.equal("held", all.after "9ms")
    assert.equal("done", all.after "1ms")
  end)

  it("holds an element until the slowest of its branches is through", function()
    local source, all = tw.stream(), book()
    source:buffer(1):sink(function() tw.sleep "30ms" end)
    source:delay "20ms":sink(same)
    source:sink(slow)
    all.emit(source, 1)
    assert.equal("held", all.after "29ms")
    assert.equal("done", all.after "1ms")
  end)

  it("keeps an element for ever of which one branch failed", function()
    local source, all = tw.stream(), book()
    source:buffer(1):sink(function() error "boom" end)
    source:delay "20ms":sink(same)
    source:sink(slow)
    all.emit(source, 1)
    all.after "1s"
    assert.equal("held", all.after "1s")
    assert.equal("boom", all.error)
  end)

  it("keeps all of a window for ever that failed, and no other", function()
    local source, all = tw.stream(), book()
    source:partition(2):sink(function(t) if t[2] == 2 then error "boom" end end)
    all.emit(source, 1, 2, 3, 4)
    assert.equal("held held done done", all.after())
    assert.equal("boom", all.error)
    source, all = tw.stream(), book()
    source:sliding_window(2):sink(function(t) if t[2] == 3 then error "boom" end end)
    all.emit(source, 1, 2, 3, 4, 5)
    assert.equal("done held held done held", all.after())
  end)

  it("keeps both sides of a tuple that failed", function()
    local a, b, all = tw.stream(), tw.stream(), book()
    a:zip(b):sink(function() error "boom" end)
    all.emit(a, 1)
    all.emit(b, 2)
    assert.equal("held held", all.after())
  end)

  it("keeps an element on which the operator itself failed; skipped it is let go", function()
    local function bad() error "boom" end
    for _, row in ipairs {
      { function(s) return s:map(bad) end, 1 },
      { function(s) return s:filter(bad) end, 1 },
      { function(s) return s:accumulate(bad, { start = 0 }) end, 1 },
      { function(s) return s:unique { key = bad } end, 1 },
      { function(s) return s:unique() end, 0 / 0 },
      { function(s) return s:partition(2, { key = bad }) end, 1 },
      { function(s) return s:partition_unique(2, { key = bad }) end, 1 },
      { function(s) return s:timed_window_unique("1s", { key = bad }) end, 1 },
      { function(s) return s:flatten() end, 1 },
      { function(s) return s:decode "json" end, "[" },
      { function(s) return s:encode "json" end, print },
      { function(s) return s:sliding_window(2):sum() end, "text" },
    } do
      local source, all = tw.stream(), book()
      row[1](source):sink(same)
      all.emit(source, row[2])
      assert.equal("held", all.after "2s")
      assert.truthy(all.error)
      source, all = tw.stream():on_error "skip", book()
      row[1](source):sink(same)
      all.emit(source, row[2])
      assert.equal("done", all.after "2s")
      assert.is_nil(all.error)
    end
  end)

  it("holds an element while its policy tries again", function()
    local source, all, n = tw.stream(), book(), 0
    source:on_error { retry = 2, backoff = "10ms" }
    source:sink(function()
      n = n + 1
      if n < 3 then error "boom" end
    end)
    all.emit(source, 1)
    assert.equal("held", all.after "29ms")
    assert.equal("done", all.after "1ms")
  end)

  it("keeps an element for ever on which all attempts failed", function()
    local source, all = tw.stream(), book()
    source:on_error { retry = 2, backoff = "10ms" }
    source:sink(function() error "boom" end)
    all.emit(source, 1)
    assert.equal("held", all.after "1s")
    assert.equal("boom", all.error)
  end)

  it("holds an element until its dead letter is through", function()
    local source, letters, all = tw.stream(), tw.stream(), book()
    source:on_error(letters)
    source:sink(function() error "boom" end)
    letters:sink(slow)
    all.emit(source, 1)
    assert.equal("held", all.after "9ms")
    assert.equal("done", all.after "1ms")
  end)

  it("holds an element until its dead letter has left the buffers on its way", function()
    local source, letters, all = tw.stream(), tw.stream(), book()
    source:on_error(letters)
    source:sink(function() error "boom" end)
    letters:buffer(2):partition(2):sink(slow)
    all.emit(source, 1)
    assert.equal("held", all.after "1s")
    all.emit(source, 2)
    assert.equal("held held", all.after "9ms")
    assert.equal("done done", all.after "1ms")
  end)

  it("holds an element that has been tried until what took it lets go", function()
    local source, ref = tw.stream(), counted()
    source:buffer(1):sink(slow)
    assert.is_true(source:try_emit(1, { { ref = ref.counter } }))
    assert.is_false(source:try_emit(2, { { ref = ref.counter } }))
    clock:advance "9ms"
    assert.equal("held", state(ref))
    clock:advance "1ms"
    assert.equal("done", state(ref))
    assert.has_error(function() source:try_emit(1, 2) end)
  end)

  it("holds an element in feedback until the loop is over", function()
    local source, all = tw.stream(), book()
    source:map(function(x)
      tw.sleep "10ms"
      if x < 3 then return x + 1 end
    end):connect(source)
    all.emit(source, 1)
    all.emit(source, 3)
    assert.equal("held held", all.after "29ms")
    assert.equal("done held", all.after "1ms")
    assert.equal("done done", all.after "10ms")
  end)

  it("does not hold an element for what is emitted without its metadata", function()
    local source, inner, all = tw.stream(), tw.stream(), book()
    inner:buffer(1):sink(slow)
    source:sink(function(x) inner:emit(x) end)
    all.emit(source, 1)
    assert.equal("done", all.after())
  end)

  it("holds an element for what is emitted with its metadata", function()
    local source, inner, all = tw.stream(), tw.stream(), book()
    inner:buffer(1):sink(slow)
    source:sink(function(x) inner:emit(x, tw.metadata()) end)
    all.emit(source, 1)
    assert.equal("held", all.after "9ms")
    assert.equal("done", all.after "1ms")
  end)

  it("is even for an element emitted into nothing", function()
    local source, all = tw.stream(), book()
    all.emit(source, 1)
    assert.equal("done", all.after())
  end)

  it("is even outside tasks, the callback on the next turn", function()
    local source, ref = tw.stream(), counted()
    source:map(same):sink(same)
    source:emit(1, { { ref = ref.counter } })
    assert.equal(0, ref.counter:count())
    assert.equal(0, ref.fired)
    tw.step()
    assert.equal("done", state(ref))
  end)

  it("counts every entry of an element's metadata, twice the same one too", function()
    local source, one, two = tw.stream(), counted(), counted()
    source:partition(2):sink(same)
    source:emit(1, { { ref = one.counter }, { ref = two.counter }, { ref = one.counter }, { note = "no ref" } })
    clock:advance(0)
    assert.equal("held held", state(one) .. " " .. state(two))
    source:emit(2)
    clock:advance(0)
    assert.equal("done done", state(one) .. " " .. state(two))
  end)

  it("keeps an element whose delivery was cancelled", function()
    local source, all = tw.stream(), book()
    source:sink(function() tw.sleep "1h" end)
    local task = all.emit(source, 1)
    all.after "1s"
    task:cancel()
    assert.equal("held", all.after "2h")
  end)

  it("holds what a destroyed operator still delivers", function()
    for _, build in ipairs {
      function(s) return s:buffer(5) end,
      function(s) return s:delay "1ms" end,
      function(s) return s:map_async(same) end,
      function(s) return s:latest() end,
    } do
      local source, all = tw.stream(), book()
      local held = build(source)
      held:sink(slow)
      all.emit(source, 1)
      assert.equal("held", all.after "2ms")
      held:destroy()
      assert.equal("done", all.after "1s")
    end
  end)

  it("is even at the end of a stream for what is emitted there", function()
    for _, build in ipairs {
      function(s) return s:partition(5, { flush = true }) end,
      function(s) return s:partition(5, { flush = true, key = function(x) return x end }) end,
      function(s) return s:partition_unique(5, { flush = true }) end,
      function(s) return s:sliding_window(5, { return_partial = false, flush = true }) end,
      function(s) return s:collect { flush = true } end,
      function(s) return s:timed_window("1h", { flush = true }) end,
      function(s) return s:timed_window_unique("1h", { flush = true }) end,
      function(s) return s:take_last(3) end,
      function(s) return s:reduce(function(a, b) return a + b end) end,
      function(s) return s:buffer(5) end,
      function(s) return s:delay "1h" end,
    } do
      local source, all = tw.from_iterable {}, book()
      build(source):sink(slow)
      all.emit(source, 1, 2, 3)
      all.after()
      for _, ref in ipairs(all.refs) do assert.equal("held", state(ref)) end
      source:start()
      assert.equal("done done done", all.after "2h")
    end
  end)

  it("keeps what the end of a stream drops: nothing was made of it", function()
    for _, build in ipairs {
      function(s) return s:partition(5) end,
      function(s) return s:partition(5, { key = function(x) return x end }) end,
      function(s) return s:partition_unique(5) end,
      function(s) return s:sliding_window(5, { return_partial = false }) end,
      function(s) return s:collect() end,
      function(s) return s:timed_window "1h" end,
      function(s) return s:timed_window_unique "1h" end,
      function(s) return s:zip(tw.from_iterable {}) end,
      function(s) return s:zip_latest(tw.from_iterable {}) end,
    } do
      local source, all = tw.from_iterable {}, book()
      build(source):sink(same)
      all.emit(source, 1, 2, 3)
      all.after()
      source:start()
      assert.equal("held held held", all.after "2h")
    end
  end)

  it("is even at the end of a stream for what has been in all its windows and tuples", function()
    for _, build in ipairs {
      function(s) return s:sliding_window(2) end,
      function(s) return s:sliding_window(5) end,
      function(s) return s:sliding_window(2, { return_partial = false }) end,
      helper.window_of(2, "sum"),
      function(s) return s:combine_latest(s:map(same)) end,
      function(s) return s:zip_latest(s:map(same)) end,
    } do
      local source, all = tw.from_iterable {}, book()
      build(source):sink(same)
      all.emit(source, 1, 2, 3)
      assert.truthy(all.after():find "held$")
      source:start()
      assert.equal("done done done", all.after())
    end
  end)

  it("holds the last of take_last, and lets the others go", function()
    local source, all = tw.from_iterable {}, book()
    source:take_last():sink(slow)
    all.emit(source, 1, 2)
    assert.equal("done held", all.after())
    source:start()
    assert.equal("done held", all.after "9ms")
    assert.equal("done done", all.after "1ms")
  end)
end)
