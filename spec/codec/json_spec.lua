local ffi = require "ffi"
local helper = require "helper"
local json = require "tideway.codec.json"
local null = require "tideway.null"
local view = require "tideway.view"

local has_cjson, cjson = pcall(require, "cjson")

local function decode(text, opts) return json.decoder(opts or {})(text) end
local function encode(value) return json.encoder {}(value) end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

--- The text, in the buffer of a view that ends with it.
local function view_of(text)
  local bytes = ffi.new("char[?]", math.max(#text, 1))
  ffi.copy(bytes, text, #text)
  local v = view.new()
  v.ptr, v.len = bytes, #text
  return v, bytes
end

-- random documents -----------------------------------------------------------------------

local texts = {
  "", "a", "two words", "h\195\169llo", "\0\1\31\127", '"\\/', "\n\r\t\b\f", "\240\159\152\128",
  ("long "):rep(20), "name", "x", "null", "1",
}

local function random_number(rng)
  local kind = rng:int(1, 6)
  if kind == 1 then return rng:int(-100, 100) end
  if kind == 2 then return rng:int(-10 ^ 9, 10 ^ 9) / 100 end
  if kind == 3 then return rng:normal() * 10 ^ rng:int(-300, 300) end
  if kind == 4 then return 2 ^ rng:int(-1000, 1000) end
  if kind == 5 then return rng:int(-2 ^ 31, 2 ^ 31) * 2 ^ 21 end
  return rng:unit()
end

local function random_value(rng, depth)
  local kind = rng:int(1, depth > 3 and 6 or 9)
  if kind <= 2 then return random_number(rng) end
  if kind <= 4 then return rng:pick(texts) end
  if kind == 5 then return rng:chance(0.5) end
  if kind == 6 then return null end
  local t = {}
  if kind == 7 then
    for i = 1, rng:int(0, 5) do t[i] = random_value(rng, depth + 1) end
  else
    for _ = 1, rng:int(1, 6) do t[rng:pick(texts)] = random_value(rng, depth + 1) end
  end
  return t
end

--- The value as text, with blanks, escapes and numbers written at random.
local function random_text(rng, x)
  local function blank() return rng:chance(0.1) and rng:pick { " ", "\n", "\t", "  " } or "" end
  local function string_text(s)
    return '"' .. s:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  if type(x) == "string" then return string_text(x) end
  if type(x) == "number" then return (("%.17g"):format(x)) end
  if type(x) == "boolean" then return tostring(x) end
  if x == null then return "null" end
  local parts = {}
  if #x > 0 or next(x) == nil then
    for i = 1, #x do parts[i] = blank() .. random_text(rng, x[i]) .. blank() end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for k, v in pairs(x) do
    parts[#parts + 1] = blank() .. string_text(k) .. blank() .. ":" .. blank()
      .. random_text(rng, v) .. blank()
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

describe("json", function()
  it("does what its example says", function()
    helper.example("json", "codec")
  end)

  describe("decoding", function()
    it("takes values of every kind", function()
      helper.expect({ a = { 1, -2.5, 1e3 }, b = { c = "x", d = {} }, e = true, f = false, g = null },
        decode '{"a":[1,-2.5,1e3],"b":{"c":"x","d":{}},"e":true,"f":false,"g":null}')
      assert.equal(3, decode "3")
      assert.equal("x", decode ' "x" ')
      assert.equal(false, decode "false")
      assert.equal(null, decode "null")
      assert.same({}, decode "[]")
      assert.same({}, decode "{}")
    end)

    it("undoes escapes", function()
      assert.equal('"\\/\b\f\n\r\t\195\169\240\159\152\128\0',
        decode [["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000"]])
      assert.equal("\239\191\189x", decode [["\ud800x"]])
      assert.same({ ['a"b'] = 1 }, decode [[{"a\"b":1}]])
    end)

    it("keeps bytes that are no UTF-8", function()
      assert.equal("\255\128", decode '"\255\128"')
    end)

    it("reads numbers to the nearest double, whatever the locale", function()
      assert.equal(0.1, decode "0.1")
      assert.equal(9007199254740992, decode "9007199254740993")
      assert.equal(1.7976931348623157e308, decode "1.7976931348623157e308")
      assert.equal(5e-324, decode "4.9e-324")
      assert.equal(math.huge, decode "1e400")
      assert.equal(-math.huge, 1 / decode "-0")
    end)

    it("lets the last of equal keys count", function()
      local d = json.decoder {}
      for _ = 1, 3 do assert.same({ a = 2 }, d '{"a":1,"a":2}') end
    end)

    it("says what is wrong, where, in which text", function()
      assert.equal("json: unexpected ',' at byte 4: [1,,2]", message(decode, "[1,,2]"))
      assert.equal("json: unexpected end at byte 1: ", message(decode, ""))
      assert.equal("json: unexpected byte 0x0A at byte 3: \"a\\n\\x01\"", message(decode, '"a\n\1"'))
      assert.equal("json: invalid escape at byte 2: \"\\x\"", message(decode, '"\\x"'))
      local long = message(decode, "[" .. ("1,"):rep(100) .. "}")
      assert.equal("json: unexpected '}' at byte 202: [" .. ("1,"):rep(39) .. "1...", long)
    end)

    it("refuses what is no text", function()
      for _, x in ipairs { 3, true, {}, 3LL } do
        assert.matches("^json: decode takes text", message(decode, x))
      end
    end)

    it("refuses texts that are nested too deep, and takes those just below", function()
      local deep = ("["):rep(512) .. ("]"):rep(512)
      local d = json.decoder {}
      for _ = 1, 3 do assert.equal("table", type(d(deep))) end
      assert.matches("deeper than 512", message(d, "[" .. deep .. "]"))
      assert.matches("deeper than 512", message(d, ("["):rep(100000)))
      local map = ('{"a":'):rep(300) .. "1" .. ("}"):rep(300)
      for _ = 1, 3 do assert.equal("table", type(d(map))) end
    end)

    it("takes views, and refuses one that is no longer valid", function()
      local v, bytes = view_of '{"a":12}'
      local d = json.decoder {}
      for _ = 1, 3 do assert.same({ a = 12 }, d(v)) end
      v.ptr = nil
      assert.matches("no longer valid", message(d, v))
      assert.is_truthy(bytes)
    end)

    it("holds on to the text until the value is made, however often garbage is collected", function()
      local d = json.decoder {}
      local wrong = 0
      local pause, mul = collectgarbage("setpause", 1), collectgarbage("setstepmul", 1000)
      for i = 1, 2000 do
        local tag = tostring(i)
        -- the text is nowhere but in the argument
        local t = d('{"a":"' .. tag .. 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa","b":"' .. tag .. 'bbbbbbbbbbbbbbbbbbb"}')
        if t.a ~= tag .. "aaaaaaaaaaaaaaaaaaaaaaaaaaaa" or t.b ~= tag .. "bbbbbbbbbbbbbbbbbbb" then
          wrong = wrong + 1
        end
      end
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", mul)
      assert.equal(0, wrong)
    end)

    it("passes JSONTestSuite", function()
      local dir = os.getenv "TIDEWAY_JSONTESTSUITE"
      if not dir or dir == "" then
        pending "TIDEWAY_JSONTESTSUITE is not set to the folder of its parsing cases"
        return
      end
      local warm, warm_fields = json.decoder {}, json.decoder { fields = { "a", "b" } }
      local wrong, count = {}, 0
      local list = io.popen("ls '" .. dir .. "'")
      for name in list:lines() do
        local kind = name:match "^([yni])_.*%.json$"
        if kind then
          count = count + 1
          local file = assert(io.open(dir .. "/" .. name, "rb"))
          local text = file:read "*a"
          file:close()
          for _ = 1, 2 do
            for _, d in ipairs { warm, json.decoder {} } do
              local ok = pcall(d, text)
              if kind == "y" and not ok or kind == "n" and ok then wrong[#wrong + 1] = name end
            end
            if kind == "n" and pcall(warm_fields, text) then wrong[#wrong + 1] = "fields: " .. name end
          end
        end
      end
      list:close()
      assert.same({}, wrong)
      assert.is_true(count > 250, count)
    end)

    it("agrees with lua-cjson on random documents", function()
      if not has_cjson then
        pending "lua-cjson is not installed"
        return
      end
      local function as_ours(x)
        if x == cjson.null then return null end
        if type(x) ~= "table" then return x end
        local t = {}
        for k, v in pairs(x) do t[k] = as_ours(v) end
        return t
      end
      helper.seeded(function(rng)
        local d = json.decoder {}
        for _ = 1, 300 do
          local text = random_text(rng, random_value(rng, 0))
          helper.expect(as_ours(cjson.decode(text)), d(text))
        end
      end, 5)
    end)

    it("takes fields that are null, missing or of another kind in any mixture", function()
      local kinds = { "1", '"s"', "null", "true", "[1]", "{}", '{"z":null}' }
      local values = { 1, "s", null, true, { 1 }, {}, { z = null } }
      helper.seeded(function(rng)
        local all, two = json.decoder {}, json.decoder { fields = { "c", "g" } }
        local tight = json.decoder {}
        for _ = 1, 3000 do
          local parts, want, flat, flat_want = {}, {}, {}, {}
          for k = 1, 8 do
            local name, which = string.char(96 + k), rng:int(1, 8)
            if which <= 7 then
              parts[#parts + 1] = ('"%s":%s'):format(name, kinds[which])
              want[name] = values[which]
            end
            which = rng:int(1, 5)
            flat[k] = ('"%s":%s'):format(name, kinds[which])
            flat_want[name] = values[which]
          end
          local text = "{" .. table.concat(parts, ",") .. "}"
          helper.expect(want, all(text))
          helper.expect({ c = want.c, g = want.g }, two(text))
          helper.expect(flat_want, tight("{" .. table.concat(flat, ",") .. "}"))
        end
      end)
    end)

    it("agrees with itself when it has seen other records", function()
      helper.seeded(function(rng)
        local warm = json.decoder {}
        local shapes = {}
        for i = 1, 6 do shapes[i] = random_value(rng, 1) end
        local function vary(x)
          if type(x) ~= "table" or x == null then
            return rng:chance(0.5) and random_value(rng, 4) or x
          end
          local t = {}
          for k, v in pairs(x) do t[k] = vary(v) end
          return t
        end
        for _ = 1, 500 do
          local text = random_text(rng, vary(rng:pick(shapes)))
          helper.expect(json.decoder {}(text), warm(text))
        end
      end, 3)
    end)
  end)

  describe("decoding fields", function()
    local function fields(...) return json.decoder { fields = { ... } } end

    it("reads these and no others", function()
      local d = fields("name", "x")
      helper.expect({ name = "n", x = { 1, { y = 2 } } },
        d '{"a":{"name":0},"name":"n","x":[1,{"y":2}],"z":null}')
      assert.same({ x = 1 }, d '{"x":1}')
      assert.same({}, d "{}")
      assert.same({ name = "b" }, d '{"name":"a","name":"b"}')
      helper.expect({ name = null }, d '{"n\\u0061me":null}')
    end)

    it("still verifies the whole text", function()
      local d = fields "a"
      for _ = 1, 3 do
        assert.same({ a = 1 }, d '{"a":1,"b":[2]}')
        for _, text in ipairs { '{"a":1,"b":[2}', '{"a":1,"b":tru}', '{"a":1', '{"a":1}}', '{"b":01,"a":1}' } do
          assert.is_false((pcall(d, text)), text)
        end
      end
    end)

    it("raises for what has no fields", function()
      for _, text in ipairs { "3", '"x"', "[]", "null" } do
        assert.matches("no fields", message(fields "a", text))
      end
    end)

    it("gives what the whole record has there, on random documents", function()
      helper.seeded(function(rng)
        local d = fields("name", "x", "a", "null")
        for _ = 1, 1000 do
          local t = {}
          for _ = 1, rng:int(1, 6) do t[rng:pick(texts)] = random_value(rng, 2) end
          helper.expect({ name = t.name, x = t.x, a = t.a, null = t.null }, d(random_text(rng, t)))
        end
      end, 3)
    end)

    it("refuses fields that are none", function()
      for _, bad in ipairs { { {} }, { { 1 } }, { { "a", {} } } } do
        helper.misuse(function() json.decoder { fields = bad[1] } end, "json", "fields")
      end
    end)
  end)

  describe("encoding", function()
    it("writes values of every kind", function()
      assert.equal('{"a":[1,2.5],"b":{"c":null},"d":true,"e":"x"}',
        encode { a = { 1, 2.5 }, b = { c = null }, d = true, e = "x" })
      assert.equal("false", encode(false))
      assert.equal("null", encode(null))
      assert.equal("[]", encode {})
    end)

    it("writes the shortest number that reads back the same", function()
      local list = {
        [0.1] = "0.1", [3] = "3", [-2.5] = "-2.5", [1e21] = "1e21", [1e20] = "100000000000000000000",
        [1e-7] = "1e-7", [0.000001] = "0.000001", [5e-324] = "5e-324", [1 / 3] = "0.3333333333333333",
        [2 ^ 53] = "9007199254740992", [1.7976931348623157e308] = "1.7976931348623157e308",
        [0.1 + 0.2] = "0.30000000000000004", [1700000000.5] = "1700000000.5",
      }
      for x, text in pairs(list) do assert.equal(text, encode(x)) end
      assert.equal("-0", encode(-0.0))
    end)

    it("writes 64-bit integers exactly", function()
      assert.equal("9223372036854775807", encode(0x7fffffffffffffffLL))
      assert.equal("-9223372036854775808", encode(-0x7fffffffffffffffLL - 1))
      assert.equal("18446744073709551615", encode(0xffffffffffffffffULL))
    end)

    it("escapes what it must and nothing else", function()
      assert.equal([["\"\\\b\f\n\r\t\u0000\u001f]] .. '\127/\195\169"', encode "\"\\\b\f\n\r\t\0\31\127/\195\169")
    end)

    it("takes views for strings", function()
      local v, bytes = view_of 'a"b'
      assert.equal('["a\\"b"]', encode { v })
      assert.is_truthy(bytes)
    end)

    it("writes keys in order, numbers as text", function()
      assert.equal('{"2":1,"10":2,"a":3,"b":4,"false":5}',
        encode { b = 4, a = 3, [10] = 2, [2] = 1, [false] = 5 })
      assert.equal('{"1":1,"3":3}', encode { [1] = 1, [3] = 3 })
      local t = {}
      t[3], t[2], t[1] = 3, 2, 1
      assert.equal("[1,2,3]", encode(t))
      assert.equal('{"1":1,"2":2,"x":3}', encode { 1, 2, x = 3 })
    end)

    it("writes tables that grow, shrink and change", function()
      helper.seeded(function(rng)
        local e, d, t = json.encoder {}, json.decoder {}, {}
        for _ = 1, 1000 do
          local key = rng:pick(texts)
          if rng:chance(0.6) then t[key] = rng:int(1, 9) else t[key] = nil end
          helper.expect(t, d(e(t)))
        end
      end)
    end)

    it("refuses what JSON has not", function()
      assert.equal("json: cannot encode nan", message(encode, 0 / 0))
      assert.equal("json: cannot encode inf", message(encode, { 1 / 0 }))
      assert.equal("json: cannot encode -inf", message(encode, -1 / 0))
      assert.equal("json: cannot encode a function", message(encode, { a = print }))
      assert.equal("json: cannot encode a thread", message(encode, coroutine.create(print)))
      assert.equal("json: cannot encode a table as a key", message(encode, { [{}] = 1 }))
      assert.matches("cannot encode a .*int %[2%]", message(encode, ffi.new "int[2]"))
    end)

    it("refuses a table within itself, and goes on after that", function()
      local e = json.encoder {}
      local t = {}
      t.t = t
      assert.matches("within itself", message(e, t))
      assert.equal('{"a":1}', e { a = 1 })
    end)

    it("writes what decodes to the same, on random values", function()
      helper.seeded(function(rng)
        local e, d = json.encoder {}, json.decoder {}
        for _ = 1, 500 do
          local x = random_value(rng, 0)
          helper.expect(x, d(e(x)))
        end
      end, 5)
    end)
  end)
end)
