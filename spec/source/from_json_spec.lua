--- from_json: lines of JSON to frames, types, wrong rows, JSONTestSuite.
local tw = require "tideway"
local bb = require "support.black_box"
local scratch = require "support.scratch"

local failure, first_line, misuse, has = bb.failure, bb.first_line, bb.misuse, bb.has

local file = scratch.file

--- The frames of a file of this text.
local function frames(text, opts)
  local list = tw.from_json(file(text), opts):sink_to_list()
  tw.run()
  return list
end

local function one(text, opts)
  local list = frames(text, opts)
  assert.equal(1, #list)
  return list[1]
end

describe("from_json", function()
  teardown(scratch.remove)

  it("infers types from all of the first rows, whatever the text comes in", function()
    assert.equal("string", one('{"a":1}\n{"a":"x"}'):types().a)
    local lines = {}
    for i = 1, 900 do lines[i] = ('{"a":%d,"b":"%s"}'):format(i, ("x"):rep(1000)) end
    lines[#lines + 1] = '{"a":"z","c":1}'
    local types = frames(table.concat(lines, "\n"))[1]:types()
    assert.same({ a = "string", b = "string", c = "f64" }, types)
  end)

  it("infers columns and types, in the order in which fields come up", function()
    local f = one '{"n":1,"s":"x","t":"2001-01-01"}\n\n{"b":true,"n":2.5,"l":[1,{"a":"q"}],"z":null}\n'
    assert.same({ "n", "s", "t", "b", "l", "z" }, f:columns())
    assert.same({ n = "f64", s = "string", t = "timestamp", b = "bool", l = "string", z = "string" }, f:types())
    assert.same({ n = 1, s = "x", t = 978307200 }, f:row(1))
    assert.same({ n = 2.5, b = true, l = '[1,{"a":"q"}]' }, f:row(2))
  end)

  it("takes types from the schema, and columns that no row has yet", function()
    local f = one('{"i":"9007199254740993","x":"1.5"}\n{"i":2}', { schema = { i = "i64", x = "f64", later = "bool" } })
    assert.same({ i = "i64", x = "f64", later = "bool" }, f:types())
    assert.is_true(f:int64("i")[1] == 9007199254740993LL)
    assert.equal(1.5, f.x[1])
    assert.is_nil(f.later[1])
  end)

  it("gives frames of `batch` rows", function()
    local rows = {}
    for i = 1, 25 do rows[i] = ('{"i":%d}'):format(i) end
    local list = frames(table.concat(rows, "\n"), { batch = 10 })
    assert.same({ 10, 10, 5 }, { #list[1], #list[2], #list[3] })
    assert.equal(25, list[3].i[5])
  end)

  it("gives no frame for no rows", function()
    assert.same({}, frames "")
    assert.same({}, frames "\n \n")
  end)

  it("reads some columns, with an index", function()
    local f = one('{"a":1,"b":2,"c":3}\n', { columns = { "c", "a" }, index = "a" })
    assert.same({ "c" }, f:columns())
    assert.equal("a", f:index())
  end)

  it("raises for a wrong cell and for lines that do not parse, with file, row and text", function()
    local path = file '{"a":1}\n{"a":"x"}\n'
    tw.from_json(path, { infer = 1 }):sink(function() end)
    assert.equal(("from_json: %s, row 2, column \"a\": \"x\" is no f64"):format(path), first_line(failure(tw.run)))
    has(failure(function() frames('{"a":1}\n{"a":}\n') end), "row 2: unexpected '}' at byte 6: {\"a\":}")
    has(failure(function() frames('{"a":1}\n{"a":1\n') end), "row 2: unexpected end")
    has(failure(function() frames('{"a":1}\n17\n') end), "row 2: a value that has no fields")
  end)

  it("leaves wrong rows out under skip", function()
    local source = tw.from_json(file '{"a":1}\nnonsense\n{"a":true}\n{"a":4}\n', { schema = { a = "f64" } })
    source:on_error "skip"
    local list = source:sink_to_list()
    tw.run()
    assert.same({ 1, 4 }, list[1].a:to_table())
  end)

  it("raises for misuse at build time", function()
    has(misuse(function() tw.from_json("x", { schema = { a = "f46" } }) end), "f46")
    has(misuse(function() tw.from_json(17) end), "file")
  end)

  it("passes JSONTestSuite", function()
    local dir = os.getenv "TIDEWAY_JSONTESTSUITE"
    if not dir or dir == "" then
      pending "TIDEWAY_JSONTESTSUITE is not set to the folder of its parsing cases"
      return
    end
    local wrong, count = {}, 0
    local list = io.popen("ls '" .. dir .. "'")
    for name in list:lines() do
      local kind = name:match "^([yni])_.*%.json$"
      local f = kind and assert(io.open(dir .. "/" .. name, "rb"))
      local text = f and f:read "*a"
      if f then f:close() end
      -- as a cell of a row; a text of several lines cannot be one line's
      if kind and not (kind == "n" and (text:find "\n" or text:match "^%s*$")) then
        count = count + 1
        if kind == "y" then text = text:gsub("[\r\n]", " ") end
        local ok = pcall(frames, '{"a":' .. text .. "}\n", { schema = { a = "string" } })
        if kind == "y" and not ok or kind == "n" and ok then wrong[#wrong + 1] = name end
      end
    end
    list:close()
    -- what is wrong by itself, and right within {"a": }
    assert.same({}, wrong)
    assert.is_true(count > 200, count)
  end)
end)
