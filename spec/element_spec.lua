--- The contract of elements (black box): nil, false, null, identity, keys, tuples, views,
-- durations and settings.
local ffi = require "ffi"
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, misuse, first_line = bb.append, bb.failure, bb.misuse, bb.first_line

local function same(x) return x end

-- One of every kind of element there is.
local function kinds()
  return {
    false, true, 0, -1.5, math.huge, -math.huge, 2 ^ 53, "", "text", "a\0b", ("x"):rep(1e5),
    tw.null, {}, { 1, 2 }, print, function() end, coroutine.create(function() end),
    newproxy and newproxy() or io.stdout, io.stdout, ffi.new("int[3]", 1, 2, 3), ffi.new("struct { int a; }"),
    tw.stream(),
  }
end

-- Operators that pass or hold a single element; each maps the stream to one that gives x back.
local passers = {
  ["map"] = function(s) return s:map(same) end,
  ["filter"] = function(s) return s:filter(function() return true end) end,
  ["remove"] = function(s) return s:remove(function() return false end) end,
  ["accumulate"] = function(s) return s:accumulate(function(_, x) return x end) end,
  ["accumulate with start"] = function(s)
    return s:accumulate(function(_, x) return x end, { start = 0 })
  end,
  ["tap"] = function(s) return s:tap(same) end,
  ["sliding_window and pluck"] = function(s) return s:sliding_window(1):pluck(1) end,
  ["sliding_window and flatten"] = function(s) return s:sliding_window(1):flatten() end,
  ["partition and flatten"] = function(s) return s:partition(1):flatten() end,
  ["partition of two"] = function(s) return s:partition(2):flatten() end,
  ["partition_unique"] = function(s)
    local n = 0
    return s:partition_unique(1, { key = function()
      n = n + 1
      return n
    end }):flatten()
  end,
  ["union"] = function(s) return s:union(tw.stream()) end,
  ["zip"] = function(s) return s:zip(s):pluck(2) end,
  ["combine_latest"] = function(s) return s:combine_latest(s:map(same)):pluck(1) end,
  ["zip_latest"] = function(s)
    local other = tw.stream()
    local zipped = s:zip_latest(other)
    other:emit(1)
    return zipped:pluck(1)
  end,
  ["slice"] = function(s) return s:slice(1) end,
  ["take"] = function(s) return s:take(1000) end,
  ["skip and enumerate"] = function(s) return s:skip(1):enumerate():pluck(2) end,
  ["filter_map"] = function(s) return s:filter_map(same) end,
  ["flat_map"] = function(s) return s:flat_map(function(x) return { x } end) end,
  ["starmap"] = function(s) return s:map(function(x) return { x } end):starmap(same) end,
}

