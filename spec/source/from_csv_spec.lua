--- from_csv: types given and inferred, what csv may look like, wrong rows, many files.
local tw = require "tideway"
local bb = require "support.black_box"
local scratch = require "support.scratch"

local failure, first_line, misuse, has = bb.failure, bb.first_line, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local file = scratch.file

--- The frames of a file of this text.
local function frames(text, opts)
  local list = tw.from_csv(file(text), opts):sink_to_list()
  tw.run()
  return list
end

local function one(text, opts)
  local list = frames(text, opts)
  assert.equal(1, #list)
  return list[1]
end

describe("from_csv (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(scratch.remove)

  it("infers the types of columns", function()
    local f = one 'id,name,at,ok,big,mix\n1,a,2001-01-01,true,9007199254740993,1\n2.5,,2001-01-01 06:20,FALSE,1,x\n'
    assert.same({ id = "f64", name = "string", at = "timestamp", ok = "bool", big = "i64", mix = "string" }, f:types())
    assert.same({ "id", "name", "at", "ok", "big", "mix" }, f:columns())
    assert.same({ 1, 2.5 }, f.id:to_table())
    assert.same({ "a", tw.null }, f.name:to_table())
    assert.same({ 978307200, 978330000 }, f.at:to_table())
    assert.same({ true, false }, f.ok:to_table())
    assert.is_true(f:int64("big")[1] == 9007199254740993LL)
  end)

  it("infers types from all of the first rows, whatever the text comes in", function()
    assert.equal("string", one("a\n1\ntrue"):types().a)
    assert.equal("string", one('a\n1\n"x"'):types().a)
    local lines = { "a,b" } -- more than one reading of the file
    for i = 1, 900 do lines[i + 1] = i .. "," .. ("x"):rep(1000) end
    lines[#lines + 1] = "z,y"
    assert.equal("string", frames(table.concat(lines, "\n"))[1]:types().a)
    assert.equal("f64", frames(table.concat(lines, "\n", 1, 901), { infer = 5 })[1]:types().a)
    has(failure(function() frames(table.concat(lines, "\n"), { infer = 5 }) end), '"z" is no f64')
  end)

  it("takes types from the schema", function()
    local f = one("a,b,c\n1,2,3\n,,\n", { schema = { a = "i64", b = "string", c = "timestamp" } })
    assert.same({ a = "i64", b = "string", c = "timestamp" }, f:types())
    assert.equal("2", f.b[1])
    assert.equal(3, f.c[1])
    for _, name in ipairs(f:columns()) do assert.is_nil(f[name][2]) end
  end)

  it("reads quotes, newlines in them, CRLF, empty fields and a byte order mark", function()
    local f = one '\239\187\191"a ""1""",b\r\n"x\r\ny","p,q"\r\n,\r\n\r\nz"z,""""\r\n'
    assert.same({ 'a "1"', "b" }, f:columns())
    assert.same({ "x\r\ny", tw.null, 'z"z' }, f:col('a "1"'):to_table())
    assert.same({ "p,q", tw.null, '"' }, f.b:to_table())
  end)

  it("gives an empty string for quotes with nothing in them, nothing for an empty field", function()
    local f = one 'a,b\n"",\n,""\n'
    assert.equal("", f.a[1])
    assert.is_nil(f.a[2])
    assert.is_nil(f.b[1])
    assert.equal("", f.b[2])
  end)

  it("takes names from settings, or makes them", function()
    assert.same({ "x", "y" }, one("1;2\n", { header = { "x", "y" }, delimiter = ";" }):columns())
    assert.same({ "c1", "c2" }, one("1,2\n", { header = false }):columns())
    assert.same({ "c1", "b" }, one(",b\n1,2\n"):columns())
  end)

  it("gives frames of `batch` rows, the last one smaller", function()
    local rows = {}
    for i = 1, 25 do rows[i] = i .. ",n" .. i % 3 end
    local list = frames("i,s\n" .. table.concat(rows, "\n"), { batch = 10 })
    assert.equal(3, #list)
    assert.same({ 10, 10, 5 }, { #list[1], #list[2], #list[3] })
    for i = 1, 25 do
      local f, k = list[math.ceil(i / 10)], (i - 1) % 10 + 1
      assert.equal(i, f.i[k])
      assert.equal("n" .. i % 3, f.s[k])
    end
  end)

  it("gives no frame for no rows", function()
    assert.same({}, frames "")
    assert.same({}, frames "\n\n")
    assert.same({}, frames "a,b\n")
    assert.same({}, frames "a,b")
  end)

  it("reads some columns, with an index", function()
    local f = one("a,b,c\n1,2,3\n", { columns = { "c", "a" }, index = "a" })
    assert.same({ "c" }, f:columns())
    assert.equal("a", f:index())
    assert.equal(1, f.a[1])
  end)

  it("agrees with a plain reader on random tables", function()
    for _ = 1, 20 do
      local lines, want, n = { "a,b" }, {}, math.random(0, 3000)
      for i = 1, n do
        local a, b = math.random(-500, 500) / 4, ("n"):rep(math.random(1, 25)) .. math.random(9)
        lines[i + 1] = a .. "," .. (math.random() < 0.1 and '"' .. b .. '"' or b)
        want[i] = { a = a, b = b }
      end
      local got = {}
      for _, f in ipairs(frames(table.concat(lines, "\n") .. "\n", { batch = math.random(1, 700) })) do
        for row in f:rows() do got[#got + 1] = row end
      end
      assert.same(want, got)
    end
  end)

  it("raises for a wrong cell, with file, row, column and text, after the rows before it", function()
    local path = file "a,b\n1,x\n2,y\nzz,z\n4,w\n"
    local seen = 0
    tw.from_csv(path, { infer = 2 }):sink(function(f) seen = seen + #f end)
    local text = first_line(failure(tw.run))
    assert.equal(("from_csv: %s, row 3, column \"a\": \"zz\" is no f64"):format(path), text)
    assert.equal(2, seen)
  end)

  it("raises for rows with too many or too few fields, and for quotes that are wrong", function()
    for row, text in pairs {
      ["1"] = "row 2: 1 field, expected 2: 1", ["1,2,3"] = "row 2: 3 fields, expected 2: 1,2,3",
      ['"1"x,2'] = 'row 2, column "a": something after a closing quote: "1"x',
      ['1,"2'] = 'row 2: a quote that nothing closes: 1,"2',
    } do
      has(failure(function() frames("a,b\n1,2\n" .. row .. "\n3,4\n") end), text)
    end
  end)

  it("leaves wrong rows out under skip, and sends them to a dead letter stream", function()
    local text = "a,b\n1,x\nq,y\n3\n4,z\n"
    local source = tw.from_csv(file(text), { schema = { a = "f64" } })
    source:on_error "skip"
    local list = source:sink_to_list()
    tw.run()
    assert.equal(1, #list)
    assert.same({ 1, 4 }, list[1].a:to_table())

    local dead = tw.stream()
    local letters = dead:sink_to_list()
    source = tw.from_csv(file(text), { schema = { a = "f64" } })
    source:on_error(dead)
    source:sink(function() end)
    tw.run()
    assert.same({ "q,y", "3" }, { letters[1].element, letters[2].element })
    has(letters[1].error, 'row 2, column "a": "q" is no f64')
  end)

  it("reads the files of a glob one after the other, columns by name", function()
    local base = file ""
    local one_path, two_path = base .. ".1.csv", base .. ".2.csv"
    for path, text in pairs { [one_path] = "a,b\n1,x\n2,y\n", [two_path] = "b,more,a\nz,0,3\n" } do
      scratch.write(scratch.also(path), text)
    end
    local list = tw.from_csv(base .. ".*.csv"):sink_to_list()
    tw.run()
    assert.equal(1, #list)
    assert.same({ 1, 2, 3 }, list[1].a:to_table())
    assert.same({ "x", "y", "z" }, list[1].b:to_table())
  end)

  it("reads archives", function()
    local path = file "a\n1\n2\n"
    for suffix, program in pairs { [".gz"] = "gzip", [".zst"] = "zstd -q" } do
      if os.execute("command -v " .. program:match "%w+" .. " > /dev/null") == 0 then
        os.execute(("%s -c %s > %s"):format(program, path, scratch.also(path .. suffix)))
        local list = tw.from_csv(path .. suffix):sink_to_list()
        tw.run()
        assert.same({ 1, 2 }, list[1].a:to_table())
      end
    end
  end)

  it("goes on where it was stopped", function()
    local lines = { "x" }
    for i = 1, 50 do lines[i + 1] = i end
    local seen = {}
    local source = tw.from_csv(file(table.concat(lines, "\n")), { batch = 10 })
    source:sink(function(f)
      seen[#seen + 1] = f.x[1]
      if #seen == 2 then source:stop() end
    end)
    tw.run()
    assert.same({ 1, 11 }, seen)
    source:start()
    tw.run()
    assert.same({ 1, 11, 21, 31, 41 }, seen)
  end)

  it("reads standard input and open files", function()
    local path = file "a\n1\n2\n"
    local f = assert(io.open(path, "rb"))
    local list = tw.from_csv(f):sink_to_list()
    tw.run()
    f:close()
    assert.same({ 1, 2 }, list[1].a:to_table())
    local pipe = assert(io.popen("cat " .. path .. " | " .. (os.getenv "TIDEWAY_BIN" or "build/bin/tideway")
      .. " -e 'from_csv(\"-\"):map(function(f) return #f end):print()'"))
    assert.equal("2\n", pipe:read "*a")
    pipe:close()
  end)

  it("feeds dataframes, whose frames are used again", function()
    local lines = { "k,x" }
    for i = 1, 1000 do lines[i + 1] = "k" .. i % 7 .. "," .. i end
    local df = tw.from_csv(file(table.concat(lines, "\n")), { batch = 100 })
      :to_dataframe { schema = { k = "string", x = "f64" } }
    local sums = df.x:sum().stream:sink_to_list()
    local kept = df.stream:sink_to_list()
    tw.run()
    assert.equal(500500, sums[10])
    assert.equal(1, kept[1].x[1])
    assert.equal(901, kept[10].x[1])
    assert.equal("k1", kept[1].k[1])
  end)

  it("keeps the frames that users hold", function()
    local lines = { "x" }
    for i = 1, 2000 do lines[i + 1] = i end
    local list = frames(table.concat(lines, "\n"), { batch = 10 })
    for i, f in ipairs(list) do assert.equal(i * 10, f.x[10]) end
  end)

  it("gives dead letters frames that stay, though it writes those of dataframes anew", function()
    local dead = tw.stream()
    local letters = dead:sink_to_list()
    local source = tw.from_csv(file "a,b\n1,x\n2,y\n3,z\n", { batch = 1 })
    source:on_error(dead)
    source:to_dataframe { schema = { a = "string" } }.a.stream:sink(function() end)
    tw.run()
    local got = {}
    for i, letter in ipairs(letters) do got[i] = letter.element:to_table() end
    assert.same({ { a = { 1 }, b = { "x" } }, { a = { 2 }, b = { "y" } }, { a = { 3 }, b = { "z" } } }, got)
  end)

  it("does not keep the strings of rows gone by for ever", function()
    local lines, n, most = { "s" }, 120000, 0
    for i = 1, n do lines[i + 1] = "string " .. i end
    local last
    tw.from_csv(file(table.concat(lines, "\n")), { batch = 1000 }):sink(function(f)
      most = math.max(most, tonumber(f.s._dict.count))
      last = f.s[1000]
    end)
    tw.run()
    assert.equal("string " .. n, last)
    assert.is_true(most < 80000, most .. " strings")
  end)

  it("raises for a column that is not there, naming the nearest", function()
    has(failure(function() frames("amount\n1\n", { schema = { amoutn = "f64" } }) end), '"amoutn"', '"amount"')
    has(failure(function() frames("a\n1\n", { columns = { "b" } }) end), 'columns: there is no column "b"')
    has(failure(function() frames("a\n1\n", { index = "b" }) end), 'index: there is no column "b"')
    has(failure(function() frames "a,a\n1,2\n" end), 'two columns are called "a"')
  end)

  it("raises for misuse at build time", function()
    has(misuse(function() tw.from_csv("x", { schema = { a = "f46" } }) end), "type")
    has(misuse(function() tw.from_csv("x", { delimiter = ";;" }) end), "delimiter")
    has(misuse(function() tw.from_csv(17) end), "file")
    has(misuse(function() tw.from_csv("x", { batch = 0 }) end), "batch")
  end)

  it("raises at start for a file that is missing", function()
    local source = tw.from_csv "/nonexistent/x.csv"
    source:sink(function() end)
    has(failure(function() source:start() end), "from_csv: /nonexistent/x.csv: ")
    source:destroy()
  end)
end)
