--- to_csv: what is written, and that it is read back.
local tw = require "tideway"
local bb = require "support.black_box"
local helper = require "helper"
local scratch = require "support.scratch"

local failure, misuse, has = bb.failure, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local function written(...) return scratch.written("to_csv", ...) end

local function example()
  return tw.frame({ n = { 1, tw.null, -2.5 }, s = { 'a"b', "", tw.null }, ts = { 0, 1.5, 978330000 },
    b = { true, false, tw.null }, i = { 1, 2, tw.null } },
    { schema = { ts = "timestamp", i = "i64" }, columns = { "n", "s", "b", "i" }, index = "ts" })
end

describe("to_csv (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(scratch.remove)

  it("writes the names, then a row a line, the index first", function()
    assert.equal('ts,n,s,b,i\n1970-01-01 00:00:00,1,"a""b",true,1\n1970-01-01 00:00:01.5,,"",false,2\n'
      .. "2001-01-01 06:20:00,-2.5,,,\n", (written { example() }))
  end)

  it("writes the names once", function()
    assert.equal("a\n1\n2\n", (written { tw.frame { a = { 1 } }, tw.frame { a = { 2 } } }))
    assert.equal("1\n", (written({ tw.frame { a = { 1 } } }, { header = false })))
  end)

  it("writes some columns, with any delimiter", function()
    assert.equal("n;ts\n1;1970-01-01 00:00:00\n",
      (written({ tw.frame({ n = { 1 }, x = { 2 }, ts = { 0 } }, { schema = { ts = "timestamp" } }) },
        { columns = { "n", "ts" }, delimiter = ";" })))
  end)

  it("writes tables as rows", function()
    assert.equal('a,b\n1,"x,y"\n,true\n', (written { { b = "x,y", a = 1 }, { b = true, c = 3 } }))
    has(failure(function() written { 17 } end), "to_csv: takes frames and tables")
  end)

  it("is read back by from_csv", function()
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
      local back = tw.from_csv(path, { schema = kinds, index = "ts" }):sink_to_list()
      tw.run()
      local want, got = {}, {}
      for _, f in ipairs(frames) do for row in f:rows() do want[#want + 1] = row end end
      for _, f in ipairs(back) do for row in f:rows() do got[#got + 1] = row end end
      assert.same(want, got)
    end
  end)

  it("starts with an empty file, or appends", function()
    local f = tw.frame { a = { 1 } }
    local text, path = written({ f }, { header = false })
    assert.equal(text, (written({ f }, { header = false }, path)))
    local opts = { header = false }
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

  it("writes no names behind what a file that is appended to holds", function()
    local f = tw.frame { a = { 1 } }
    local _, path = written({ f }, { mode = "a" })
    assert.equal("a\n1\n1\n", (written({ f }, { mode = "a" }, path)))
    assert.equal("a\n1\n1\n2\n", (written({ { a = 2 } }, { mode = "a" }, path)))
  end)

  it("has rows in the file after flush_interval", function()
    local clock, path, source = tw.testing.clock(), scratch.path(), tw.stream()
    local sink = source:to_csv(path, { flush_interval = "1s", fsync = true })
    source:emit(tw.frame { a = { 1 } })
    clock:advance "0.9s"
    assert.equal("", scratch.read(path))
    clock:advance "0.1s"
    assert.equal("a\n1\n", scratch.read(path))
    source:emit { a = 2 }
    clock:advance "1s"
    assert.equal("a\n1\n2\n", scratch.read(path))
    sink:destroy()
    helper.restore(clock)
  end)

  it("rotates between rows, with the names in each file", function()
    for _ = 1, 10 do
      local frames, n, size = {}, 0, math.random(10, 3000)
      for k = 1, math.random(4) do
        local list = {}
        for i = 1, k % 3 == 0 and 1 or math.random(0, 3000) do
          n = n + 1
          list[i] = n
        end
        frames[k] = k % 3 == 0 and { n = n } or tw.frame({ n = list }, { schema = { n = "f64" } })
      end
      local last, path = written(frames, { rotate = { size = size } })
      local texts, got = scratch.rotated(path), {}
      table.insert(texts, 1, last)
      for k = #texts, 1, -1 do
        assert.equal("n\n", texts[k]:sub(1, 2))
        assert.is_true(#texts[k] <= size)
        for line in texts[k]:sub(3):gmatch "([^\n]*)\n" do got[#got + 1] = tonumber(line) end
      end
      assert.equal(n, #got)
      for i = 1, n do if got[i] ~= i then assert.equal(i, got[i]) end end
    end
  end)

  it("raises for a column that is not there", function()
    has(failure(function() written({ tw.frame { a = { 1 } } }, { columns = { "b" } }) end), 'no column "b"')
  end)

  it("raises for misuse at build time", function()
    has(misuse(function() tw.stream():to_csv(17) end), "file")
    has(misuse(function() tw.stream():to_csv("/nonexistent/x") end), "/nonexistent/x")
  end)
end)
