local ffi = require "ffi"
local view = require "tideway.view"

local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

-- A view over a string, which must stay anchored.
local function over(text)
  local v = view.new()
  v.ptr, v.len = text, #text
  return v
end

local function random_text(n, letters)
  local t = {}
  for i = 1, n do t[i] = string.char(math.random(0, letters - 1)) end
  return table.concat(t)
end

describe("view (seed " .. seed .. ")", function()
  math.randomseed(seed)

  it("agrees with string.find, byte and sub on random bytes", function()
    for _ = 1, 3000 do
      local s = random_text(math.random(0, 120), math.random(1, 6))
      local v = over(s)
      local needle = math.random() < 0.5 and s:sub(math.random(1, 60), math.random(1, 80))
        or random_text(math.random(0, 5), 4)
      local init = math.random() < 0.5 and math.random(-130, 130) or nil
      assert.same({ s:find(needle, init, true) }, { v:find(needle, init) })
      assert.equal(s:find(needle, 1, true) ~= nil, v:has(needle))
      assert.equal(s:sub(1, #needle) == needle, v:starts(needle))
      assert.equal(needle == "" or s:sub(-#needle) == needle, v:ends(needle))
      assert.equal(s == needle, v:eq(needle))
      local i, j = math.random(-130, 130), math.random(-130, 130)
      assert.equal((s:byte(i)), v:byte(i))
      assert.equal(s:byte(), v:byte())
      assert.equal(s:sub(i, j), tostring(v:sub(i, j)))
      assert.equal(s:sub(i), v:sub(i):string())
      assert.equal(#s, #v)
      assert.equal(s, v:string())
    end
  end)

  it("reads numbers as tonumber does", function()
    local texts = { "12", "-3.25", " 7 ", "1e3", "0x1F", "", "-", "abc", "1.5x", ".5", "5.", "-0",
      "123456789012345678901234567890", "0.1", "9007199254740993", "1e400", "+4", "1 2" }
    for _, text in ipairs(texts) do
      assert.equal(tonumber(text), over(text):number(), text)
    end
    for _ = 1, 1000 do
      local text = ("%." .. math.random(0, 17) .. "g"):format((math.random() - 0.5) * 10 ^ math.random(-20, 20))
      assert.equal(tonumber(text), over("x=" .. text .. ";"):number(3, -2), text)
    end
    assert.equal(34, over("12345"):number(3, 4))
    assert.is_nil(over("12345"):number(4, 3))
  end)

  it("stays inside of its bytes with NaN and infinite positions", function()
    local v, nan = over "abcdefg", 0 / 0
    assert.is_nil(v:byte(nan))
    assert.is_nil(v:byte(math.huge))
    assert.equal("abc", tostring(v:sub(nan, 3)))
    assert.equal("bcdefg", tostring(v:sub(2, nan)))
    assert.equal("abcdefg", tostring(v:sub(-math.huge, math.huge)))
    assert.is_nil(v:number(nan, nan))
    assert.same({ 3, 3 }, { v:find("c", nan) })
  end)

  it("takes a view where a string is asked for", function()
    local a, b = over "hello world", over "lo w"
    assert.is_true(a:has(b))
    assert.same({ 4, 7 }, { a:find(b) })
    assert.is_true(over("lo w"):eq(b))
    assert.has_error(function() a:has(12) end, "view: has takes a string, got number")
  end)

  it("raises in every method once it is no longer valid", function()
    local calls = {
      has = { "x" }, find = { "x" }, byte = { 1 }, starts = { "x" }, ends = { "x" }, eq = { "x" },
      sub = { 1 }, number = {}, string = {},
    }
    local v = over "text"
    local part = v:sub(2, 3)
    assert.equal("ex", tostring(part))
    v.ptr = nil
    view.expire()
    for _, x in ipairs { v, part } do
      for name, args in pairs(calls) do
        local ok, message = pcall(x[name], x, unpack(args))
        assert.is_false(ok)
        assert.matches("view: no longer valid", message)
      end
      assert.has_error(function() return #x end)
      assert.has_error(function() return tostring(x) end)
      assert.has_error(function() return view.text(x) end)
    end
  end)

  it("can be told from a string", function()
    assert.is_true(view.is(over "a"))
    assert.is_false(view.is "a")
    assert.is_false(view.is(nil))
    assert.is_false(view.is(ffi.new "int[1]"))
    assert.equal("abc", view.text(over "abc"))
    assert.equal("abc", view.text "abc")
    assert.equal(12, view.text(12))
  end)
end)
