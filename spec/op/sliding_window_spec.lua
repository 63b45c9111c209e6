local helper = require "helper"
local tw = helper.tw

local names = { "count", "sum", "mean", "min", "max", "var", "std", "median", "first", "last" }
local nan = 0 / 0

local function window(n, opts)
  return function(s) return s:sliding_window(n, opts) end
end

local numeric = helper.window_of

describe("sliding_window", function()
  it("does what its example says", function()
    helper.example "sliding_window"
  end)

  it("emits the array of the last n elements, for every element", function()
    assert.same({ { 1 }, { 1, 2 }, { 2, 3 } }, helper.run({ 1, 2, 3 }, window(2)))
    assert.same({ { 1 }, { 2 } }, helper.run({ 1, 2 }, window(1)))
  end)

  it("emits only full windows with return_partial = false", function()
    assert.same({ { 1, 2 }, { 2, 3 } }, helper.run({ 1, 2, 3 }, window(2, { return_partial = false })))
    assert.same({}, helper.run_to_end({ 1, 2 }, window(3, { return_partial = false })))
  end)

  it("emits what never filled a window at the end with flush", function()
    local opts = { return_partial = false, flush = true }
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2 }, window(3, opts)))
    assert.same({}, helper.run_to_end({}, window(3, opts)))
  end)

  it("holds every kind of element", function()
    local inputs = { false, tw.null, 1LL, "x", {}, nan }
    local out = helper.run(inputs, window(6))
    helper.expect(inputs, out[6])
    assert.equal(inputs[5], out[6][5])
  end)

  it("gives arrays that the receiver may keep and change", function()
    local s, sums = tw.stream(), {}
    s:sliding_window(2):sink(function(t)
      sums[#sums + 1] = t[1] + (t[2] or 0)
      t[1], t[2] = nil, 1000
    end)
    for i = 1, 4 do s:emit(i) end
    assert.same({ 1, 3, 5, 7 }, sums)
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, window(2)))
  end)

  it("holds its elements when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:sliding_window(2):map(function(t)
        guard(t[#t])
        return t
      end)
    end)
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():sliding_window() end, "sliding_window", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():sliding_window(bad) end, "sliding_window", "n")
    end
    helper.misuse(function() tw.stream():sliding_window(2, { return_partail = true }) end,
      "sliding_window", "return_partail", "return_partial")
    helper.misuse(function() tw.stream():sliding_window(2, { return_partial = 1 }) end,
      "sliding_window", "return_partial")
    helper.misuse(function() tw.stream():sliding_window(2, 3) end, "sliding_window")
    helper.misuse_on_destroyed("sliding_window", function(s) s:sliding_window(2) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = { return_partial = rng:chance(0.5), flush = rng:chance(0.5) or nil }
      helper.agrees(helper.elements(rng, rng:int(0, 100)), window(rng:int(1, 9), opts))
    end, 40)
  end)
end)

describe("sliding_window(n) of numbers", function()
  it("gives only full windows with return_partial = false", function()
    local opts = { return_partial = false }
    assert.same({ 12, 9 }, helper.run({ 4, 1, 7, 1 }, numeric(3, "sum", nil, opts)))
    assert.same({ 4, 1 }, helper.run({ 4, 1, 7, 1 }, numeric(3, "median", nil, opts)))
    assert.same({ 3, 3 }, helper.run({ 4, 1, 7, 1 }, numeric(3, "count", nil, opts)))
  end)

  it("raises for an element that is no number, and does not take it in", function()
    for _, name in ipairs(names) do
      for _, bad in ipairs { "5", true, {}, tw.null } do
        local out = helper.run_failing({ 4, bad, 8, 2 }, numeric(2, name))
        local good = helper.run({ 4, 8, 2 }, numeric(2, name))
        assert.equal("raised", out[2][1])
        table.remove(out, 2)
        helper.expect(good, out)
      end
    end
  end)

  it("goes on after an element that is no number, under skip", function()
    local s = tw.stream():on_error "skip"
    local out = s:sliding_window(2):sum():sink_to_list()
    for _, x in ipairs { "bad", 1, "bad", 2, 3 } do s:emit(x) end
    assert.same({ 1, 3, 5 }, out)
  end)

  it("gives nothing for nothing", function()
    for _, name in ipairs(names) do
      assert.same({}, helper.run_to_end({}, numeric(3, name)))
    end
  end)

  it("refuses wrong arguments, at the user's line", function()
    local w = tw.stream():sliding_window(3)
    for _, bad in ipairs { -0.1, 1.1, nan, "0.5", true } do
      helper.misuse(function() w:quantile(bad) end, "quantile", "q")
    end
    helper.misuse(function() w:quantile() end, "quantile", "q")
    for _, bad in ipairs { -1, 0.5, "1", nan } do
      helper.misuse(function() w:var { ddof = bad } end, "var", "ddof")
      helper.misuse(function() w:std { ddof = bad } end, "std", "ddof")
    end
    helper.misuse(function() w:var { dof = 1 } end, "var", "dof", "ddof")
    helper.misuse(function() w:aggregate() end, "aggregate")
    helper.misuse(function() w:aggregate {} end, "aggregate")
    helper.misuse(function() w:aggregate { total = 5 } end, "aggregate", "total")
  end)

  it("agrees with the reference on random input, NaN and infinities among it", function()
    helper.seeded(function(rng)
      local inputs = helper.numbers(rng, rng:int(0, 200), rng:chance(0.6))
      local n, opts = rng:int(1, 12), { return_partial = rng:chance(0.7) }
      for _, name in ipairs(names) do helper.agrees(inputs, numeric(n, name, nil, opts), 1e-9) end
      local finite = helper.numbers(rng, rng:int(0, 200))
      helper.agrees(finite, numeric(n, "quantile", rng:unit(), opts), 1e-9)
      helper.agrees(finite, numeric(n, "var", { ddof = rng:int(0, 3) }, opts), 1e-9)
    end, 10)
  end)
end)

