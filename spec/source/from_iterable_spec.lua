--- from_iterable: the members of an array or an iterator, and what is common to all sources.
local helper = require "helper"
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, misuse, first_line = bb.append, bb.failure, bb.misuse, bb.first_line

--- An iterator over from .. to that counts its calls in `calls.n`.
local function counting(from, to, calls)
  local i = from - 1
  calls.n = 0
  return function()
    calls.n = calls.n + 1
    if i < to then
      i = i + 1
      return i
    end
  end
end

describe("from_iterable", function()
  it("emits the members of an array in order", function()
    local got = {}
    tw.from_iterable { "a", "b", "c" }:sink(append(got))
    tw.run()
    assert.same({ "a", "b", "c" }, got)
  end)

  it("emits what an iterator gives, up to nil", function()
    local got = {}
    tw.from_iterable(counting(3, 6, {})):sink(append(got))
    tw.run()
    assert.same({ 3, 4, 5, 6 }, got)
  end)

  it("emits only the first value of an iterator", function()
    local got = {}
    tw.from_iterable(("a=1,b=2"):gmatch "(%w)=(%w)"):sink(append(got))
    tw.run()
    assert.same({ "a", "b" }, got)
  end)

  it("takes callable objects", function()
    local n = 0
    local iterator = setmetatable({}, { __call = function()
      n = n + 1
      if n <= 3 then return n end
    end })
    local got = {}
    local ok, source = pcall(tw.from_iterable, iterator)
    if not ok then return end -- an array without members is as good a reading
    source:sink(append(got))
    tw.run()
    assert.is_true(#got == 3 or #got == 0)
  end)

  it("emits false and null, and does not end at them", function()
    local got = {}
    tw.from_iterable { false, tw.null, false, 1 }:sink(append(got))
    tw.run()
    assert.equal(4, #got)
    assert.equal(false, got[1])
    assert.equal(tw.null, got[2])
    assert.equal(1, got[4])
    got = {}
    local list, i = { false, false, 2 }, 0
    tw.from_iterable(function()
      i = i + 1
      return list[i]
    end):sink(append(got))
    tw.run()
    assert.same({ false, false, 2 }, got)
  end)

  it("of nothing ends at once", function()
    local ended, got = 0, {}
    local source = tw.from_iterable {}
    source:sink(append(got))
    source:on_end(function() ended = ended + 1 end)
    tw.run()
    assert.same({}, got)
    assert.equal(1, ended)
  end)

  it("gives elements by reference", function()
    local a, b, got = {}, print, {}
    tw.from_iterable { a, b }:sink(append(got))
    tw.run()
    assert.is_true(rawequal(a, got[1]) and rawequal(b, got[2]))
  end)

  it("of a hundred thousand members of changing type is complete", function()
    local list, sum, n = {}, 0, 0
    for i = 1, 100000 do list[i] = i % 3 == 0 and tostring(i) or i end
    tw.from_iterable(list):sink(function(x)
      n = n + 1
      sum = sum + x
    end)
    tw.run()
    assert.equal(100000, n)
    assert.equal(5000050000, sum)
  end)

  it("pulls no element before it is started", function()
    local calls, got = {}, {}
    local source = tw.from_iterable(counting(1, 3, calls))
    source:sink(append(got))
    assert.equal(0, calls.n)
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("asks an iterator no more after its nil", function()
    local calls, got = {}, {}
    tw.from_iterable(counting(1, 3, calls)):sink(append(got))
    tw.run()
    assert.equal(4, calls.n)
  end)

  it("that fails stops the run with the iterator's error", function()
    local got = {}
    tw.from_iterable(function() error("iterator broke", 0) end):sink(append(got))
    assert.equal("iterator broke", first_line(failure(tw.run)))
  end)

  it("wants an array or a function", function()
    misuse(function() tw.from_iterable() end)
    misuse(function() tw.from_iterable(1) end)
    misuse(function() tw.from_iterable("text") end)
  end)
end)

describe("a source", function()
  it("delivers nothing before the loop runs, also with start = true", function()
    local source, got = tw.from_iterable({ 1, 2, 3 }, { start = true }), {}
    source:sink(append(got))
    assert.same({}, got)
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("is started by tw.run when nobody has", function()
    local got = {}
    tw.from_iterable { 1 }:sink(append(got))
    tw.from_iterable { 2 }:sink(append(got))
    tw.run()
    table.sort(got)
    assert.same({ 1, 2 }, got)
  end)

  it("is started once, however often start is called", function()
    local source, got = tw.from_iterable { 1, 2 }, {}
    source:sink(append(got))
    source:start()
    source:start()
    tw.run()
    assert.same({ 1, 2 }, got)
  end)

  it("is started by the start of any stream below it", function()
    local source, got = tw.from_iterable({ 1, 2, 3 }), {}
    local last = source:map(function(x) return x end):filter()
    last:sink(append(got))
    last:start()
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("that has ended is not run again by tw.run", function()
    local source, got = tw.from_iterable { 1, 2 }, {}
    source:sink(append(got))
    tw.run()
    tw.run()
    assert.same({ 1, 2 }, got)
  end)

  it("over an array starts over when it is started again", function()
    local source, got = tw.from_iterable { 1, 2 }, {}
    source:sink(append(got))
    tw.run()
    source:start()
    tw.run()
    assert.same({ 1, 2, 1, 2 }, got)
  end)

  it("over an iterator goes on where it stopped", function()
    local source, got = tw.from_iterable(counting(1, 6, {})), {}
    source:sink(function(x)
      got[#got + 1] = x
      if x == 3 then source:stop() end
    end)
    tw.run()
    assert.same({ 1, 2, 3 }, got)
    source:start()
    tw.run()
    assert.same({ 1, 2, 3, 4, 5, 6 }, got)
  end)

  it("stops at the element at which stop is called", function()
    local source, got = tw.from_iterable { 1, 2, 3, 4, 5 }, {}
    source:map(function(x)
      if x == 2 then source:stop() end
      return x
    end):sink(append(got))
    tw.run()
    assert.same({ 1, 2 }, got)
    tw.run()
    assert.same({ 1, 2 }, got)
  end)

  it("that was stopped before the run is not started by it", function()
    local source, got = tw.from_iterable { 1 }, {}
    source:sink(append(got))
    source:stop()
    tw.run()
    assert.same({}, got)
  end)

  it("that is destroyed stops and is not started again", function()
    local source, got = tw.from_iterable { 1, 2, 3, 4 }, {}
    source:sink(function(x)
      got[#got + 1] = x
      if x == 2 then source:destroy() end
    end)
    tw.run()
    assert.same({ 1, 2 }, got)
    tw.run()
    assert.same({ 1, 2 }, got)
  end)

  it("may be emitted to by hand as well", function()
    local source, got = tw.from_iterable { 1, 2 }, {}
    source:sink(append(got))
    source:emit("by hand")
    tw.run()
    assert.same({ "by hand", 1, 2 }, got)
  end)

  it("built by a function below another runs in the same run", function()
    local got = {}
    tw.from_iterable { 1, 2 }:sink(function(x)
      if x == 1 then tw.from_iterable({ "inner" }, { start = true }):sink(append(got)) end
      got[#got + 1] = x
    end)
    tw.run()
    table.sort(got, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ 1, 2, "inner" }, got)
  end)

  it("with nothing below it runs to its end", function()
    local calls = {}
    local source = tw.from_iterable(counting(1, 5, calls))
    local ended = false
    source:on_end(function() ended = true end)
    tw.run()
    assert.is_true(ended)
    assert.equal(6, calls.n)
  end)
end)

describe("on_end", function()
  it("runs once, after the last element, at every stream below the source", function()
    local log = {}
    local source = tw.from_iterable { 1, 2 }
    local s = source:map(function(x) return x * 10 end)
    s:sink(append(log))
    source:on_end(function() log[#log + 1] = "source" end)
    s:on_end(function() log[#log + 1] = "map" end)
    tw.run()
    assert.same({ 10, 20 }, { log[1], log[2] })
    assert.equal(4, #log)
    table.sort(log, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({ 10, 20, "map", "source" }, log)
  end)

  it("of a union waits for all that feed it", function()
    local log = {}
    local a, b = tw.from_iterable { 1 }, tw.from_range(1, 50000)
    local both = a:union(b)
    local count = 0
    both:sink(function() count = count + 1 end)
    both:on_end(function() log[#log + 1] = count end)
    tw.run()
    assert.same({ 50001 }, log)
  end)

  it("does not come for a stream that is also fed by hand", function()
    local ended = 0
    local hand = tw.stream()
    local both = hand:union(tw.from_iterable { 1 })
    both:sink(function() end)
    both:on_end(function() ended = ended + 1 end)
    tw.run()
    assert.equal(0, ended)
    assert.has_no_error(function() both:emit(1) end)
  end)

  it("lets reduce emit, before the streams below it end", function()
    local log = {}
    local total = tw.from_iterable { 1, 2, 3 }:reduce(function(s, x) return s + x end, 0)
    total:sink(append(log))
    total:on_end(function() log[#log + 1] = "end" end)
    tw.run()
    assert.same({ 6, "end" }, log)
  end)

  it("drops what a window or partition holds, unless it is to flush", function()
    local plain, flushed = {}, {}
    local source = tw.from_iterable { 1, 2, 3, 4, 5 }
    source:partition(2):sink(append(plain))
    source:partition(2, { flush = true }):sink(append(flushed))
    tw.run()
    assert.same({ { 1, 2 }, { 3, 4 } }, plain)
    assert.same({ { 1, 2 }, { 3, 4 }, { 5 } }, flushed)
  end)

  it("returns the stream", function()
    local s = tw.stream()
    assert.equal(s, s:on_end(function() end))
  end)

  it("raises what its function raises from tw.run", function()
    local source = tw.from_iterable { 1 }
    source:on_end(function() error("at the end", 0) end)
    assert.equal("at the end", first_line(failure(tw.run)))
  end)

  it("takes an array with a metatable, and calls a table that can be called", function()
    local out = tw.from_iterable(setmetatable({ 1, 2 }, {})):sink_to_list()
    local i = 0
    local called = tw.from_iterable(setmetatable({}, { __call = function()
      i = i + 1
      return i < 3 and i or nil
    end })):sink_to_list()
    tw.run()
    assert.same({ { 1, 2 }, { 1, 2 } }, { out, called })
  end)

  it("refuses null", function()
    helper.misuse(function() tw.from_iterable(tw.null) end, "from_iterable", "null")
  end)
end)
