local helper = require "helper"
local ffi = require "ffi"
local tw = helper.tw

describe("frame", function()
  local function people()
    return tw.frame({
      ts = { 0, 1.5, 3 }, name = { "Alice", "Bob", tw.null }, amount = { 1, tw.null, 2.5 },
      n = { 1LL, 9223372036854775807LL, tw.null }, ok = { true, tw.null, false },
    }, { index = "ts", schema = { ts = "timestamp" } })
  end

  it("reads cell by cell, nil where one is missing or there is no such row", function()
    local f = people()
    assert.equal(3, #f)
    assert.equal(1, f.amount[1])
    assert.is_nil(f.amount[2])
    assert.is_nil(f.amount[4])
    assert.is_nil(f.amount[0])
    assert.equal("Bob", f.name[2])
    assert.is_nil(f.name[3])
    assert.equal(1, f.n[1])
    assert.equal(9223372036854775807LL, f.n[2])
    assert.is_true(f.ok[1])
    assert.is_nil(f.ok[2])
    assert.is_false(f.ok[3])
    assert.equal(1.5, f.ts[2])
    assert.equal(3, #f.name)
    assert.is_nil(f.nothing)
  end)

  it("has its columns sorted by name, without the index, or in the order of columns", function()
    assert.same({ "amount", "n", "name", "ok" }, people():columns())
    local f = tw.frame({ b = { 1 }, a = { 2 }, c = { 3 } }, { columns = { "c", "a", "b" } })
    assert.same({ "c", "a", "b" }, f:columns())
    assert.same({ amount = "f64", n = "i64", name = "string", ok = "bool", ts = "timestamp" }, people():types())
  end)

  it("gives rows, with tw.null for what is missing, and single rows without it", function()
    local rows = {}
    for row in people():rows() do rows[#rows + 1] = row end
    assert.equal(3, #rows)
    helper.expect({ ts = 1.5, name = "Bob", amount = tw.null, n = 9223372036854775807LL, ok = tw.null }, rows[2])
    helper.expect({ ts = 3, amount = 2.5, ok = false }, people():row(3))
    assert.is_nil(people():row(4))
    assert.is_nil(people():row(0))
  end)

  it("gives its columns as arrays", function()
    helper.expect({ ts = { 0, 1.5, 3 }, name = { "Alice", "Bob", tw.null }, amount = { 1, tw.null, 2.5 },
      n = { 1, 9223372036854775807LL, tw.null }, ok = { true, tw.null, false } }, people():to_table())
  end)

  it("gives exact 64-bit integers", function()
    helper.expect({ 0LL, 1500000000LL, 3000000000LL }, people():int64 "ts")
    helper.expect({ 1LL, 9223372036854775807LL, tw.null }, people():int64 "n")
    helper.misuse(function() people():int64 "amount" end, "int64", "amount", "f64")
    helper.misuse(function() people():int64 "tz" end, "int64", "tz", "did you mean 'ts'")
  end)

  it("prints an aligned preview", function()
    assert.equal(table.concat({
      "                   ts  amount                    n  name   ok",
      "1970-01-01 00:00:00       1                    1  Alice   true",
    }, "\n"):match("^%s*ts"), tostring(people()):match "^%s*ts")
    assert.truthy(tostring(people()):find("1970-01-01 00:00:01.5", 1, true))
    assert.truthy(tostring(people()):find("[3 rows x 4 columns, index ts]", 1, true))
    local long = {}
    for i = 1, 1000 do long[i] = i end
    local _, lines = tostring(tw.frame { x = long }):gsub("\n", "")
    assert.is_true(lines < 20)
  end)

  it("prints timestamps that are all midnights as days", function()
    local function shown(times)
      return tostring(tw.frame({ ts = times }, { schema = { ts = "timestamp" } })):gsub("\n%[.*", "")
    end
    assert.equal("        ts\n2020-01-02\n         -\n2020-01-03", (shown { "2020-01-02", tw.null, "2020-01-03" }))
    assert.equal("                 ts\n2020-01-02 00:00:00\n2020-01-02 12:00:00",
      (shown { "2020-01-02", "2020-01-02T12:00:00" }))
    assert.equal(" ts\n  -", (shown { tw.null }))
  end)

  it("takes f64 for numbers, whole ones too, and what values have in common", function()
    local f = tw.frame { a = { 1, 2 }, b = { 1LL, 2 }, c = { 1LL, 2.5 }, e = { tw.null, true }, g = { "x", "y" } }
    assert.same({ a = "f64", b = "i64", c = "f64", e = "bool", g = "string" }, f:types())
  end)

  it("casts as its schema says", function()
    local f = tw.frame({ a = { 1, 2 }, t = { "2020-01-02", "2020-01-02T03:04:05.006+02:00" }, s = { 1, 2.5 },
      x = { "1.5", "-2" }, i = { "7", tw.null } },
      { schema = { a = "i64", t = "timestamp", s = "string", x = "f64", i = "i64" } })
    assert.same({ a = "i64", t = "timestamp", s = "string", x = "f64", i = "i64" }, f:types())
    helper.expect({ 1577923200000000000LL, 1577927045006000000LL }, f:int64 "t")
    assert.equal(-2, f.x[2])
    assert.equal(7, f.i[1])
    assert.equal("2.5", f.s[2])
    helper.misuse(function() tw.frame({ x = { 1, "a" } }, { schema = { x = "f64" } }) end, "x", "row 2")
    helper.misuse(function() tw.frame({ x = { "b", "a" } }, { schema = { x = "f64" } }) end, "x", "row 1", "f64")
    helper.misuse(function() tw.frame({ x = { "b" } }, { schema = { x = "timestamp" } }) end, "x", "timestamp")
    helper.misuse(function() tw.frame({ x = { "b" } }, { schema = { x = "f65" } }) end, "f65", "f64")
    helper.misuse(function() tw.frame({ x = { "b" } }, { schema = { y = "f64" } }) end, "y")
  end)

  it("refuses columns of different length, mixed types, an index that is no column", function()
    helper.misuse(function() tw.frame { a = { 1, 2 }, b = { 1 } } end, "a", "b", "2", "1")
    helper.misuse(function() tw.frame { a = { 1, "x" } } end, "a", "row 2", "string", "f64")
    helper.misuse(function() tw.frame { a = { 1, {} } } end, "a", "row 2", "table")
    helper.misuse(function() tw.frame({ ts = { 1 } }, { index = "tz" }) end, "tz", "did you mean 'ts'")
    helper.misuse(function() tw.frame(5) end, "frame", "columns")
    helper.misuse(function() tw.frame { a = 5 } end, "a", "array")
    helper.misuse(function() tw.frame({ a = { 1 } }, { sheme = {} }) end, "sheme", "schema")
    helper.misuse(function() tw.frame({ a = { 1 }, b = { 2 } }, { columns = { "a" } }) end, "b")
  end)

  it("is immutable", function()
    local f = people()
    helper.misuse(function() f.amount = { 1 } end, "immutable")
    helper.misuse(function() f.amount[1] = 5 end, "immutable")
  end)

  it("knows columns named like methods by col", function()
    local f = tw.frame { rows = { 1 }, columns = { 2 } }
    assert.equal(1, f:col "rows"[1])
    assert.equal(2, f:col "columns"[1])
    assert.same({ "columns", "rows" }, f:columns())
    helper.misuse(function() f:col "row" end, "row")
  end)

  it("reads timestamps back as the seconds that came", function()
    helper.seeded(function(rng)
      local seconds = {}
      for i = 1, 200 do
        seconds[i] = rng:pick { rng:int(-2e9, 4e9), rng:int(0, 4e12) / 1000, -rng:unit() * 1e9, rng:unit() * 2e9 }
      end
      local f = tw.frame({ t = seconds }, { schema = { t = "timestamp" } })
      for i = 1, 200 do
        if math.abs(f.t[i] - seconds[i]) > 1e-9 * math.max(1, math.abs(seconds[i])) / 2 then
          error(("%.17g came back as %.17g"):format(seconds[i], f.t[i]))
        end
      end
      for _ = 1, 200 do
        local ms = rng:int(0, 4e12)
        local g = tw.frame({ t = { ms / 1000 } }, { schema = { t = "timestamp" } })
        assert(g.t[1] == ms / 1000, ms)
      end
    end)
  end)

  it("reads ISO 8601 text, and refuses what is none", function()
    local function ns(text) return tw.frame({ t = { text } }, { schema = { t = "timestamp" } }):int64 "t"[1] end
    assert.equal(0LL, ns "1970-01-01")
    assert.equal(-1LL, ns "1969-12-31T23:59:59.999999999Z")
    assert.equal(951782400000000000LL, ns "2000-02-29 00:00")
    assert.equal(3600000000000LL, ns "1970-01-01T00:00:00-01")
    for _, bad in ipairs {
      "2001-02-29", "2001-13-01", "1970-1-1", "1970-01-01T25:00", "x", "", "1970-01-01T00:00:00+1",
    } do
      assert.is_false(pcall(ns, bad), bad)
    end
  end)

  it("holds its columns when the frame is gone, and the frame its columns", function()
    local col = tw.frame({ x = { 1, 2, 3 }, s = { "a", "b", "c" } }).s
    collectgarbage()
    collectgarbage()
    assert.equal("c", col[3])
    local list = {}
    for i = 1, 2000 do list[i % 10] = tw.frame { x = { i, i }, s = { "a" .. i, "b" } } end
    collectgarbage()
    for _, f in pairs(list) do assert.equal("b", f.s[2]) end
  end)

  it("is equal to a frame with equal columns", function()
    assert.is_true(people() == people())
    assert.is_false(people() == tw.frame { a = { 1 } })
    assert.is_false(tw.frame { a = { 1 } } == tw.frame { b = { 1 } })
  end)

  it("agrees with the arrays that it was made of", function()
    helper.seeded(function(rng)
      local n, columns = rng:int(0, 50), {}
      local makers = {
        f = function() return rng:normal() * 10 ^ rng:int(-5, 9) end,
        i = function() return ffi.new("int64_t", rng:int(-1e9, 1e9)) end,
        b = function() return rng:chance(0.5) end,
        s = function() return rng:pick { "", "a", "abc", "\0x", "\255", ("long"):rep(50) } end,
      }
      for name, make in pairs(makers) do
        columns[name] = {}
        for i = 1, n do columns[name][i] = rng:chance(0.2) and tw.null or make() end
      end
      local f = tw.frame(columns, { schema = { f = "f64", i = "i64", b = "bool", s = "string" } })
      local t = f:to_table()
      for name, list in pairs(columns) do
        for i = 1, n do
          local want = list[i]
          if type(want) == "cdata" then want = tonumber(want) end
          if not helper.same(want, t[name][i]) then error(("%s[%d]"):format(name, i)) end
        end
      end
    end, 20)
  end)
end)

describe("a frame that is sent", function()
  local C = require "tideway.ffi"
  local frame, schema = require "tideway.frame", require "tideway.schema"

  --- The module as another Lua state has it.
  local function other_schema() return dofile(package.searchpath("tideway.schema", package.path)) end

  local function sample(names)
    return tw.frame({ t = { 1, 2, 3 }, s = names or { "a", "b", tw.null }, x = { 1, tw.null, 3 },
      i = { 1LL, 2LL, 3LL }, ok = { true, false, tw.null } }, { index = "t" })
  end

  it("is received as it was, also when who sent it is gone", function()
    local sent, number = frame.send(sample())
    collectgarbage()
    collectgarbage()
    local f = frame.receive(sent, number)
    assert.is_true(f == sample())
    assert.equal("t", f:index())
    assert.equal(2LL, f:int64 "i"[2])
  end)

  it("shares its columns, and takes native frames as well", function()
    local f = sample()
    local sent, number = frame.send(f._frame)
    assert.equal(f._frame.schema, number)
    for k = 0, 4 do assert.is_true(sent.column[k] == f._frame.column[k]) end
    assert.equal(1, sent.refs)
    C.tw_frame_release(sent)
  end)

  it("has the schema that the other side learns from its description", function()
    helper.seeded(function(rng)
      local there = other_schema()
      for _ = 1, 20 do
        local names, types, seen = {}, {}, {}
        for _ = 1, rng:int(0, 6) do
          local name = rng:pick { "a", "", "1:x:2", ",@3:", "\0", "long name" } .. rng:int(1, 9)
          if not seen[name] then names[#names + 1], types[#types + 1] = name, rng:int(1, 5) end
          seen[name] = true
        end
        local index = rng:chance(0.5) and "index" or nil
        local here = schema.of_columns(names, types, index, index and rng:int(1, 5))
        local learned = there.of(there.learn(schema.describe(here.number)))
        for _, key in ipairs { "names", "types", "index", "count", "total", "position" } do
          assert.same(here[key], learned[key])
        end
        assert.equal(learned.number, there.learn(schema.describe(here.number)))
      end
    end, 20)
  end)

  it("keeps its strings while its sender meets new ones", function()
    local kept = {}
    for i = 1, 200 do
      local sent, number = frame.send(sample { "a", "s" .. i % 150, tw.null })
      kept[i] = frame.receive(sent, number)
    end
    for i = 1, 200 do
      assert.same({ "a", "s" .. i % 150, tw.null }, kept[i].s:to_table())
    end
  end)

  it("lets go of all memory", function()
    local f = sample()
    C.tw_frame_release((frame.send(f)))
    local before = tonumber(C.tw_mem_bytes())
    for _ = 1, 100 do C.tw_frame_release((frame.send(f))) end
    assert.equal(before, tonumber(C.tw_mem_bytes()))
    for _ = 1, 20000 do frame.receive(frame.send(f)) end
    collectgarbage()
    collectgarbage()
    assert.is_true(tonumber(C.tw_mem_bytes()) - before < 3e6)
  end)
end)
