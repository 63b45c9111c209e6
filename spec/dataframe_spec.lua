local ffi = require "ffi"
local helper = require "helper"
local frames_of = require "support.frames"
local tw = helper.tw

local types, random_frames, run = frames_of.types, frames_of.random, frames_of.run
local expected = frames_of.expected

local function selected(lists, pred)
  local out = {}
  for i, rows in ipairs(lists) do
    out[i] = {}
    for _, row in ipairs(rows) do
      if pred(row) then table.insert(out[i], row) end
    end
  end
  return out
end

local function get(name) return function(row) return row[name] end end
local all = { name = get "name", k = get "k", x = get "x", y = get "y", ok = get "ok" }

--- build's frames are want's columns, on random frames.
local function agrees(build, columns, pred)
  helper.seeded(function(rng)
    local frames, lists = random_frames(rng)
    if pred then lists = selected(lists, pred) end
    helper.expect(expected(lists, columns), run(frames, build), 1e-9)
  end, 10)
end

describe("dataframe: columns", function()
  it("are calculated with, missing where an operand is", function()
    local function both(fn)
      return function(row) if row.x ~= nil and row.y ~= nil then return fn(row.x, row.y) end end
    end
    agrees(function(df) return df.x + df.y end, { value = both(function(a, b) return a + b end) })
    agrees(function(df) return (df.x - df.y) * 2 end, { value = both(function(a, b) return (a - b) * 2 end) })
    agrees(function(df) return 1 / df.x end, { x = function(row) return row.x and 1 / row.x end })
    agrees(function(df) return -df.x ^ 2 end, { x = function(row) return row.x and -(row.x ^ 2) end })
    agrees(function(df) return (df.x * 100):round() % 7 end, { x = function(row)
      if not row.x then return nil end
      local y = row.x * 100
      local r = math.floor(y + 0.5)
      if r - y == 0.5 and r % 2 ~= 0 then r = r - 1 end
      return r % 7
    end })
    agrees(function(df) return df.x:abs() end, { x = function(row) return row.x and math.abs(row.x) end })
    agrees(function(df) return df.ok + df.k end, { value = function(row)
      if row.ok ~= nil and row.k then return (row.ok and 1 or 0) + row.k end
    end })
  end)

  it("stay i64 where all operands are whole", function()
    agrees(function(df) return df.k * 3 - df.k % 3 end, { k = function(row)
      return row.k and row.k * 3 - row.k % 3
    end })
    agrees(function(df) return df.k / 2 end, { k = function(row) return row.k and row.k / 2 end })
    agrees(function(df) return 7 % df.k end, { k = function(row) return row.k and row.k ~= 0 and 7 % row.k or nil end })
    local out = run({ tw.frame { n = { 9007199254740993LL, 5LL } } },
      function(df) return df.n + 1 end, { schema = { n = "i64" } })
    helper.expect({ { n = { 9007199254740994LL, 6 } } }, out)
    assert.same({ n = "i64" }, tw.stream():to_dataframe { schema = { n = "i64" } }:types())
  end)

  it("compare; with a missing cell that is false, ne true", function()
    local ops = {
      eq = function(a, b) return a == b end, ne = function(a, b) return a ~= b end,
      lt = function(a, b) return a < b end, le = function(a, b) return a <= b end,
      gt = function(a, b) return a > b end, ge = function(a, b) return a >= b end,
    }
    for op, fn in pairs(ops) do
      local function compare(left, right)
        return function(row)
          local a, b = left(row), right(row)
          if a == nil or b == nil then return op == "ne" end
          return fn(a, b)
        end
      end
      local function constant(x) return function() return x end end
      agrees(function(df) return df.x[op](df.x, 1) end, { x = compare(get "x", constant(1)) })
      agrees(function(df) return df.k[op](df.k, 1) end, { k = compare(get "k", constant(1)) })
      agrees(function(df) return df.k[op](df.k, 0.5) end, { k = compare(get "k", constant(0.5)) })
      agrees(function(df) return df.k[op](df.k, df.y) end, { value = compare(get "k", get "y") })
      agrees(function(df) return df.name[op](df.name, "Bob") end, { name = compare(get "name", constant "Bob") })
      agrees(function(df) return df.name[op](df.name, df.name) end, { name = compare(get "name", get "name") })
    end
  end)

  it("are combined by both, either and negate, and asked by isin and isnull", function()
    local function positive(row) return row.x ~= nil and row.x > 0 end
    agrees(function(df) return df.x:gt(0):both(df.ok) end,
      { value = function(row) return positive(row) and row.ok == true end })
    agrees(function(df) return df.x:gt(0):either(df.ok) end,
      { value = function(row) return positive(row) or row.ok == true end })
    agrees(function(df) return df.ok:negate() end, { ok = function(row) return row.ok ~= true end })
    agrees(function(df) return df.x:gt(0):negate() end, { x = function(row) return not positive(row) end })
    agrees(function(df) return df.x:isnull() end, { x = function(row) return row.x == nil end })
    agrees(function(df) return df.name:isnull() end, { name = function(row) return row.name == nil end })
    agrees(function(df) return df.name:isin { "Bob", "" } end,
      { name = function(row) return row.name == "Bob" or row.name == "" end })
    agrees(function(df) return df.k:isin { 1, -2, 0.5 } end, { k = function(row) return row.k == 1 or row.k == -2 end })
    agrees(function(df) return df.y:isin {} end, { y = function() return false end })
  end)

  it("are mapped by a function, missing cells left out", function()
    agrees(function(df) return df.x:map(function(x) return x * 2 end) end,
      { x = function(row) return row.x and row.x * 2 end })
    agrees(function(df) return df.name:map(function(name) return "<" .. name .. ">" end) end,
      { name = function(row) return row.name and "<" .. row.name .. ">" end })
    agrees(function(df) return df.x:map(function(x) return x > 0 end, { type = "bool" }) end,
      { x = function(row) if row.x ~= nil then return row.x > 0 end end })
    local example = tw.frame { x = { 1 } }
    local out = run({ tw.frame { x = { 1, 2 } } }, function(df)
      return df.x:map(function(x) return "n" .. x end)
    end, { example = example })
    assert.same({ { x = { "n1", "n2" } } }, out)
  end)

  it("have no -0 as i64, have one as f64", function()
    local out = run({ tw.frame({ x = { 1 }, k = { 0 } }, { schema = { k = "i64" } }) }, function(df)
      return df:assign { a = df.x / -df.k, b = df.x / (df.k * -1), c = df.x / -(df.k / 1),
        d = 1 / (df.x * -0.3):round(), e = 1 / (df.x % -1), f = df.k / -1 + 0 }[{ "a", "b", "c", "d", "e", "f" }]
    end, { schema = { x = "f64", k = "i64" } })
    local inf = math.huge
    helper.expect({ { a = { inf }, b = { inf }, c = { -inf }, d = { -inf }, e = { -inf }, f = { 0 } } }, out)
  end)

  it("are rounded as pandas rounds", function()
    local out = run({ tw.frame { x = { 0.5, 1.5, 2.5, -0.5, -1.5, 1e300, 0.125, tw.null } } },
      function(df) return df.x:round() end, { schema = { x = "f64" } })
    helper.expect({ { x = { 0, 2, 2, 0, -2, 1e300, 0, tw.null } } }, out)
    out = run({ tw.frame { x = { 0.125, 12.345, -7 } } },
      function(df) return df:round(1) end, { schema = { x = "f64" } })
    helper.expect({ { x = { 0.1, 12.3, -7 } } }, out)
    out = run({ tw.frame { x = { 1234, 50 } } }, function(df) return df:round(-2) end, { schema = { x = "f64" } })
    helper.expect({ { x = { 1200, 0 } } }, out)
  end)

  it("change their type", function()
    agrees(function(df) return df:astype { k = "f64", ok = "i64", y = "i64" } end, {
      name = get "name", k = get "k", x = get "x", y = get "y",
      ok = function(row) if row.ok ~= nil then return row.ok and 1 or 0 end end,
    })
    local s = tw.stream()
    local out = s:to_dataframe { schema = { s = "string" } }.s:astype "f64".stream
      :map(function(f) return f:to_table() end):sink_to_list()
    s:emit(tw.frame { s = { "1.5", "2" } })
    local ok, err = pcall(s.emit, s, tw.frame { s = { "1", "a" } })
    assert.is_false(ok)
    assert.truthy(err:find('astype: column "s", row 2: "a" is no f64', 1, true), err)
    s:emit(tw.frame { s = { "3" } })
    assert.same({ { s = { 1.5, 2 } }, { s = { 3 } } }, out)
    local k = tw.stream()
    assert(k:to_dataframe { schema = { k = "i64" } }.k:astype "timestamp".stream:sink(function() end))
    ok, err = pcall(k.emit, k, tw.frame { k = { 9007199254740993LL } })
    assert.is_false(ok)
    assert.truthy(err:find('column "k", row 1: 9007199254740993 is no timestamp', 1, true), err)
  end)
end)

