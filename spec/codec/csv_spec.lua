local ffi = require "ffi"
local csv = require "tideway.codec.csv"
local helper = require "helper"
local null = require "tideway.null"
local view = require "tideway.view"

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

--- What a decoder with these settings gives for each record; nil is "nothing".
local function decode(opts, records)
  local d, out = csv.decoder(opts), {}
  for i, text in ipairs(records) do
    local x = d(text)
    if x == nil then x = "nothing" end
    out[i] = x
  end
  return out
end

local texts = { "", "a", "b c", ",", '"', 'say "hi"', "a,b", "x\ny", " lead", "\r", "1.5", "\0\255", "\239\187\191" }

describe("csv", function()
  it("does what its example says", function()
    helper.example("csv", "codec")
  end)

  describe("decoding", function()
    it("gives arrays of strings without a header", function()
      assert.same({ { "a", "b", "" }, { "1" }, { "" } }, decode({}, { "a,b,", "1", "" }))
      assert.same({ { "a" } }, decode({ header = false }, { "a" }))
    end)

    it("reads quoted fields", function()
      assert.same({ { "a,b", 'say "hi"', "", "x" } }, decode({}, { '"a,b","say ""hi""","",x' }))
    end)

    it("takes a quote inside a field that does not begin with one as it is", function()
      assert.same({ { '5"', 'a"b"' } }, decode({}, { '5",a"b"' }))
    end)

    it("leaves a carriage return or newline at the end away", function()
      assert.same({ { "a", "b" }, { "a", "b" }, { "a", "b" } }, decode({}, { "a,b\r", "a,b\n", "a,b\r\n" }))
    end)

    it("takes the names from the first record", function()
      assert.same({ "nothing", { a = "1", b = "x" }, { a = "2", b = "y, z" } },
        decode({ header = true }, { "a,b", "1,x", '2,"y, z"' }))
      assert.same({ "nothing", { a = "1" } }, decode({ header = true }, { "\239\187\191a", "1" }))
    end)

    it("takes the names from the settings", function()
      assert.same({ { p = "a", q = "b" } }, decode({ header = { "p", "q" } }, { "a,b" }))
    end)

    it("gives nothing for a blank line between named records", function()
      assert.same({ { p = "a", q = "b" }, "nothing", "nothing" },
        decode({ header = { "p", "q" } }, { "a,b", "", "\r" }))
      assert.same({ { p = "" } }, decode({ header = { "p" } }, { "" }))
    end)

    it("converts columns by name", function()
      local out = decode({ header = true, schema = {
        a = "f64", b = "i64", c = "bool", d = "timestamp", e = "string",
      } }, { "a,b,c,d,e,f", " 1.5,9007199254740993,TRUE,2001-01-01 06:20,7,8", ",,,,,", "-1e3,12,0,5.5,," })
      assert.same({ a = 1.5, b = 9007199254740993LL, c = true, d = 978330000, e = "7", f = "8" }, out[2])
      helper.expect({ a = null, b = null, c = null, d = null, e = "", f = "" }, out[3])
      assert.same({ a = -1000, b = 12, c = false, d = 5.5, e = "", f = "" }, out[4])
    end)

    it("converts columns by position", function()
      assert.same({ { "a", 2 }, { "b", 3, "4" } }, decode({ schema = { [2] = "f64" } }, { "a,2", "b,3,4" }))
    end)

    it("splits at another delimiter", function()
      assert.same({ { "a,b", "c" } }, decode({ delimiter = ";" }, { "a,b;c" }))
      assert.same({ { "a", "b" } }, decode({ delimiter = "\t" }, { "a\tb" }))
    end)

    it("has no limit of columns", function()
      local names, values, want = {}, {}, {}
      for i = 1, 200 do
        names[i], values[i] = "n" .. i, tostring(i)
        want[names[i]] = i == 150 and i or tostring(i)
      end
      assert.same({ "nothing", want, want }, decode({ header = true, schema = { n150 = "f64" } },
        { table.concat(names, ","), table.concat(values, ","), table.concat(values, ",") }))
      assert.same({ values }, decode({}, { table.concat(values, ",") }))
    end)

    it("says what is wrong, where, in which record", function()
      local d = csv.decoder { header = { "a", "b" }, schema = { b = "f64" } }
      assert.equal("csv: not a number at byte 3: x,y", message(d, "x,y"))
      assert.equal("csv: 3 fields, expected 2 at byte 1: 1,2,3", message(d, "1,2,3"))
      assert.equal("csv: 1 field, expected 2 at byte 1: 1", message(d, "1"))
      assert.equal('csv: unexpected end at byte 5: 1,"2', message(d, '1,"2'))
      assert.equal("csv: unexpected 'x' after a closing quote at byte 4: \"1\"x,2", message(d, '"1"x,2'))
      assert.same({ a = "1", b = 2 }, d "1,2")
      assert.matches("^csv: not a boolean", message(csv.decoder { schema = { "bool" } }, "yes"))
      assert.matches("^csv: not a time", message(csv.decoder { schema = { "timestamp" } }, "now"))
      assert.matches("^csv: decode takes text", message(csv.decoder {}, {}))
      assert.matches("no column z", message(csv.decoder { header = true, schema = { z = "f64" } }, "a,b"))
    end)

    it("takes views", function()
      local bytes = ffi.new("char[3]", "a,b")
      local v = view.new()
      v.ptr, v.len = bytes, 3
      assert.same({ "a", "b" }, csv.decoder {}(v))
    end)

    it("refuses settings that are none", function()
      helper.misuse(function() csv.decoder { delimiter = "" } end, "csv", "delimiter")
      helper.misuse(function() csv.decoder { delimiter = ";;" } end, "csv", "delimiter")
      helper.misuse(function() csv.decoder { delimiter = '"' } end, "csv", "delimiter")
      helper.misuse(function() csv.decoder { header = {} } end, "csv", "header")
      helper.misuse(function() csv.decoder { header = { 1 } } end, "csv", "header")
      helper.misuse(function() csv.decoder { schema = { a = "int" } } end, "csv", "schema", "int", "i64")
      helper.misuse(function() csv.decoder { header = { "a" }, schema = { b = "f64" } } end, "csv", "b")
    end)
  end)

  describe("encoding", function()
    local function encode(value, opts) return csv.encoder(opts or {})(value) end

    it("writes arrays", function()
      assert.equal("1,a,true,false,,0.5", encode { 1, "a", true, false, null, 0.5 })
      assert.equal("nan,inf,-inf,12345678901234567", encode { 0 / 0, 1 / 0, -1 / 0, 12345678901234567LL })
      assert.equal("", encode {})
    end)

    it("writes tables by columns", function()
      assert.equal("2,,1", encode({ a = 1, b = 2 }, { columns = { "b", "c", "a" } }))
      assert.equal("1,2", encode({ a = 1, b = 2 }, { header = { "a", "b" } }))
    end)

    it("quotes what needs it and nothing else", function()
      assert.equal('"a,b","say ""hi""","x\ny",a b," c"', encode { "a,b", 'say "hi"', "x\ny", "a b", " c" })
      assert.equal('a,b;"c;d"', encode({ "a,b", "c;d" }, { delimiter = ";" }))
    end)

    it("refuses what it cannot write", function()
      assert.equal("csv: cannot encode a table (column 2)", message(encode, { 1, {} }))
      assert.matches("takes arrays or tables, got a number", message(encode, 5))
      assert.matches("columns", message(encode, { a = 1 }))
      helper.misuse(function() csv.encoder { columns = {} } end, "csv", "columns")
    end)

    it("writes what decodes to the same, on random records", function()
      helper.seeded(function(rng)
        local e, d = csv.encoder {}, csv.decoder {}
        local names, schema = {}, {}
        for i = 1, 5 do names[i], schema["c" .. i] = "c" .. i, i > 3 and "f64" or nil end
        local opts = { header = names, schema = schema }
        local named_e, named_d = csv.encoder(opts), csv.decoder(opts)
        for _ = 1, 500 do
          local list = {}
          for i = 1, rng:int(1, 8) do list[i] = rng:pick(texts) end
          helper.expect(list, d(e(list)))
          local map = { c4 = rng:normal() * 1e6, c5 = rng:chance(0.2) and null or rng:int(-9, 9) }
          for i = 1, 3 do map[names[i]] = rng:pick(texts) end
          helper.expect(map, named_d(named_e(map)))
        end
      end, 3)
    end)
  end)
end)
