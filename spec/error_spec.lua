--- The contract of errors (black box): what reaches the emitter, what stays as it was, the
-- policies, and misuse at the user's line.
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, misuse, first_line = bb.append, bb.failure, bb.misuse, bb.first_line

local function same(x) return x end

--- Fails with "bad X" on the given elements, else passes x on.
local function failing_on(...)
  local bad = {}
  for i = 1, select("#", ...) do bad[select(i, ...)] = true end
  return function(x)
    if bad[x] then error("bad " .. tostring(x), 0) end
    return x
  end
end

describe("an error in a user function", function()
  it("reaches the caller of emit", function()
    local source = tw.stream()
    source:map(failing_on(2)):sink(same)
    source:emit(1)
    assert.equal("bad 2", first_line(failure(source.emit, source, 2)))
  end)

  it("that is an object is untouched", function()
    local object = setmetatable({ code = 7 }, { __tostring = function() return "seven" end })
    for _, build in ipairs {
      function(s, f) s:map(f):sink(same) end,
      function(s, f) s:filter(f):sink(same) end,
      function(s, f) s:sink(f) end,
      function(s, f) s:accumulate(f, { start = 0 }):sink(same) end,
      function(s, f) s:map(same):unique { key = f }:sink(same) end,
    } do
      local source = tw.stream()
      build(source, function() error(object) end)
      assert.is_true(rawequal(object, failure(source.emit, source, 1)))
    end
  end)

  it("that is a number, a boolean or nil is still an error", function()
    for _, value in ipairs { 42, false, print } do
      local source = tw.stream()
      source:map(function() error(value, 0) end):sink(same)
      assert.equal(value, failure(source.emit, source, 1))
    end
    local source = tw.stream()
    source:map(function() error() end):sink(same)
    assert.is_false((pcall(source.emit, source, 1)))
  end)

  it("that is a string has its own text first", function()
    local source = tw.stream()
    source:map(function() error("own text", 0) end):sink(same)
    local err = failure(source.emit, source, 1)
    assert.equal("own text\n", err:sub(1, 9))
  end)

  it("keeps all lines of its own text first", function()
    local source = tw.stream()
    source:map(function() error("one\ntwo", 0) end):sink(same)
    local err = failure(source.emit, source, 1)
    assert.equal("one\ntwo\n", err:sub(1, 8))
  end)

  it("by the runtime itself has its position and text first", function()
    local source = tw.stream()
    source:map(function(x) return x.field.deeper end):sink(same)
    local text = first_line(failure(source.emit, source, {}))
    assert.is_truthy(text:match "error_spec%.lua:%d+: attempt to index field 'field'", text)
  end)

  it("names the operator", function()
    local function fail() error("boom", 0) end
    for name, build in pairs {
      ["<map: parse>"] = function(s) s:map(fail):named("parse"):sink(same) end,
      ["<filter>"] = function(s) s:filter(fail):sink(same) end,
      ["<accumulate: total>"] = function(s)
        s:accumulate(fail, { start = 0 }):named("total"):sink(same)
      end,
      ["<sink: out>"] = function(s) s:sink(fail):named("out") end,
      ["<unique: once>"] = function(s) s:unique { key = fail }:named("once"):sink(same) end,
      ["<tap>"] = function(s) s:tap(fail):sink(same) end,
    } do
      local source = tw.stream()
      build(source)
      local err = failure(source.emit, source, 1)
      assert.equal("boom", first_line(err))
      assert.is_true(bb.has(err, name), err .. "\nnames no " .. name)
    end
  end)

  it("has a traceback through the user's own lines", function()
    local lines = {}
    local function inner()
      lines.inner = debug.getinfo(1, "l").currentline + 1
      error("boom", 0)
    end
    local function outer(x)
      lines.outer = debug.getinfo(1, "l").currentline + 1
      inner()
      return x
    end
    local source = tw.stream()
    source:map(outer):sink(same)
    local err = failure(source.emit, source, 1)
    assert.is_true(bb.has(err, "error_spec.lua:" .. lines.inner), err)
    assert.is_true(bb.has(err, "error_spec.lua:" .. lines.outer), err)
  end)

  it("has its traceback also in a loop that is compiled", function()
    local line
    local source = tw.stream()
    source:map(function(x)
      line = 0
      if x == 5000 then
        line = debug.getinfo(1, "l").currentline + 1
        error("late", 0)
      end
      return x
    end):sink(same)
    local err
    for i = 1, 6000 do
      local ok, e = pcall(source.emit, source, i)
      if not ok then
        err = e
        break
      end
    end
    assert.equal("late", first_line(err))
    assert.is_true(bb.has(err, "error_spec.lua:" .. line), err)
  end)

  it("crosses two graphs with its own text first, both operators named", function()
    local outer, inner = tw.stream(), tw.stream()
    inner:map(function() error("deep", 0) end):named("below"):sink(same)
    outer:sink(function(x) inner:emit(x) end):named("above")
    local err = failure(outer.emit, outer, 1)
    assert.equal("deep", first_line(err))
    assert.is_true(bb.has(err, "<map: below>"), err)
    assert.is_true(bb.has(err, "<sink: above>"), err)
  end)

  it("that the function itself catches is none", function()
    local source, got = tw.stream(), {}
    source:map(function(x)
      local ok = pcall(error, "inside")
      return ok and 0 or x
    end):sink(append(got))
    source:emit(1)
    assert.same({ 1 }, got)
  end)

  it("by an overflowing stack is an error like others", function()
    local source, got = tw.stream(), {}
    local function deeper(n) return 1 + deeper(n + 1) end
    source:map(function(x) return x == 1 and deeper(1) or x end):sink(append(got))
    local text = first_line(failure(source.emit, source, 1))
    assert.is_truthy(text:match "stack overflow", text)
    source:emit(2)
    assert.same({ 2 }, got)
  end)
end)