describe("dataframe: rows", function()
  it("are selected by a condition", function()
    agrees(function(df) return df[df.x:gt(0)] end, all, function(row) return row.x ~= nil and row.x > 0 end)
    agrees(function(df) return df[df.name:eq "Alice"] end, all, function(row) return row.name == "Alice" end)
    agrees(function(df) return df[df.x:gt(0)].y end, { y = get "y" },
      function(row) return row.x ~= nil and row.x > 0 end)
    agrees(function(df)
      local positive = df[df.x:gt(0)]
      return positive[positive.y:lt(3)]
    end, all, function(row) return row.x and row.y and row.x > 0 and row.y < 3 end)
    agrees(function(df)
      local positive = df[df.x:gt(0)]
      return positive[df.y:lt(3)]
    end, all, function(row) return row.x and row.y and row.x > 0 and row.y < 3 end)
  end)

  it("are selected before what may fail or calls functions is done", function()
    local seen = {}
    local out = run({ tw.frame { s = { "1", "n/a", "2" } } }, function(df)
      local good = df[df.s:ne "n/a"]
      good.v = good.s:astype "f64"
      good.w = good.v:map(function(v)
        seen[#seen + 1] = v
        return v + 1
      end)
      return good
    end, { schema = { s = "string" } })
    assert.same({ { s = { "1", "2" }, v = { 1, 2 }, w = { 2, 3 } } }, out)
    assert.same({ 1, 2 }, seen)
  end)

  it("keep their order and index, also when none is left", function()
    agrees(function(df) return df[df.k:gt(100)] end, all, function() return false end)
  end)

  it("are the last n of each frame by tail", function()
    helper.seeded(function(rng)
      local frames, lists = random_frames(rng)
      for i, rows in ipairs(lists) do
        local kept = {}
        for j = math.max(1, #rows - 2), #rows do kept[#kept + 1] = rows[j] end
        lists[i] = kept
      end
      helper.expect(expected(lists, all), run(frames, function(df) return df:tail(3) end))
    end, 5)
  end)
end)

describe("dataframe: structure", function()
  it("has columns set on the handle, and by assign on a new one", function()
    local function sum(row) return row.x and row.y and row.x + row.y end
    agrees(function(df)
      df.z = df.x + df.y
      return df
    end, { name = get "name", k = get "k", x = get "x", y = get "y", ok = get "ok", z = sum })
    agrees(function(df)
      df.x = df.x + df.y
      return df[{ "x", "y" }]
    end, { x = sum, y = get "y" })
    agrees(function(df) return df:assign { z = df.x + df.y, c = 5, s = "text" }[{ "z", "c", "s" }] end,
      { z = sum, c = function() return 5 end, s = function() return "text" end })
    agrees(function(df)
      local more = df:assign { z = 1 }
      assert.same({ "k", "name", "ok", "x", "y" }, df:columns())
      assert.same({ "k", "name", "ok", "x", "y", "z" }, more:columns())
      return df
    end, all)
  end)

  it("emits the rows as they are after an assignment, and df.stream of before as it was", function()
    local s = tw.stream()
    local df = s:to_dataframe { schema = { x = "f64" } }
    local before = df.stream:map(function(f) return f:to_table() end):sink_to_list()
    df.z = df.x * 2
    local after = df.stream:map(function(f) return f:to_table() end):sink_to_list()
    s:emit(tw.frame { x = { 1 } })
    assert.same({ { x = { 1 } } }, before)
    assert.same({ { x = { 1 }, z = { 2 } } }, after)
  end)

  it("selects columns, resets and sets the index", function()
    agrees(function(df) return df[{ "y", "name" }] end, { y = get "y", name = get "name" })
    agrees(function(df) return df:col "x" end, { x = get "x" })
    agrees(function(df) return df.x:to_frame() end, { x = get "x" })
    local out = run({ tw.frame({ t = { 1 }, x = { 2 } }, { index = "t" }) }, function(df)
      local flat = df:reset_index()
      assert.same({ "t", "x" }, flat:columns())
      return flat:set_index "x"
    end, { schema = { t = "f64", x = "f64" }, index = "t" })
    assert.same({ { t = { 1 }, x = { 2 } } }, out)
    local s = tw.stream()
    local df = s:to_dataframe { schema = { t = "f64", x = "f64" }, index = "t" }
    assert.same({ "x" }, df:reset_index { drop = true }:columns())
    local indexed = {}
    df:set_index(df.x * 2).stream:sink(function(f) indexed[#indexed + 1] = f:index() end)
    s:emit(tw.frame({ t = { 1 }, x = { 2 } }, { index = "t" }))
    assert.same({ "x" }, indexed)
  end)

  it("calculates with a number on all columns of numbers", function()
    agrees(function(df) return df * 2 end, {
      name = get "name", k = function(row) return row.k and row.k * 2 end,
      x = function(row) return row.x and row.x * 2 end, y = function(row) return row.y and row.y * 2 end,
      ok = function(row) if row.ok ~= nil then return row.ok and 2 or 0 end end,
    })
    agrees(function(df) return df[{ "x", "y" }] - df[{ "x", "y" }] end, {
      x = function(row) return row.x and 0 end, y = function(row) return row.y and 0 end,
    })
  end)

  it("combines two dataframes frame by frame", function()
    local a, b = tw.stream(), tw.stream()
    local opts = { schema = { x = "f64" } }
    local df, other = a:to_dataframe(opts), b:to_dataframe(opts)
    local out = (df.x + other.x * 10).stream:map(function(f) return f:to_table() end):sink_to_list()
    local where = df[other.x:gt(1)].stream:map(function(f) return f:to_table() end):sink_to_list()
    a:emit(tw.frame { x = { 1, 2 } })
    b:emit(tw.frame { x = { 1, 2 } })
    b:emit(tw.frame { x = { 5 } })
    a:emit(tw.frame { x = { 3 } })
    assert.same({ { x = { 11, 22 } }, { x = { 53 } } }, out)
    assert.same({ { x = { 2 } }, { x = { 3 } } }, where)
    a:emit(tw.frame { x = { 3 } })
    local ok, err = pcall(b.emit, b, tw.frame { x = { 1, 2 } })
    assert.is_false(ok)
    assert.truthy(err:find("1 and 2 rows", 1, true), err)
  end)

  it("gives frames that stay as they are, however many follow", function()
    local s = tw.stream()
    local df = s:to_dataframe { schema = { x = "f64" } }
    local out = {}
    df:assign { z = df.x * 2 }.stream:sink(function(f) out[#out + 1] = f end)
    df[df.x:gt(5)].stream:sink(function(f) out[#out + 1] = f end)
    for i = 1, 10 do s:emit(tw.frame { x = { i, i + 0.5 } }) end
    for i = 1, 10 do
      assert.equal(i * 2, out[2 * i - 1].z[1])
      assert.equal(i > 5 and i or i == 5 and 5.5 or nil, out[2 * i].x[1])
    end
  end)

  it("knows columns named like methods by col", function()
    local out = run({ tw.frame { count = { 1, 2 }, sum = { 3, 4 } } },
      function(df) return df:col "count" + df:col "sum" end, { schema = { count = "f64", sum = "f64" } })
    assert.same({ { value = { 4, 6 } } }, out)
  end)

  it("says which column there is not, and what does not fit", function()
    local df = tw.stream():to_dataframe { schema = types, index = "ts" }
    helper.misuse(function() return df.nam end, "nam", "did you mean 'name'")
    helper.misuse(function() df:sink(print) end, "df.stream:sink")
    helper.misuse(function() return df[{ "x", "yy" }] end, "yy", "did you mean 'y'")
    helper.misuse(function() return df.name + 1 end, "+", 'column "name" (string)', "1 (f64)")
    helper.misuse(function() assert(df.name:gt(1)) end, "gt", 'column "name" (string)', "1 (f64)")
    helper.misuse(function() return df[df.x] end, 'column "x" (f64)')
    helper.misuse(function() return df[df.x + 1] end, "bool")
    helper.misuse(function() assert(df.x:both(df.ok)) end, "both", 'column "x" (f64)')
    helper.misuse(function() df:assign { [1] = 2 } end, "assign")
    helper.misuse(function() df:set_index "zz" end, "zz")
    helper.misuse(function() df:astype "f65" end, "f65")
    helper.misuse(function() df.x:astype { y = "f64" } end, "y")
    helper.misuse(function() df.name:sum() end, "sum", "name", "string")
    helper.misuse(function() df:tail(0) end, "tail")
    helper.misuse(function() df.x:isin(5) end, "isin")
    helper.misuse(function() df.x:eq(nil) end, "eq", "got nil")
    helper.misuse(function() return df + {} end, "+")
    helper.misuse(function() df:window { n = 1, value = 2 } end, "window")
    helper.misuse(function() df:window { m = 1 } end, "m", "n")
    helper.misuse(function() tw.stream():to_dataframe { schema = { x = "f64" } }:window "5s" end, "index")
    helper.misuse(function() df:ewm { com = 1, span = 2 } end, "com", "span")
    helper.misuse(function() df:ewm { com = -1 } end, "com")
    helper.misuse(function() df:groupby "nam" end, "nam", "name")
    helper.misuse(function() df:rolling(3, { min_periods = 4 }) end, "min_periods")
    helper.misuse(function() df.x:sum { start = "a" } end, "start")
    helper.misuse(function() df:verify(tw.frame { x = { 1 } }) end, "missing")
  end)

  it("maps on while the function makes larger frames pass through other dataframes", function()
    local ints = { p = "i64", q = "i64" }
    local other, source, out = tw.stream(), tw.stream(), {}
    local larger = other:to_dataframe { schema = ints }
    larger[(larger.p % 3 + larger.q):ge(0)].stream:sink(function() end)
    local size = 2 ^ 14 -- more rows than any before
    local df = source:to_dataframe { schema = ints }
    local made = (df.p % 7 + df.q):map(function(x)
      local p, q = {}, {}
      for i = 1, size do p[i], q[i] = i, i % 3 == 0 and tw.null or i end
      other:emit(tw.frame({ p = p, q = q }, { schema = ints }))
      size = size * 2
      if size > 2 ^ 16 then size = 1 end
      for _ = 1, 2 do collectgarbage() end
      local fresh = {} -- where something has been let go of
      for i = 1, 500 do fresh[i] = ffi.new("uint8_t[?]", 128 + i % 64) end
      return #fresh > 0 and x or nil
    end)
    made.stream:sink(function(f) out[#out + 1] = f:to_table() end)
    local p, q, want = {}, {}, {}
    for i = 1, 12 do p[i], q[i], want[i] = i, i, i % 7 + i end
    p[3], want[3] = tw.null, tw.null
    source:emit(tw.frame({ p = p, q = q }, { schema = ints }))
    assert.same({ { value = want } }, out)
  end)

  it("gives whole frames to a stream of dead letters, which stay as they are", function()
    local source, dead = tw.stream(), tw.stream()
    local letters = dead:sink_to_list()
    source:on_error(dead)
    local df = source:to_dataframe { schema = { x = "f64" } }
    df[df.x:gt(0)].x:map(function(x) return x < 10 and x or error "no digit" end).stream:sink(function() end)
    df:window(2):aggregate {
      initial = function() return 0 end,
      on_new = function(n, f) return n, #f < 3 and n or error "too many" end,
      on_old = function(n) return n, n end,
    }.stream:sink(function() end)
    source:emit(tw.frame { x = { -1, 12 } })
    source:emit(tw.frame { x = { 1, 2, 3 } })
    source:emit(tw.frame { x = { 4 } })
    assert.equal(2, #letters)
    assert.same({ x = { 12 } }, letters[1].element:to_table())
    assert.same({ x = { 1, 2, 3 } }, letters[2].element:to_table())
    assert.equal("<aggregate>", letters[2].operator)
  end)

  it("can be left alone: a dropped dataframe lets go of its stream", function()
    local s = tw.stream()
    do
      local df = s:to_dataframe { schema = { x = "f64" } }
      df.z = df.x + 1
      assert(df.z:sum().stream)
    end
    for _ = 1, 4 do collectgarbage() end
    s:emit(tw.frame { x = { 1 } })
    for _ = 1, 4 do collectgarbage() end
    assert.same({}, s:downstreams())
  end)
end)

describe("dataframe: query", function()
  local function rows_where(text, pred)
    agrees(function(df) return df:query(text) end, all, pred)
  end

  it("has comparisons, chains, lists, arithmetic and logic", function()
    rows_where("x > 0", function(row) return row.x and row.x > 0 end)
    rows_where("name == 'Alice' and x > 0.5", function(row) return row.name == "Alice" and row.x and row.x > 0.5 end)
    rows_where('-1 < x <= 2', function(row) return row.x and -1 < row.x and row.x <= 2 end)
    rows_where('not (x < 0) and not ok', function(row) return not (row.x and row.x < 0) and row.ok ~= true end)
    rows_where('name in ["Bob", ""] or k in [1, -2]', function(row)
      return row.name == "Bob" or row.name == "" or row.k == 1 or row.k == -2
    end)
    rows_where('name not in ["Bob"]', function(row) return row.name ~= "Bob" end)
    rows_where('x + y * 2 >= k % 3 - 1', function(row)
      return row.x and row.y and row.k and row.x + row.y * 2 >= row.k % 3 - 1
    end)
    rows_where('`name` != "Bob" and ts > 4', function(row) return row.name ~= "Bob" and row.ts > 4 end)
    rows_where('ok == true or x == y', function(row)
      return row.ok == true or row.x ~= nil and row.x == row.y
    end)
  end)

  it("binds as Python does", function()
    local function count(text)
      local out = run({ tw.frame { a = { 1 }, t = { true }, f = { false } } },
        function(df) return df:query(text) end, { schema = { a = "f64", t = "bool", f = "bool" } })
      return #out[1].a
    end
    assert.equal(1, count "t or t and f")
    assert.equal(0, count "(t or t) and f")
    assert.equal(1, count "not f and t")
    assert.equal(0, count "not a == 1")
    assert.equal(1, count "2 + 3 * 4 == 14")
    assert.equal(1, count "-2 * -3 == 6")
    assert.equal(1, count "10 - 4 - 3 == 3")
    assert.equal(1, count "8 / 4 / 2 == 1")
    assert.equal(1, count "- -a == 1")
    assert.equal(1, count "1 <= a < 2 != 5")
    assert.equal(1, count "7 % 4 == 3 == 3")
  end)

  it("says what it expected, and where", function()
    local df = tw.stream():to_dataframe { schema = types, index = "ts" }
    helper.misuse(function() df:query "x >" end, "query", "byte 4")
    helper.misuse(function() df:query "x = 1" end, "==", "byte 3")
    helper.misuse(function() df:query "(x > 1" end, "')'", "byte 7")
    helper.misuse(function() df:query "xx > 1" end, "xx", "did you mean 'x'")
    helper.misuse(function() df:query "x > 1 y" end, "byte 7")
    helper.misuse(function() df:query "name > 'a" end, "does not end", "byte 8")
    helper.misuse(function() df:query "x + 1" end, "condition")
    helper.misuse(function() df:query "name + 1 > 2" end, 'column "name" (string)')
    helper.misuse(function() df:query "x in 5" end, "'['", "byte 6")
    helper.misuse(function() df:query "x > 1e" end, "number")
    helper.misuse(function() df:query "" end, "byte 1")
    helper.misuse(function() df:query(("("):rep(10000)) end, "nested")
    helper.misuse(function() df:query(5) end, "query", "text")
  end)

  it("raises nothing but its own errors, whatever the text", function()
    local pieces = { "x", "y", "name", "ok", "k", "1", "2.5", "'a'", '"b"', "`x`", "and", "or", "not", "in", "==",
      "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", " ", "\0", "=", "$", "\255", "'" }
    helper.seeded(function(rng)
      local s = tw.stream()
      local df = s:to_dataframe { schema = types, index = "ts" }
      for _ = 1, 2000 do
        local parts = {}
        for i = 1, rng:int(1, 14) do parts[i] = rng:pick(pieces) end
        local text = table.concat(parts, rng:pick { "", " " })
        local ok, made = pcall(df.query, df, text)
        if not ok then
          assert(made:find("dataframe_spec.lua", 1, true) or made:find("^query: ") or made:find ": %S+: ", made)
        else
          made.stream:sink(function() end):destroy()
        end
      end
    end)
  end)

  it("agrees with the same condition in Lua", function()
    helper.seeded(function(rng)
      local frames, lists = random_frames(rng, 2)
      local function term(depth)
        if depth == 0 or rng:chance(0.3) then
          local name, op = rng:pick { "x", "y", "k" }, rng:pick { "==", "!=", "<", "<=", ">", ">=" }
          local value = rng:int(-3, 3)
          local lua = op == "!=" and "~=" or op
          return ("%s %s %d"):format(name, op, value), function(row)
            if row[name] == nil then return op == "!=" end
            return loadstring(("return %.17g %s %d"):format(row[name], lua, value))()
          end
        end
        if rng:chance(0.25) then
          local text, fn = term(depth - 1)
          return ("not (%s)"):format(text), function(row) return not fn(row) end
        end
        local l, lf = term(depth - 1)
        local r, rf = term(depth - 1)
        if rng:chance(0.5) then return ("(%s) and (%s)"):format(l, r), function(row) return lf(row) and rf(row) end end
        return ("(%s) or (%s)"):format(l, r), function(row) return lf(row) or rf(row) end
      end
      local text, pred = term(4)
      helper.expect(expected(selected(lists, pred), all), run(frames, function(df) return df:query(text) end), 1e-9)
    end, 20)
  end)
end)