describe("an element", function()
  it("is never nil: emit(nil) raises at the caller's line", function()
    local source, got = tw.stream(), {}
    source:sink(append(got))
    misuse(function() source:emit(nil) end)
    misuse(function() source:emit() end)
    assert.same({}, got)
    source:emit(1)
    assert.same({ 1 }, got)
  end)

  it("is not passed on when a map returns nil", function()
    local source, got = tw.stream(), {}
    source:map(function(x) if x > 1 then return x end end):sink(append(got))
    for i = 1, 3 do source:emit(i) end
    assert.same({ 2, 3 }, got)
  end)

  it("may be false", function()
    local source, got = tw.stream(), {}
    source:map(function(x) return x > 1 end):sink(append(got))
    source:emit(1)
    source:emit(2)
    assert.same({ false, true }, got)
  end)

  it("may be null, which is neither nil nor false", function()
    assert.is_truthy(tw.null)
    assert.equal(tw.null, require "tideway".null)
    local source, got = tw.stream(), {}
    source:sink(append(got))
    source:emit(tw.null)
    assert.equal(tw.null, got[1])
  end)

  it("that is false is dropped by a filter without predicate, null and 0 are not", function()
    local source, got = tw.stream(), {}
    source:filter():sink(append(got))
    for _, x in ipairs { false, 0, "", tw.null, true } do source:emit(x) end
    assert.equal(4, #got)
    assert.equal(0, got[1])
    assert.equal(tw.null, got[3])
  end)

  for name, pass in pairs(passers) do
    it("of any kind passes unchanged, by reference, through " .. name, function()
      local source, got = tw.stream(), {}
      pass(source):sink(append(got))
      -- these two let an element through when a second one comes
      local twice = name == "partition of two" or name == "skip and enumerate"
      for _, x in ipairs(kinds()) do
        local before = #got
        source:emit(x)
        if twice then source:emit(x) end
        assert.is_true(#got > before, name .. " dropped " .. tostring(x))
        assert.is_true(rawequal(got[#got], x), name .. " changed " .. tostring(x))
      end
    end)
  end

  it("may be NaN", function()
    local source, got = tw.stream(), {}
    source:map(same):sliding_window(2):flatten():sink(append(got))
    source:emit(0 / 0)
    assert.is_true(got[1] ~= got[1])
  end)

  it("may be a 64-bit integer, which keeps every bit", function()
    local source, got = tw.stream(), {}
    source:sliding_window(1):flatten():sink(append(got))
    source:partition(1):flatten():sink(append(got))
    for _, x in ipairs { 9007199254740993LL, -9223372036854775807LL, 18446744073709551615ULL } do
      source:emit(x)
      assert.is_true(got[#got] == x and got[#got - 1] == x)
      assert.equal(tostring(x), tostring(got[#got]))
      assert.equal(tostring(x), tostring(got[#got - 1]))
    end
  end)

  it("keeps the sign of zero", function()
    local source, got = tw.stream(), {}
    source:sliding_window(1):flatten():sink(append(got))
    source:emit(-0.0)
    assert.equal(-math.huge, 1 / got[1])
  end)

  it("that a function changes is changed for the siblings, too", function()
    local source, got = tw.stream(), {}
    source:map(function(t)
      t.seen = true
      return t
    end):sink(append(got))
    source:sink(append(got))
    local t = {}
    source:emit(t)
    assert.is_true(rawequal(got[1], t) and rawequal(got[2], t))
    assert.is_true(got[2].seen)
  end)
end)

describe("extra arguments", function()
  it("go to the function after the element, a table and nil included", function()
    local source, got = tw.stream(), {}
    local settings = { maxsize = 1 }
    source:map(function(x, a, b, c) return { x, a, b, c } end, 1, nil, settings):sink(append(got))
    source:emit("x")
    assert.equal("x", got[1][1])
    assert.equal(1, got[1][2])
    assert.is_nil(got[1][3])
    assert.is_true(rawequal(settings, got[1][4]))
  end)

  it("go to predicates, sinks and starmap", function()
    local source, got = tw.stream(), {}
    source:filter(function(x, least) return x >= least end, 2):sink(append(got))
    source:remove(function(x, least) return x >= least end, 2):sink(append(got))
    source:sink(function(x, to, sign) to[#to + 1] = x * sign end, got, -1)
    source:map(function(x) return { x, 10 } end)
      :starmap(function(a, b, c) return a + b + c end, 100):sink(append(got))
    source:emit(1)
    source:emit(2)
    assert.same({ 1, -1, 111, 2, -2, 112 }, got)
  end)

  it("are counted: none is invented", function()
    local source, n = tw.stream(), {}
    source:map(function(...) n[#n + 1] = select("#", ...) return 1 end):sink(same)
    source:map(function(...) n[#n + 1] = select("#", ...) return 1 end, nil):sink(same)
    source:sink(function(...) n[#n + 1] = select("#", ...) end, 1, nil)
    source:emit(1)
    assert.same({ 1, 2, 3 }, n)
  end)
end)

describe("a key", function()
  -- which of the elements does unique let through?
  local function distinct(list, opts)
    local source, got = tw.stream(), {}
    source:unique(opts):sink(append(got))
    for i = 1, #list do source:emit(list[i]) end
    return got
  end

  it("that is a number compares by value, 64-bit integers included", function()
    assert.same({ 1, 2 }, distinct { 1, 1.0, 1LL, 1ULL, 2, 2LL })
    assert.equal(1, #distinct { 0, -0.0, 0LL })
    assert.equal(2, #distinct { 9007199254740993LL, 9007199254740992LL, 9007199254740992 })
    assert.equal(1, #distinct { 5LL, 5 })
    assert.equal(2, #distinct { -1LL, 18446744073709551615ULL })
  end)

  it("that is a string compares by bytes and is no number", function()
    local made = table.concat { "a", "b" }
    assert.same({ "ab", "AB", "a\0b", "a\0c", "", "1", 1 },
      distinct { "ab", made, "AB", "a\0b", "a\0c", "", "1", 1, "" })
  end)

  it("that is a boolean or null is itself", function()
    local got = distinct { true, 1, false, 0, tw.null, true, false, tw.null }
    assert.equal(5, #got)
  end)

  it("that is a table compares by identity", function()
    local t = {}
    assert.equal(2, #distinct { t, {}, t })
    assert.equal(2, #distinct { print, tostring, print })
  end)

  it("compares by content on hashable = false", function()
    local got = distinct({ { 1, { a = 2 } }, { 1, { a = 2 } }, { 1, { a = 3 } }, { 1 } },
      { hashable = false })
    assert.equal(3, #got)
  end)

  it("may be computed or be a field", function()
    assert.same({ 1, 2, 3 }, distinct({ 1, 4, 2, 5, 3 }, { key = function(x) return x % 3 end }))
    local got = distinct({ { id = 1 }, { id = 1 }, { id = 2 } }, { key = "id" })
    assert.equal(2, #got)
  end)

  local NAN = 0 / 0
  local keyed = {
    unique = function(s, key) return s:unique { key = key } end,
    ["unique with maxsize"] = function(s, key) return s:unique { key = key, maxsize = 5 } end,
    ["unique by content"] = function(s, key) return s:unique { key = key, hashable = false } end,
    partition = function(s, key) return s:partition(2, { key = key }):flatten() end,
    partition_unique = function(s, key) return s:partition_unique(2, { key = key }):flatten() end,
    ["partition_unique, last"] = function(s, key)
      return s:partition_unique(2, { key = key, keep = "last" }):flatten()
    end,
  }
  for name, build in pairs(keyed) do
    it("that is nil or NaN raises and is not taken in by " .. name, function()
      local source, got = tw.stream(), {}
      local key = function(x) return x.key end
      build(source, key):sink(function(x) got[#got + 1] = x.n end)
      failure(source.emit, source, { n = 0 })
      source:emit { n = 1, key = name == "partition" and "a" or "b" }
      failure(source.emit, source, { n = 0 })
      failure(source.emit, source, { n = 0, key = NAN })
      source:emit { n = 2, key = "a" }
      assert.same({ 1, 2 }, got)
    end)

    it("that is a missing field raises in " .. name, function()
      local source, got = tw.stream(), {}
      build(source, "key"):sink(function(x) got[#got + 1] = x.n end)
      failure(source.emit, source, { n = 0 })
      source:emit { n = 1, key = name == "partition" and "a" or "b" }
      source:emit { n = 2, key = "a" }
      assert.same({ 1, 2 }, got)
    end)
  end

  it("that is NaN itself raises in unique", function()
    local source = tw.stream()
    source:unique():sink(same)
    failure(source.emit, source, NAN)
  end)
end)

describe("a tuple", function()
  local function spoil(t)
    for k in pairs(t) do t[k] = "spoilt" end
    t[99] = true
  end

  -- each: builds the operator, feeds it, says what the tuples must be in the end
  local makers = {
    sliding_window = function(source) return source:sliding_window(2) end,
    ["sliding_window of tables"] = function(source) return source:map(function(x)
      return { x }
    end):sliding_window(2):map(function(w)
      local out = {}
      for i = 1, #w do out[i] = w[i][1] end
      return out
    end) end,
    partition = function(source) return source:partition(2) end,
    partition_unique = function(source) return source:partition_unique(2) end,
    zip = function(source) return source:zip(source:map(function(x) return -x end)) end,
    combine_latest = function(source)
      return source:combine_latest(source:map(function(x) return -x end))
    end,
    zip_latest = function(source)
      local other = tw.stream()
      local s = source:zip_latest(other)
      other:emit("latest")
      return s
    end,
    enumerate = function(source) return source:enumerate() end,
    pluck = function(source) return source:map(function(x) return { x, x } end):pluck { 1, 2 } end,
    frequencies = function(source) return source:frequencies() end,
    ["accumulate with state"] = function(source)
      return source:accumulate(function(s, x) return s + x end, { with_state = true })
    end,
    collect = function(source)
      local c = source:collect()
      source:sink(function() c:flush() end)
      return c
    end,
  }
  local function run(make, receive)
    local source = tw.stream()
    local out = make(source)
    out:sink(receive)
    for i = 1, 6 do source:emit(i) end
  end
  for name, make in pairs(makers) do
    it("is the receiver's: changing it disturbs nothing in " .. name, function()
      local expected, got = {}, {}
      run(make, function(t)
        local copy = {}
        for k, v in pairs(t) do copy[k] = v end
        expected[#expected + 1] = copy
      end)
      run(make, function(t)
        local copy = {}
        for k, v in pairs(t) do copy[k] = v end
        got[#got + 1] = copy
        spoil(t)
      end)
      assert.is_true(#got > 0)
      assert.same(expected, got)
    end)

    it("is the receiver's: keeping it is safe in " .. name, function()
      local expected, kept = {}, {}
      run(make, function(t)
        local copy = {}
        for k, v in pairs(t) do copy[k] = v end
        expected[#expected + 1] = copy
      end)
      run(make, function(t) kept[#kept + 1] = t end)
      assert.same(expected, kept)
      for i = 2, #kept do assert.is_false(rawequal(kept[i - 1], kept[i])) end
    end)
  end

  it("has indices from 1", function()
    local source, got = tw.stream(), {}
    source:zip(source):sink(append(got))
    source:emit("x")
    assert.same({ { "x", "x" } }, got)
  end)

  it("holds false and null in their places", function()
    local source, got = tw.stream(), {}
    source:sliding_window(3):sink(append(got))
    source:emit(false)
    source:emit(tw.null)
    source:emit(false)
    assert.equal(3, #got[3])
    assert.equal(false, got[3][1])
    assert.equal(tw.null, got[3][2])
    assert.equal(false, got[3][3])
  end)
end)

describe("a view", function()
  local path
  before_each(function() path = bb.file("alpha beta 12.5\nsecond 7\n\nlast\0line\n") end)
  after_each(function() os.remove(path) end)

  it("reads like a string", function()
    local log = {}
    tw.from_textfile(path, { view = true }):sink(function(v)
      log[#log + 1] = {
        n = #v, first = v:byte(1), has = v:has("beta"), at = v:find("a", 2),
        starts = v:starts("al"), ends = v:ends("12.5"), eq = v:eq("second 7"),
        sub = v:sub(1, 5):string(), tail = v:sub(-4, -1):string(), text = v:string(),
        same = tostring(v),
      }
    end)
    tw.run()
    assert.equal(4, #log)
    assert.same({
      n = 15, first = ("a"):byte(), has = true, at = 5, starts = true, ends = true, eq = false,
      sub = "alpha", tail = "12.5", text = "alpha beta 12.5", same = "alpha beta 12.5",
    }, log[1])
    assert.is_true(log[2].eq)
    assert.equal(0, log[3].n)
    assert.equal("", log[3].text)
    assert.equal("last\0line", log[4].text)
    assert.equal(9, log[4].n)
  end)

  it("reads numbers from its bytes", function()
    local got = {}
    tw.from_textfile(path, { view = true }):take(2):sink(function(v)
      local at = #v == 15 and 12 or 8
      got[#got + 1] = v:number(at, #v)
    end)
    tw.run()
    assert.same({ 12.5, 7 }, got)
  end)

  it("is valid until the function that got it returns", function()
    local kept, part
    tw.from_textfile(path, { view = true }):sink(function(v)
      if not kept then kept, part = v, v:sub(1, 3) end
    end)
    tw.run()
    failure(function() return kept:string() end)
    failure(function() return kept:byte(1) end)
    failure(function() return part:string() end)
  end)

  it("is a string after an operator that holds elements", function()
    local whole = { "alpha beta 12.5", "second 7", "", "last\0line" }
    local holders = {
      sliding_window = function(s) return s:sliding_window(1):flatten() end,
      partition = function(s) return s:partition(2):flatten() end,
      partition_unique = function(s) return s:partition_unique(4):flatten() end,
      zip = function(s) return s:zip(s):pluck(1) end,
    }
    for name, hold in pairs(holders) do
      local got = {}
      hold(tw.from_textfile(path, { view = true })):sink(append(got))
      tw.run()
      assert.same(whole, got, name)
    end
    local source = tw.from_textfile(path, { view = true })
    local list = source:sink_to_list()
    local held = source:collect()
    local got = {}
    held:flatten():sink(append(got))
    tw.run()
    held:flush()
    assert.same(whole, got)
    assert.same(whole, list)
  end)

  it("is a key by its bytes", function()
    local other = bb.file("a\nb\na\nc\nb\n")
    local got = {}
    tw.from_textfile(other, { view = true }):unique():map(function(v) return tostring(v) end)
      :sink(append(got))
    tw.run()
    os.remove(other)
    assert.same({ "a", "b", "c" }, got)
  end)
end)

describe("a duration", function()
  it("is a number of seconds or a string with a unit", function()
    local source = tw.stream()
    for _, d in ipairs { 1, 0.5, "10ns", "10us", "10ms", "1.5s", "2m", "1h", "1d" } do
      assert.has_no_error(function() source:unique { ttl = d } end)
    end
  end)

  it("of any other form raises when the operator is built", function()
    local source = tw.stream()
    for _, d in ipairs { "10", "ms", "10 parsecs", "", "-1s", -1, 0 / 0, true, {} } do
      local text = misuse(function() source:unique { ttl = d } end)
      assert.is_true(bb.has(text, "ttl"), text)
    end
  end)
end)

describe("a setting", function()
  local unknown = {
    accumulate = { function(s) s:accumulate(same, { strat = 1 }) end, "strat", "start" },
    scan = { function(s) s:scan(same, { strat = 1 }) end, "strat", "start" },
    unique = { function(s) s:unique { maxsise = 1 } end, "maxsise", "maxsize" },
    partition = { function(s) s:partition(2, { kye = 1 }) end, "kye", "key" },
    partition_unique = { function(s) s:partition_unique(2, { keeep = 1 }) end, "keeep", "keep" },
    sliding_window = {
      function(s) s:sliding_window(2, { partial = 1 }) end, "partial", "return_partial",
    },
    collect = { function(s) s:collect { maxsise = 1 } end, "maxsise", "maxsize" },
    zip = { function(s) s:zip(s, { maxsise = 1 }) end, "maxsise", "maxsize" },
    ["tw.zip"] = { function(s) tw.zip({ s, s }, { maxsise = 1 }) end, "maxsise", "maxsize" },
    combine_latest = { function(s) s:combine_latest(s, { emiton = 1 }) end, "emiton", "emit_on" },
    on_error = { function(s) s:on_error { retries = 1 } end, "retries", "retry" },
    csv = { function(s) s:csv { head = true } end, "head", "header" },
    json = { function(s) s:json { field = {} } end, "field", "fields" },
    from_range = { function() tw.from_range(1, 2, 1, { begin = true }) end, "begin", "start" },
    from_iterable = { function() tw.from_iterable({}, { begin = true }) end, "begin", "start" },
  }
  for name, case in pairs(unknown) do
    it("that " .. name .. " does not know raises, and the known ones are named", function()
      local source = tw.stream()
      local err = failure(case[1], source)
      local text = first_line(err)
      assert.is_true(bb.has(text, "element_spec.lua:"), text)
      assert.is_true(bb.has(text, case[2]), text)
      assert.is_true(bb.has(text, case[3]), text)
    end)
  end

  it("of a wrong type raises", function()
    local s = tw.stream()
    misuse(function() s:sliding_window(2, { return_partial = 1 }) end)
    misuse(function() s:unique { maxsize = "many" } end)
    misuse(function() s:unique { maxsize = 0 } end)
    misuse(function() s:unique { maxsize = 1.5 } end)
    misuse(function() s:unique { key = true } end)
    misuse(function() s:collect { maxsize = -1 } end)
    misuse(function() s:partition_unique(2, { keep = "middle" }) end)
    misuse(function() s:unique("maxsize") end)
  end)
end)
