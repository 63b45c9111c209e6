--- to_json: what is written, and that it is read back.
local tw = require "tideway"
local bb = require "support.black_box"

local failure, misuse, has = bb.failure, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local paths = {}
local function fresh()
  local path = os.tmpname()
  paths[#paths + 1] = path
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- What a file holds after the elements have been written to it.
local function written(elements, opts, path)
  path = path or fresh()
  local sink = tw.from_iterable(elements):to_json(path, opts)
  tw.run()
  sink:destroy()
  return read(path), path
end

local function example()
  return tw.frame({ n = { 1, tw.null, -2.5 }, s = { 'a"b', "", tw.null }, ts = { 0, 1.5, 978330000 },
    b = { true, false, tw.null }, i = { 1, 2, tw.null } },
    { schema = { ts = "timestamp", i = "i64" }, columns = { "n", "s", "b", "i" }, index = "ts" })
end

describe("to_json (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(function()
    for _, path in ipairs(paths) do os.remove(path) end
  end)

  it("writes an object a line, the index first", function()
    assert.equal('{"ts":"1970-01-01T00:00:00Z","n":1,"s":"a\\"b","b":true,"i":1}\n'
      .. '{"ts":"1970-01-01T00:00:01.5Z","n":null,"s":"","b":false,"i":2}\n'
      .. '{"ts":"2001-01-01T06:20:00Z","n":-2.5,"s":null,"b":null,"i":null}\n', (written { example() }))
  end)

  it("writes some columns", function()
    assert.equal('{"c":3,"a":1}\n',
      (written({ tw.frame { a = { 1 }, b = { 2 }, c = { 3 } } }, { columns = { "c", "a" } })))
  end)

  it("writes other elements as they are", function()
    assert.equal('{"b":"x"}\n[1,null]\n17\n', (written { { b = "x" }, { 1, tw.null }, 17 }))
  end)

  it("is read back by from_json", function()
    for _ = 1, 10 do
      local frames, kinds = {}, { n = "f64", s = "string", ts = "timestamp", b = "bool", i = "i64" }
      for k = 1, math.random(4) do
        local columns = { n = {}, s = {}, ts = {}, b = {}, i = {} }
        for row = 1, math.random(0, 30) do
          columns.n[row] = math.random(9) == 1 and tw.null or math.random() * 10 ^ math.random(-9, 9)
          columns.s[row] = math.random(9) == 1 and tw.null or ("x,\n\"é "):rep(math.random(0, 3))
          columns.ts[row] = math.random(9) == 1 and tw.null or math.random(-1e9, 1e9) / 8
          columns.b[row] = math.random(9) == 1 and tw.null or math.random(2) == 1
          columns.i[row] = math.random(9) == 1 and tw.null or math.random(-1e9, 1e9)
        end
        frames[k] = tw.frame(columns, { schema = kinds, columns = { "n", "s", "b", "i" }, index = "ts" })
      end
      local _, path = written(frames)
      local back = tw.from_json(path, { schema = kinds, index = "ts" }):sink_to_list()
      tw.run()
      local want, got = {}, {}
      for _, f in ipairs(frames) do for row in f:rows() do want[#want + 1] = row end end
      for _, f in ipairs(back) do for row in f:rows() do got[#got + 1] = row end end
      assert.same(want, got)
    end
  end)

  it("starts with an empty file, or appends", function()
    local f = tw.frame { a = { 1 } }
    local text, path = written({ f }, {})
    assert.equal(text, (written({ f }, {}, path)))
    local opts = {}
    opts.mode = "a"
    assert.equal(text .. text, (written({ f }, opts, path)))
  end)

  it("writes large frames in pieces", function()
    local list = {}
    for i = 1, 20000 do list[i] = i end
    local text = written { tw.frame { a = list } }
    local _, lines = text:gsub("\n", "")
    assert.is_true(lines >= 20000)
    has(text, "20000")
  end)

  it("raises for a column that is not there", function()
    has(failure(function() written({ tw.frame { a = { 1 } } }, { columns = { "b" } }) end), 'no column "b"')
  end)

  it("raises for misuse at build time", function()
    has(misuse(function() tw.stream():to_json(17) end), "file")
    has(misuse(function() tw.stream():to_json("/nonexistent/x") end), "/nonexistent/x")
  end)
end)