describe("sliding_window(n):aggregate", function()
  it("emits several aggregates as one table", function()
    local out = helper.run({ 1, 2, 6 }, function(s)
      return s:sliding_window(2):aggregate { total = tw.sum(), top = tw.max(), n = tw.count() }
    end)
    assert.same({ { total = 1, top = 1, n = 1 }, { total = 3, top = 2, n = 2 },
                  { total = 8, top = 6, n = 2 } }, out)
  end)

  it("takes a field of the elements", function()
    local out = helper.run({ { a = 1, b = 5 }, { a = 2, b = 3 } }, function(s)
      return s:sliding_window(2):aggregate { a = tw.sum "a", b = tw.min "b", q = tw.quantile("a", 0.5) }
    end)
    assert.same({ { a = 1, b = 5, q = 1 }, { a = 3, b = 3, q = 1.5 } }, out)
  end)

  it("gives tables that the receiver may keep and change", function()
    local s, seen = tw.stream(), {}
    s:sliding_window(2):aggregate { total = tw.sum() }:sink(function(t)
      seen[#seen + 1] = t
      t.other = t.total
    end)
    s:emit(1)
    s:emit(2)
    assert.same({ { total = 1, other = 1 }, { total = 3, other = 3 } }, seen)
  end)

  it("takes an element in everywhere or nowhere", function()
    local out = helper.run_failing({ { a = 1, b = 1 }, { a = 2 }, { a = 4, b = 8 }, 5 }, function(s)
      return s:sliding_window(3):aggregate { a = tw.sum "a", b = tw.sum "b" }
    end)
    assert.same({ a = 1, b = 1 }, out[1])
    assert.equal("raised", out[2][1])
    assert.same({ a = 5, b = 9 }, out[3])
    assert.equal("raised", out[4][1])
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local rows = {}
      for i = 1, 100 do rows[i] = { a = rng:normal(), b = rng:int(0, 9) } end
      helper.agrees(rows, function(s, engine)
        local e = engine or tw
        return s:sliding_window(7):aggregate {
          n = e.count "a", a = e.sum "a", mean = e.mean "b", low = e.min "a", high = e.max "b",
          var = e.var "a", std = e.std "b", mid = e.median "b", q = e.quantile("a", 0.9),
          first = e.first "a", last = e.last "b",
        }
      end, 1e-9)
    end, 5)
  end)

  it("with flush hands on the aggregates of a window that never became full", function()
    local win = tw.from_range(1, 2):sliding_window(3, { return_partial = false, flush = true })
    local arrays, sums = win:sink_to_list(), win:sum():sink_to_list()
    local tables = win:aggregate({ total = tw.sum(), n = tw.count() }):sink_to_list()
    local only = tw.from_range(1, 2):sliding_window(3, { return_partial = false, flush = true })
      :mean():sink_to_list()
    local dropped = tw.from_range(1, 2):sliding_window(3, { return_partial = false }):sum():sink_to_list()
    tw.run()
    assert.same({ { { 1, 2 } }, { 3 }, { { total = 3, n = 2 } }, { 1.5 }, {} },
                { arrays, sums, tables, only, dropped })
  end)

  it("keeps an array emitted into it from its aggregates", function()
    local s = tw.stream()
    local win = s:sliding_window(2)
    local sums = win:sum():sink_to_list()
    s:emit(1)
    win:emit({ 5, 6 })
    s:emit(2)
    assert.same({ 1, 3 }, sums)
  end)

  it("takes any number of aggregates at once", function()
    local specs, expected = {}, {}
    for i = 1, 100 do specs["k" .. i], expected["k" .. i] = tw.sum(), 7 end
    local out = helper.run({ 7 }, function(s) return s:sliding_window(2):aggregate(specs) end)
    assert.same({ expected }, out)
  end)
end)
