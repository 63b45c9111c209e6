--- from_range: numbers, natively; tw.run, tw.stop and sources that take turns.
local tw = require "tideway"
local bb = require "support.black_box"

local append, misuse = bb.append, bb.misuse

--- Everything that the source gives in one run.
local function drained(source)
  local got = {}
  source:sink(append(got))
  tw.run()
  return got
end

--- What Lua's own loop gives.
local function loop(first, last, step)
  local list = {}
  for x = first, last, step or 1 do list[#list + 1] = x end
  return list
end

describe("from_range", function()
  it("counts from first to last, inclusive", function()
    assert.same({ 1, 2, 3, 4, 5 }, drained(tw.from_range(1, 5)))
    assert.same({ -2, -1, 0, 1 }, drained(tw.from_range(-2, 1)))
    assert.same({ 7 }, drained(tw.from_range(7, 7)))
  end)

  it("takes steps, also down and by parts", function()
    for _, c in ipairs {
      { 1, 10, 3 }, { 10, 1, -3 }, { 0, 1, 0.25 }, { 1, 0, -0.5 }, { 5, 1, -1 }, { 1, 100, 99 },
    } do
      assert.same(loop(unpack(c)), drained(tw.from_range(unpack(c))))
    end
  end)

  it("past its end is empty and ends", function()
    local ended = false
    local source = tw.from_range(5, 1)
    source:on_end(function() ended = true end)
    assert.same({}, drained(source))
    assert.is_true(ended)
    assert.same({}, drained(tw.from_range(1, 5, -1)))
  end)

  it("of large numbers is exact", function()
    local first = 2 ^ 53 - 3
    assert.same({ first, first + 1, first + 2, first + 3 }, drained(tw.from_range(first, 2 ^ 53)))
  end)

  it("of ten million numbers is complete and in order", function()
    local n, previous, ordered, sum = 0, 0, true, 0
    tw.from_range(1, 1e7):sink(function(x)
      n = n + 1
      sum = sum + x
      ordered = ordered and x == previous + 1
      previous = x
    end)
    tw.run()
    assert.equal(1e7, n)
    assert.is_true(ordered)
    assert.equal(1e7 * (1e7 + 1) / 2, sum)
  end)

  it("agrees with Lua's loop on random bounds", function()
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 50 do
      local first = math.random(-100, 100)
      local last = math.random(-100, 100)
      local step = math.random(1, 7) * (math.random() < 0.5 and -1 or 1)
      local source = tw.from_range(first, last, step)
      assert.same(loop(first, last, step), drained(source), "seed " .. seed)
    end
  end)

  it("wants numbers and a step that moves", function()
    misuse(function() tw.from_range() end)
    misuse(function() tw.from_range("1", 2) end)
    misuse(function() tw.from_range(1, {}) end)
    misuse(function() tw.from_range(1, 2, 0) end)
    misuse(function() tw.from_range(0 / 0, 2) end)
    misuse(function() tw.from_range(1, 0 / 0) end)
  end)

  it("starts at once with start = true, but delivers when the loop runs", function()
    local source, got = tw.from_range(1, 3, 1, { start = true }), {}
    source:sink(append(got))
    assert.same({}, got)
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("takes its settings also without a step", function()
    local source, got = tw.from_range(1, 3, { start = true }), {}
    source:sink(append(got))
    tw.run()
    assert.same({ 1, 2, 3 }, got)
  end)

  it("is started by start() on any stream below it", function()
    local source = tw.from_range(1, 3)
    local s = source:map(function(x) return x * 2 end)
    local got = {}
    s:sink(append(got))
    s:start()
    tw.run()
    assert.same({ 2, 4, 6 }, got)
  end)

  it("starts over when it is started again after its end", function()
    local source = tw.from_range(1, 3)
    local got = drained(source)
    source:start()
    tw.run()
    assert.same({ 1, 2, 3, 1, 2, 3 }, got)
  end)

  it("stops at the element at which stop is called", function()
    local source, got = tw.from_range(1, 1e6), {}
    source:sink(function(x)
      got[#got + 1] = x
      if x == 12345 then source:stop() end
    end)
    tw.run()
    assert.equal(12345, #got)
    tw.run()
    assert.equal(12345, #got)
  end)

  it("keeps the order of attachment and depth for every element", function()
    local log = {}
    local source = tw.from_range(1, 2)
    local a = source:map(function(x) return x * 10 end)
    source:sink(function(x) log[#log + 1] = "late " .. x end)
    a:sink(function(x) log[#log + 1] = "a " .. x end)
    tw.run()
    assert.same({ "a 10", "late 1", "a 20", "late 2" }, log)
  end)
end)

describe("two sources", function()
  it("take turns", function()
    local first_of, last_of = {}, {}
    local n = 0
    local function mark(name)
      return function()
        n = n + 1
        first_of[name] = first_of[name] or n
        last_of[name] = n
      end
    end
    tw.from_range(1, 1e6):sink(mark "a")
    tw.from_range(1, 1e6):sink(mark "b")
    tw.run()
    assert.equal(2e6, n)
    assert.is_true(first_of.b < last_of.a and first_of.a < last_of.b, "one starved the other")
  end)

  it("into one stream keep their own order and the stream's state whole", function()
    local a, b = tw.from_range(1, 100000), tw.from_range(-1, -100000, -1)
    local last_a, last_b, count = 0, 0, 0
    local both = a:union(b)
    both:sink(function(x)
      count = count + 1
      if x > 0 then
        assert(x == last_a + 1)
        last_a = x
      else
        assert(x == last_b - 1)
        last_b = x
      end
    end)
    local total = 0
    both:accumulate(function(s, x) return s + x end):sink(function(x) total = x end)
    tw.run()
    assert.equal(200000, count)
    assert.equal(0, total)
  end)

  it("zipped are paired element by element, however long their turns", function()
    local pairs_seen, wrong = 0, 0
    tw.from_range(1, 20000):zip(tw.from_range(1, 20000)):sink(function(t)
      pairs_seen = pairs_seen + 1
      if t[1] ~= t[2] then wrong = wrong + 1 end
    end)
    tw.run()
    assert.equal(20000, pairs_seen)
    assert.equal(0, wrong)
  end)
end)

describe("tw.run", function()
  it("with nothing to do returns", function()
    tw.run()
    tw.run()
  end)

  it("returns when every source has ended", function()
    local ended = {}
    local a, b = tw.from_range(1, 10), tw.from_range(1, 20)
    a:on_end(function() ended.a = true end)
    b:on_end(function() ended.b = true end)
    tw.run()
    assert.same({ a = true, b = true }, ended)
  end)

  it("calls the function that it is given", function()
    local source, got = tw.stream(), {}
    source:sink(append(got))
    tw.run(function()
      source:emit(1)
      source:emit(2)
    end)
    assert.same({ 1, 2 }, got)
  end)

  it("wants a function, if anything", function()
    misuse(function() tw.run(1) end)
  end)

  it("does not start what was collected", function()
    local calls = 0
    bb.apart(function()
      tw.from_iterable(function()
        calls = calls + 1
        return nil
      end):map(function(x) return x end)
    end)
    bb.collect()
    tw.run()
    assert.equal(0, calls)
  end)
end)

describe("tw.stop", function()
  it("ends the run at the element at hand", function()
    local got, beside = {}, 0
    local source, other = tw.from_range(1, 1e6), tw.from_range(1, 1e9)
    source:sink(function(x)
      got[#got + 1] = x
      if x == 100 then tw.stop() end
    end)
    source:sink(function() beside = beside + 1 end)
    other:sink(function() end)
    tw.run()
    assert.equal(100, #got)
    -- what is in flight is delivered
    assert.equal(100, beside)
  end)

  it("leaves the sources stopped: a further run does not start them", function()
    local source, n = tw.from_range(1, 1000), 0
    source:sink(function(x)
      n = n + 1
      if x == 10 then tw.stop() end
    end)
    tw.run()
    tw.run()
    assert.equal(10, n)
  end)

  it("lets a new source run afterwards", function()
    local source, n, got = tw.from_range(1, 1000), 0, {}
    source:sink(function()
      n = n + 1
      tw.stop()
    end)
    tw.run()
    tw.from_range(1, 3):sink(append(got))
    tw.run()
    assert.equal(1, n)
    assert.same({ 1, 2, 3 }, got)
  end)

  it("outside a run does no harm", function()
    assert.has_no_error(function() tw.stop() end)
    assert.same({ 1, 2 }, drained(tw.from_range(1, 2)))
  end)
end)
