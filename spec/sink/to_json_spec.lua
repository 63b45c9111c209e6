--- to_json: what is written, and that it is read back.
local tw = require "tideway"
local bb = require "support.black_box"
local helper = require "helper"
local scratch = require "support.scratch"

local failure, misuse, has = bb.failure, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local function written(...) return scratch.written("to_json", ...) end

local function example()
  return tw.frame({ n = { 1, tw.null, -2.5 }, s = { 'a"b', "", tw.null }, ts = { 0, 1.5, 978330000 },
    b = { true, false, tw.null }, i = { 1, 2, tw.null } },
    { schema = { ts = "timestamp", i = "i64" }, columns = { "n", "s", "b", "i" }, index = "ts" })
end

describe("to_json (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(scratch.remove)

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

  it("has rows in the file after flush_interval", function()
    local clock, path, source = tw.testing.clock(), scratch.path(), tw.stream()
    local sink = source:to_json(path, { flush_interval = "1s" })
    source:emit(tw.frame { a = { 1 } })
    clock:advance "0.9s"
    assert.equal("", scratch.read(path))
    source:emit { 2 }
    clock:advance "0.1s"
    assert.equal('{"a":1}\n[2]\n', scratch.read(path))
    sink:destroy()
    helper.restore(clock)
  end)

  it("rotates between rows", function()
    local list = {}
    for i = 1, 100 do list[i] = i end
    local last, path = written({ tw.frame { n = list }, 17, ("x"):rep(50) }, { rotate = { size = 40 }, fsync = true })
    assert.equal('"' .. ("x"):rep(50) .. '"\n', last)
    local all = last
    for _, text in ipairs(scratch.rotated(path)) do
      assert.is_true(#text <= 40)
      all = text .. all
    end
    local want = {}
    for i = 1, 100 do want[i] = ('{"n":%d}\n'):format(i) end
    assert.equal(table.concat(want) .. "17\n" .. last, all)
  end)

  it("raises for a column that is not there", function()
    has(failure(function() written({ tw.frame { a = { 1 } } }, { columns = { "b" } }) end), 'no column "b"')
  end)

  it("raises for misuse at build time", function()
    has(misuse(function() tw.stream():to_json(17) end), "file")
    has(misuse(function() tw.stream():to_json("/nonexistent/x") end), "/nonexistent/x")
  end)
end)