describe("after an error", function()
  it("earlier siblings have seen the element, later ones have not", function()
    local source, log = tw.stream(), {}
    local function logs(label) return function(x) log[#log + 1] = label .. x end end
    source:sink(logs "first ")
    local branch = source:map(same)
    branch:sink(logs "branch before ")
    branch:map(failing_on(2)):sink(logs "failing ")
    branch:sink(logs "branch after ")
    source:sink(logs "last ")
    source:emit(1)
    log = {}
    failure(source.emit, source, 2)
    assert.same({ "first 2", "branch before 2" }, log)
    log = {}
    source:emit(3)
    assert.same({ "first 3", "branch before 3", "failing 3", "branch after 3", "last 3" }, log)
  end)

  it("the graph works on, at the first, a middle and the last element", function()
    for _, bad in ipairs { 1, 5, 10 } do
      local source, got, expected = tw.stream(), {}, {}
      source:map(failing_on(bad)):sink(append(got))
      for i = 1, 10 do
        local ok = pcall(source.emit, source, i)
        assert.equal(i ~= bad, ok)
        if i ~= bad then expected[#expected + 1] = i end
      end
      assert.same(expected, got)
    end
  end)

  -- each builds an operator that fails on `bad`; `show` makes its output comparable
  local BAD = "bad"
  local function num(x)
    if x == BAD then error("bad element", 0) end
    return x
  end
  local stateful = {
    accumulate = function(s) return s:accumulate(function(a, x) return a + num(x) end) end,
    ["accumulate with start"] = function(s)
      return s:accumulate(function(a, x) return a + num(x) end, { start = 100 })
    end,
    ["accumulate with returns_state"] = function(s)
      return s:accumulate(function(a, x) return a + num(x), a end,
        { start = 0, returns_state = true })
    end,
    unique = function(s) return s:unique { key = function(x) return num(x) % 3 end } end,
    ["unique with maxsize"] = function(s)
      return s:unique { maxsize = 2, key = function(x) return num(x) % 3 end }
    end,
    ["unique by content"] = function(s)
      return s:unique { hashable = false, key = function(x) return { num(x) % 3 } end }
    end,
    partition = function(s)
      return s:partition(2, { key = function(x) return num(x) % 2 end }):map(table.concat)
    end,
    partition_unique = function(s)
      return s:partition_unique(2, { key = function(x) return num(x) % 3 end }):map(table.concat)
    end,
    ["partition_unique, last"] = function(s)
      return s:partition_unique(2, { keep = "last", key = function(x) return num(x) % 3 end })
        :map(table.concat)
    end,
    sum = function(s) return s:sliding_window(3):sum() end,
    mean = function(s) return s:sliding_window(3):mean() end,
    min = function(s) return s:sliding_window(3):min() end,
    max = function(s) return s:sliding_window(3):max() end,
    var = function(s) return s:sliding_window(3, { return_partial = false }):var() end,
    std = function(s) return s:sliding_window(3, { return_partial = false }):std() end,
    median = function(s) return s:sliding_window(3):median() end,
    quantile = function(s) return s:sliding_window(3):quantile(0.25) end,
    slice = function(s) return s:map(num):slice(2, 6, 2) end,
    enumerate = function(s)
      return s:map(num):enumerate():map(function(t) return t[1] .. ":" .. t[2] end)
    end,
    flatten = function(s)
      return s:map(function(x) return x == BAD and x or { x, -x } end):flatten()
    end,
    starmap = function(s)
      return s:map(function(x) return { x, 1 } end):starmap(function(a, b) return num(a) + b end)
    end,
    take = function(s) return s:map(num):take(4) end,
    skip = function(s) return s:map(num):skip(2) end,
    zip = function(s)
      local good = s:map(num)
      return good:zip(good:map(function(x) return -x end)):map(table.concat)
    end,
    json = function(s) return s:map(tostring):json() end,
  }
  local INPUT = { 4, 7, 1, 9, 2, 2, 6, 3, 8, 5 }
  for name, build in pairs(stateful) do
    it("the state of " .. name .. " is as before", function()
      local clean = tw.stream()
      local expected = {}
      build(clean):sink(append(expected))
      for _, x in ipairs(INPUT) do clean:emit(x) end

      -- accumulate's first element is the state: fn is not called for it
      for position = name == "accumulate" and 1 or 0, #INPUT do
        local source, got = tw.stream(), {}
        build(source):sink(append(got))
        for i = 0, #INPUT do
          if i > 0 then source:emit(INPUT[i]) end
          if i == position then
            local ok = pcall(source.emit, source, BAD)
            -- a slice or take that is through has detached itself
            assert.is_true(not ok or name == "slice" or name == "take", name .. " did not fail")
          end
        end
        assert.same(expected, got, name .. ", failing after " .. position)
      end
    end)
  end

  it("a sink that failed is called for the next element", function()
    local source, got = tw.stream(), {}
    local fail = failing_on(2)
    source:sink(function(x) got[#got + 1] = fail(x) end)
    source:emit(1)
    failure(source.emit, source, 2)
    source:emit(3)
    assert.same({ 1, 3 }, got)
  end)

  it("what a feedback loop had queued behind the element is dropped", function()
    local source, got = tw.stream(), {}
    source:sink(function(x)
      if x == 1 then
        for i = 2, 5 do source:emit(i) end
      end
    end)
    source:map(failing_on(3)):sink(append(got))
    assert.equal("bad 3", first_line(failure(source.emit, source, 1)))
    assert.same({ 1, 2 }, got)
    source:emit(9)
    assert.same({ 1, 2, 9 }, got)
  end)

  it("also what the failing element itself had queued is dropped", function()
    local source, got = tw.stream(), {}
    source:sink(function(x)
      if x == 1 then source:emit(2) end
    end)
    source:sink(failing_on(1))
    source:sink(append(got))
    failure(source.emit, source, 1)
    source:emit(9)
    assert.same({ 9 }, got)
  end)

  it("an edge that closes a cycle has dropped its queue, too", function()
    local source, got = tw.stream(), {}
    source:flatten():connect(source)
    source:map(failing_on(2)):sink(append(got))
    -- flatten of a number fails: {2} gives 2, which is no array
    failure(source.emit, source, { 2, 3 })
    local before = #got
    pcall(source.emit, source, {})
    assert.equal(before + 1, #got)
  end)

  it("the pieces of a flatten behind the failing one are not delivered", function()
    local source, got = tw.stream(), {}
    source:flatten():map(failing_on(2)):sink(append(got))
    failure(source.emit, source, { 1, 2, 3 })
    assert.same({ 1 }, got)
    source:emit { 4 }
    assert.same({ 1, 4 }, got)
  end)
end)

describe("an element that an operator cannot take", function()
  local cases = {
    ["a string in flatten"] = function(s) return s:flatten(), "text" end,
    ["a number in flatten"] = function(s) return s:flatten(), 1 end,
    ["a string in a window's sum"] = function(s) return s:sliding_window(2):sum(), "1" end,
    ["a table in a window's max"] = function(s) return s:sliding_window(2):max(), {} end,
    ["null in a window's median"] = function(s) return s:sliding_window(2):median(), tw.null end,
    ["a boolean in a window's mean"] = function(s) return s:sliding_window(2):mean(), true end,
    ["a number in starmap"] = function(s) return s:starmap(same), 1 end,
    ["a number in pluck"] = function(s) return s:pluck("x"), 1 end,
    ["a number in json"] = function(s) return s:json(), {} end,
    ["broken text in json"] = function(s) return s:json(), "{" end,
    ["empty text in json"] = function(s) return s:json(), "" end,
    ["a broken line in combined"] = function(s) return s:decode("combined"), "-- rotated --" end,
  }
  for name, case in pairs(cases) do
    it("raises: " .. name, function()
      local source, got = tw.stream(), {}
      local s, bad = case(source)
      s:named("taker"):sink(append(got))
      local err = failure(source.emit, source, bad)
      assert.equal("string", type(err))
      assert.is_true(bb.has(err, "taker"), err)
      assert.same({}, got)
    end)
  end
end)

describe("on_error", function()
  it("returns the stream itself", function()
    local s, dead = tw.stream(), tw.stream()
    assert.equal(s, s:on_error("skip"))
    assert.equal(s, s:on_error("raise"))
    assert.equal(s, s:on_error({ retry = 1 }))
    assert.equal(s, s:on_error(dead))
  end)

  it("of an unknown policy is misuse", function()
    local s = tw.stream()
    local text = misuse(function() s:on_error("skp") end)
    assert.is_true(bb.has(text, "skp") and bb.has(text, "skip") and bb.has(text, "raise"), text)
    misuse(function() s:on_error() end)
    misuse(function() s:on_error(1) end)
    misuse(function() s:on_error({}) end)
    misuse(function() s:on_error({ retry = 0.5 }) end)
    misuse(function() s:on_error({ retry = -1 }) end)
    misuse(function() s:on_error({ retry = 1, backoff = "soon" }) end)
    misuse(function() s:on_error({ retry = 1, ["then"] = "never" }) end)
    misuse(function() s:on_error({ retry = 1, after = "skip" }) end)
  end)

  it("governs what is below the stream, not the stream itself", function()
    local source = tw.stream()
    source:map(failing_on(1)):on_error("skip"):sink(same)
    assert.equal("bad 1", first_line(failure(source.emit, source, 1)))
  end)

  it("governs also what was attached before", function()
    local source, got = tw.stream(), {}
    source:map(failing_on(1)):sink(append(got))
    failure(source.emit, source, 1)
    source:on_error("skip")
    source:emit(1)
    source:emit(2)
    assert.same({ 2 }, got)
  end)

  it("holds for any depth, and the nearest one above counts", function()
    local source = tw.stream()
    source:on_error("skip")
    source:map(same):map(same):map(failing_on(1)):sink(same)
    source:emit(1)
    local inner = source:map(same):on_error("raise")
    inner:map(same):map(failing_on(2)):sink(same)
    source:emit(1)
    assert.equal("bad 2", first_line(failure(source.emit, source, 2)))
  end)

  it("may be given anew", function()
    local source = tw.stream()
    source:on_error("skip"):map(failing_on(1)):sink(same)
    source:emit(1)
    source:on_error("raise")
    failure(source.emit, source, 1)
  end)

  describe("skip", function()
    it("drops the element and goes on", function()
      local source, got = tw.stream(), {}
      source:on_error("skip"):map(failing_on(1, 3, 5)):sink(append(got))
      for i = 1, 5 do source:emit(i) end
      assert.same({ 2, 4 }, got)
    end)

    it("drops it for all below that have not seen it, not for siblings of the stream", function()
      local source, log = tw.stream(), {}
      local function logs(label) return function() log[#log + 1] = label end end
      local guarded = source:map(same):on_error("skip")
      guarded:sink(logs "before")
      guarded:map(failing_on(1)):sink(logs "failing")
      guarded:sink(logs "after")
      source:sink(logs "sibling")
      source:emit(1)
      assert.same({ "before", "sibling" }, log)
      log = {}
      source:emit(2)
      assert.same({ "before", "failing", "after", "sibling" }, log)
    end)

    it("below a flatten drops the failing piece only", function()
      local source, got, beside = tw.stream(), {}, {}
      local pieces = source:on_error("skip"):flatten()
      pieces:map(failing_on(2)):sink(append(got))
      pieces:sink(append(beside))
      source:emit { 1, 2, 3 }
      assert.same({ 1, 3 }, got)
      assert.same({ 1, 3 }, beside)
    end)

    it("covers objects, sinks and operators that cannot take the element", function()
      local source, got = tw.stream(), {}
      source:on_error("skip")
      source:map(function(x)
        if x == 1 then error({}) end
        return x
      end):sink(append(got))
      source:flatten():sink(append(got))
      source:emit(1)
      source:emit(2)
      source:emit { 3 }
      assert.equal(3, #got)
      assert.equal(2, got[1])
      assert.equal(3, got[3])
    end)

    it("keeps what a feedback loop has queued", function()
      local source, got = tw.stream(), {}
      source:on_error("skip")
      source:sink(function(x)
        if x == 1 then for i = 2, 4 do source:emit(i) end end
      end)
      source:map(failing_on(1, 3)):sink(append(got))
      source:emit(1)
      assert.same({ 2, 4 }, got)
    end)

    it("keeps the state of what failed", function()
      local source, got = tw.stream(), {}
      local fail = failing_on(3)
      source:on_error("skip"):accumulate(function(s, x) return s + fail(x) end):sink(append(got))
      for i = 1, 5 do source:emit(i) end
      assert.same({ 1, 3, 7, 12 }, got)
    end)

    it("governs an element on its way, also when its function detaches the operator", function()
      local source, after = tw.stream(), {}
      local sink
      source:on_error("skip")
      sink = source:sink(function()
        sink:destroy()
        error("the last", 0)
      end)
      source:sink(append(after))
      source:emit(1)
      source:emit(2)
      assert.same({ 2 }, after)
    end)

    it("does not hide misuse when a graph is built inside", function()
      local source = tw.stream()
      source:on_error("skip"):sink(same)
      misuse(function() source:map(1) end)
    end)
  end)

  describe("retry", function()
    it("calls the failing function again, with the same arguments", function()
      local source, calls, got = tw.stream(), {}, {}
      source:on_error({ retry = 3 }):map(function(x, extra)
        calls[#calls + 1] = { x, extra }
        if #calls < 3 then error("not yet", 0) end
        return x
      end, "extra"):sink(append(got))
      source:emit("x")
      assert.same({ { "x", "extra" }, { "x", "extra" }, { "x", "extra" } }, calls)
      assert.same({ "x" }, got)
    end)

    it("raises after that many further attempts", function()
      local source, calls = tw.stream(), 0
      source:on_error({ retry = 3 }):map(function()
        calls = calls + 1
        error("try " .. calls, 0)
      end):sink(same)
      assert.equal("try 4", first_line(failure(source.emit, source, 1)))
      assert.equal(4, calls)
    end)

    it("goes on with the policy of `then`", function()
      local source, calls, got, dead = tw.stream(), 0, {}, tw.stream()
      local letters = dead:sink_to_list()
      local function fail(x)
        if x == 1 then
          calls = calls + 1
          error("bad", 0)
        end
        return x
      end
      source:on_error({ retry = 2, ["then"] = "skip" })
      source:map(fail):sink(append(got))
      source:emit(1)
      source:emit(2)
      assert.equal(3, calls)
      source:on_error({ retry = 1, ["then"] = dead })
      source:emit(1)
      assert.equal(5, calls)
      assert.same({ 2 }, got)
      assert.equal(1, #letters)
      assert.equal(1, letters[1].element)
    end)

    it("does not serve earlier siblings a second time", function()
      local source, before, after, n = tw.stream(), {}, {}, 0
      source:on_error({ retry = 5 })
      source:sink(append(before))
      source:map(function(x)
        n = n + 1
        if n < 3 then error("again", 0) end
        return x
      end):sink(append(after))
      source:sink(append(after))
      source:emit(1)
      assert.same({ 1 }, before)
      assert.same({ 1, 1 }, after)
    end)

    it("gives an accumulate the same state again", function()
      local source, got, states, n = tw.stream(), {}, {}, 0
      source:on_error({ retry = 2 }):accumulate(function(s, x)
        states[#states + 1] = s
        n = n + 1
        if n == 2 then error("again", 0) end
        return s + x
      end, { start = 0 }):sink(append(got))
      for i = 1, 3 do source:emit(i) end
      assert.same({ 0, 1, 1, 3 }, states)
      assert.same({ 1, 3, 6 }, got)
    end)

    it("covers a sink", function()
      local source, n = tw.stream(), 0
      source:on_error({ retry = 1 }):sink(function()
        n = n + 1
        if n == 1 then error("again", 0) end
      end)
      source:emit(1)
      assert.equal(2, n)
    end)
  end)

  describe("a stream of dead letters", function()
    it("receives element, error, operator and metadata", function()
      local source, dead = tw.stream(), tw.stream()
      local letters, got = dead:sink_to_list(), {}
      source:on_error(dead):map(function(x) return x * 10 end)
        :map(failing_on(20)):named("parse"):sink(append(got))
      local meta = { { id = 7 } }
      source:emit(1)
      source:emit(2, meta)
      source:emit(3)
      source:emit(2)
      assert.same({ 10, 30 }, got)
      assert.equal(2, #letters)
      local letter = letters[1]
      -- what the failing operator was given, not what was emitted
      assert.equal(20, letter.element)
      assert.equal("bad 20", first_line(letter.error))
      assert.equal("<map: parse>", letter.operator)
      assert.equal(7, letter.metadata[1].id)
      assert.is_nil(letters[2].metadata)
    end)

    it("receives the error as emit would have raised it", function()
      local object = {}
      local fail = function(x) error(x == 1 and "text" or object, 0) end
      local a, b, dead = tw.stream(), tw.stream(), tw.stream()
      local letters = dead:sink_to_list()
      a:map(fail):named("it"):sink(same)
      b:on_error(dead):map(fail):named("it"):sink(same)
      b:emit(1)
      b:emit(2)
      local raised = failure(a.emit, a, 1)
      assert.equal(first_line(raised), first_line(letters[1].error))
      assert.is_true(bb.has(letters[1].error, "<map: it>"))
      assert.is_true(bb.has(letters[1].error, "error_spec.lua:"))
      assert.is_true(rawequal(object, letters[2].error))
    end)

    it("may lead back into the pipeline", function()
      local source, dead, got = tw.stream(), tw.stream(), {}
      source:on_error(dead):map(failing_on(-1)):sink(append(got))
      dead:map(function(letter) return -letter.element end):connect(source)
      source:emit(-1)
      source:emit(2)
      assert.same({ 1, 2 }, got)
    end)

    it("that fails itself raises to the emitter", function()
      local source, dead = tw.stream(), tw.stream()
      source:on_error(dead):map(failing_on(1)):sink(same)
      dead:sink(function() error("letter box full", 0) end)
      assert.equal("letter box full", first_line(failure(source.emit, source, 1)))
      source:emit(2)
    end)

    it("may serve several pipelines", function()
      local a, b, dead = tw.stream(), tw.stream(), tw.stream()
      local letters = dead:pluck("operator"):sink_to_list()
      a:on_error(dead):map(failing_on(1)):named("a"):sink(same)
      b:on_error(dead):map(failing_on(1)):named("b"):sink(same)
      a:emit(1)
      b:emit(1)
      assert.same({ "<map: a>", "<map: b>" }, letters)
    end)

    it("receives lines that do not parse, with their text", function()
      local source, dead, got = tw.stream(), tw.stream(), {}
      local letters = dead:sink_to_list()
      source:on_error(dead):json():sink(append(got))
      source:emit '{"a": 1}'
      source:emit '{"a": 1,,}'
      assert.same({ { a = 1 } }, got)
      assert.equal('{"a": 1,,}', letters[1].element)
      assert.is_true(bb.has(letters[1].error, "json"), letters[1].error)
    end)
  end)
end)

describe("an error below a source", function()
  it("stops the run and is raised by tw.run", function()
    local source, got = tw.from_range(1, 10), {}
    source:map(failing_on(4)):named("four"):sink(append(got))
    local err = failure(tw.run)
    assert.equal("bad 4", first_line(err))
    assert.is_true(bb.has(err, "<map: four>"), err)
    assert.same({ 1, 2, 3 }, got)
    -- a failed source is not started again
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("is raised as the object that it is", function()
    local object = {}
    tw.from_iterable { 1 }:sink(function() error(object) end)
    assert.is_true(rawequal(object, failure(tw.run)))
  end)

  it("under skip costs the element", function()
    local got = {}
    tw.from_range(1, 5):on_error("skip"):map(failing_on(1, 3, 5)):sink(append(got))
    tw.run()
    assert.same({ 2, 4 }, got)
  end)

  it("under dead letters goes there", function()
    local got, dead = {}, tw.stream()
    local letters = dead:pluck("element"):sink_to_list()
    tw.from_iterable { "1", "x", "3" }:on_error(dead)
      :map(function(s) return tonumber(s) or error("no number", 0) end):sink(append(got))
    tw.run()
    assert.same({ 1, 3 }, got)
    assert.same({ "x" }, letters)
  end)

  it("in an iterator of the user's stops the run, too", function()
    local n, got = 0, {}
    tw.from_iterable(function()
      n = n + 1
      if n == 3 then error("iterator broke", 0) end
      return n
    end):sink(append(got))
    assert.equal("iterator broke", first_line(failure(tw.run)))
    assert.same({ 1, 2 }, got)
  end)
end)

describe("misuse", function()
  -- every method of a stream with arguments that it cannot take
  local methods = {
    map = { {}, { 1 }, { "text" }, { {} } },
    starmap = { {}, { 1 }, { {} } },
    filter = { { 1 }, { "text" }, { {} } },
    remove = { { 1 }, { "text" } },
    accumulate = { {}, { 1 }, { same, 1 }, { same, { returns_state = 1 } } },
    scan = { {}, { 1 } },
    frequencies = { { 1 } },
    flatten = { { 1 } },
    concat = { { 1 } },
    pluck = { {} },
    unique = { { 1 }, { "x" }, { { maxsize = -1 } }, { { maxsize = 0 } } },
    slice = { { 0 }, { 1, 0 }, { 1, 2, 0 }, { 1.5 }, { "x" }, { -1 } },
    partition = { {}, { 0 }, { -1 }, { 1.5 }, { "2" }, { 0 / 0 }, { math.huge }, { 2, 1 } },
    partition_unique = { {}, { 0 }, { 1.5 }, { "2" }, { 2, { keep = "none" } } },
    sliding_window = { {}, { 0 }, { -1 }, { 1.5 }, { "2" }, { 0 / 0 }, { 2, 3 } },
    collect = { { 1 }, { { maxsize = 0 } } },
    union = { { { unknown = 1 } } },
    zip = { { { maxsize = 0 } } },
    combine_latest = { { 1 }, { tw.stream(), { emit_on = 3 } },
      { tw.stream(), { emit_on = tw.stream() } }, { tw.stream(), { emit_on = "x" } } },
    zip_latest = { { 1 } },
    decode = { {}, { 1 }, { "no such codec" } },
    encode = { {}, { 1 }, { "no such codec" } },
    json = { { 1 }, { { fields = 1 } } },
    csv = { { 1 }, { { header = 1 } }, { { delimiter = 1 } } },
    filter_map = { {}, { 1 } },
    flat_map = { {}, { 1 } },
    tap = { {}, { 1 } },
    take = { {}, { 0 }, { -1 }, { 1.5 }, { "2" } },
    skip = { {}, { -1 }, { 1.5 }, { "2" } },
    reduce = { {}, { 1 } },
    sink = { {}, { 1 }, { "print" } },
    apply = { {}, { 1 } },
    named = { {}, { 1 } },
    connect = { {}, { 1 }, { {} } },
    disconnect = { {}, { 1 }, { tw.stream() } },
    on_end = { {}, { 1 } },
    on_error = { {}, { 1 }, { "x" } },
    sink_to_textfile = { {}, { {} } },
  }
  for name, lists in pairs(methods) do
    for i, args in ipairs(lists) do
      it("of " .. name .. " raises at the user's line, case " .. i, function()
        local source = tw.stream()
        local text = misuse(function() source[name](source, unpack(args)) end)
        assert.is_true(bb.has(text, name), text)
        assert.is_true(#text > #name + 5)
      end)
    end
  end

  it("of a numeric window raises at the user's line", function()
    local w = function() return tw.stream():sliding_window(3) end
    local cases = {
      function() w():quantile() end,
      function() w():quantile(1.5) end,
      function() w():quantile(-0.1) end,
      function() w():quantile("x") end,
      function() w():var { ddof = "x" } end,
      function() w():aggregate() end,
      function() w():aggregate { total = 1 } end,
    }
    for _, case in ipairs(cases) do misuse(case) end
  end)

  it("of the module's constructors raises at the user's line", function()
    misuse(function() tw.from_range() end)
    misuse(function() tw.from_range("x", 2) end)
    misuse(function() tw.from_range(1, 2, 0) end)
    misuse(function() tw.from_iterable() end)
    misuse(function() tw.from_iterable(1) end)
    misuse(function() tw.zip() end)
    misuse(function() tw.zip({}) end)
    misuse(function() tw.zip({ 1, 2 }) end)
    misuse(function() tw.from_textfile() end)
    misuse(function() tw.from_textfile({}) end)
  end)

  it("by a dot in place of a colon raises at the user's line", function()
    local source = tw.stream()
    misuse(function() source.map(same) end)
    misuse(function() source.emit(1) end)
    misuse(function() source.sink(print) end)
  end)

  it("of an unknown method names the nearest known one", function()
    local source = tw.stream()
    local text = misuse(function() source:fliter(same) end)
    assert.is_true(bb.has(text, "fliter") and bb.has(text, "filter"), text)
  end)

  it("leaves the graph as it was", function()
    local source, got = tw.stream(), {}
    source:sink(append(got))
    pcall(source.map, source, 1)
    pcall(source.sliding_window, source, 0)
    pcall(source.zip, source, source, { maxsize = "x" })
    assert.equal(1, #source:downstreams())
    source:emit(1)
    assert.same({ 1 }, got)
  end)

  it("is any operator on a destroyed stream", function()
    local build = {
      function(s) s:map(same) end,
      function(s) s:filter() end,
      function(s) s:sink(same) end,
      function(s) s:sink_to_list() end,
      function(s) s:accumulate(same) end,
      function(s) s:sliding_window(2) end,
      function(s) s:zip(tw.stream()) end,
      function(s) tw.stream():zip(s) end,
      function(s) tw.stream():union(s) end,
      function(s) tw.zip { s, tw.stream() } end,
      function(s) s:connect(tw.stream()) end,
    }
    for i, fn in ipairs(build) do
      local source = tw.stream()
      local s = source:map(same)
      s:destroy()
      local text = first_line(failure(fn, s))
      assert.is_true(bb.has(text, "error_spec.lua:"), i .. ": " .. text)
      assert.is_true(bb.has(text, "destroyed"), i .. ": " .. text)
    end
  end)
end)

describe("an error at the end of a stream", function()
  it("in an on_end function leaves the others to be called, and all below to end", function()
    local log = {}
    local function note(what) return function() log[#log + 1] = what end end
    local source = tw.from_range(1, 3)
    source:on_end(function() error "boom" end):on_end(note "source")
    local parts = source:partition(2, { flush = true })
    parts:on_end(note "partition"):sink(function(t) log[#log + 1] = #t end)
    source:on_end(function() error "later" end)
    source:sink(function() end):on_end(note "sink")
    assert.is_true(bb.has(first_line(failure(tw.run)), "boom"))
    assert.same({ 2, "source", 1, "partition", "sink" }, log)
    tw.run()
  end)

  it("in what a window flushes leaves the other branches to flush", function()
    local log = {}
    local source = tw.from_range(1, 3)
    for i = 1, 2 do
      source:partition(2, { flush = true }):on_end(function() log[#log + 1] = "end" end):sink(function(t)
        if i == 1 and #t == 1 then error "boom" end
        log[#log + 1] = #t
      end)
    end
    assert.is_true(bb.has(first_line(failure(tw.run)), "boom"))
    assert.same({ 2, 2, "end", 1, "end" }, log)
  end)

  it("is raised as it is when it is an object", function()
    local object = {}
    tw.from_range(1, 3):buffer(1):on_end(function() error(object) end):sink(function() end)
    local ok, err = pcall(tw.run)
    assert.is_false(ok)
    assert.is_true(err == object)
  end)
end)
