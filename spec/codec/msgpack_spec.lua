local helper = require "helper"
local msgpack = require "tideway.codec.msgpack"
local null = require "tideway.null"

local function decode(bytes) return msgpack.decoder()(bytes) end
local function encode(value) return msgpack.encoder()(value) end

local function message(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local texts = { "", "a", ("x"):rep(31), ("y"):rep(32), ("z"):rep(300), ("w"):rep(70000), "\0\255", "name" }

local function random_value(rng, depth)
  local kind = rng:int(1, depth > 3 and 7 or 10)
  if kind == 1 then return rng:int(-2 ^ rng:int(1, 53), 2 ^ rng:int(1, 53)) end
  if kind == 2 then return rng:normal() * 10 ^ rng:int(-300, 300) end
  if kind <= 4 then return rng:pick(texts) end
  if kind == 5 then return rng:chance(0.5) end
  if kind == 6 then return null end
  if kind == 7 then return 0x20000000000001LL * rng:int(1, 900) end
  local t = {}
  if kind == 8 then
    for i = 1, rng:int(0, 20) do t[i] = random_value(rng, depth + 1) end
  else
    for _ = 1, rng:int(1, 6) do t[rng:pick(texts)] = random_value(rng, depth + 1) end
    if rng:chance(0.2) then t[rng:int(10, 20)] = 1 end
    if rng:chance(0.1) then t[true] = "yes" end
  end
  return t
end

describe("msgpack", function()
  it("does what its example says", function()
    helper.example("msgpack", "codec")
  end)

  it("reads the bytes of its specification", function()
    helper.expect({ compact = true, schema = 0 }, decode "\x82\xa7compact\xc3\xa6schema\x00")
    helper.expect({ 1, -1, null, false, "x", "y" }, decode "\x96\x01\xff\xc0\xc2\xd9\x01x\xc4\x01y")
    helper.expect({ 1.5, 1.5 }, decode "\x92\xca\x3f\xc0\x00\x00\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00")
    helper.expect({ 255, 65535, 4294967295, 9007199254740992 },
      decode "\x94\xcc\xff\xcd\xff\xff\xce\xff\xff\xff\xff\xcf\x00\x20\x00\x00\x00\x00\x00\x00")
    helper.expect({ -128, -32768, -2147483648 }, decode "\x93\xd0\x80\xd1\x80\x00\xd2\x80\x00\x00\x00")
    helper.expect({ [1] = "a", [true] = "b" }, decode "\x82\x01\xa1a\xc3\xa1b")
  end)

  it("keeps all digits of 64-bit integers", function()
    assert.equal(0x7fffffffffffffffLL, decode "\xd3\x7f\xff\xff\xff\xff\xff\xff\xff")
    assert.equal(0xffffffffffffffffULL, decode "\xcf\xff\xff\xff\xff\xff\xff\xff\xff")
    assert.equal("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", encode(-0x7fffffffffffffffLL - 1))
    assert.equal("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", encode(0xffffffffffffffffULL))
  end)

  it("reads timestamps as seconds", function()
    assert.equal(5, decode "\xd6\xff\x00\x00\x00\x05")
    assert.equal(5.5, decode "\xd7\xff\x77\x35\x94\x00\x00\x00\x00\x05")
    assert.equal(-1, decode "\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff")
  end)

  it("writes the shortest form", function()
    assert.equal("\x00", encode(0))
    assert.equal("\x7f", encode(127))
    assert.equal("\xcc\x80", encode(128))
    assert.equal("\xe0", encode(-32))
    assert.equal("\xd0\xdf", encode(-33))
    assert.equal("\xce\x00\x01\x00\x00", encode(65536))
    assert.equal("\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", encode(0.5))
    assert.equal("\x82\xa1a\x93\x01\x02\x03\xa1b\x90", encode { b = {}, a = { 1, 2, 3 } })
    assert.equal("\x93\xc0\xc3\xc2", encode { null, true, false })
  end)

  it("writes NaN, infinities and -0 as they are", function()
    local nan = decode(encode(0 / 0))
    assert.is_true(nan ~= nan)
    assert.equal(math.huge, decode(encode(math.huge)))
    assert.equal(-math.huge, 1 / decode(encode(-0.0)))
  end)

  it("says what is wrong and where, with the bytes", function()
    assert.equal("msgpack: unexpected end at byte 1: ", message(decode, ""))
    assert.equal("msgpack: unexpected end at byte 3: \\x92\\x01", message(decode, "\x92\x01"))
    assert.equal("msgpack: type 0xC1 has no Lua value at byte 1: \\xC1", message(decode, "\xc1"))
    assert.matches("^msgpack: type 0xD4 has no Lua value at byte 1", message(decode, "\xd4\x01\x00"))
    assert.matches("^msgpack: a key that can be none at byte 2", message(decode, "\x81\xc0\x01"))
    assert.matches("^msgpack: a key that can be none at byte 2",
      message(decode, "\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01"))
    assert.matches("^msgpack: unexpected byte 0x02 at byte 2", message(decode, "\x01\x02"))
    assert.matches("deeper than 512", message(decode, ("\x91"):rep(600) .. "\x01"))
    assert.matches("^msgpack: unexpected end", message(decode, "\xdd\xff\xff\xff\xff\x01"))
    assert.matches("^msgpack: decode takes text", message(decode, 5))
  end)

  it("refuses what it cannot write, and goes on after that", function()
    local e, t = msgpack.encoder(), {}
    t.t = t
    assert.matches("within itself", message(e, t))
    assert.equal("msgpack: cannot encode a function", message(e, { print }))
    assert.equal("msgpack: cannot encode a table as a key", message(e, { [{}] = 1 }))
    assert.equal("\x01", e(1))
  end)

  it("writes what decodes to the same, on random values", function()
    helper.seeded(function(rng)
      local e, d = msgpack.encoder(), msgpack.decoder()
      for _ = 1, 300 do
        local x = random_value(rng, 0)
        helper.expect(x, d(e(x)))
      end
    end, 5)
  end)
end)
