local C = require "tideway.declare" "codecs"
local buffer = require "string.buffer"
local helper = require "helper"
local null = require "tideway.null"
local packed = require "tideway.packed"

local OPTIONS = { metatable = { getmetatable(null) } }

--- Write values with a dictionary and read them again, by an unpacker where it can. Returns them and how
-- many of them it has read.
local function there_and_back(list, dict)
  local options = { dict = dict, metatable = OPTIONS.metatable }
  local written, read = buffer.new(options), buffer.new(options)
  for _, x in ipairs(list) do written:encode(x) end
  read:put(written:tostring())
  local U, out, taken = packed.new(dict), {}, 0
  for i = 1, #list do
    local at, size = read:ref()
    out[i] = packed.take(U, read, at, size)
    if out[i] then taken = taken + 1 else out[i] = read:decode() end
  end
  assert.equal(0, #read)
  return out, taken
end

local function agree(list, dict)
  local out, taken = there_and_back(list, dict)
  helper.expect(list, out)
  return taken
end

describe("packed tables", function()
  it("are what was written", function()
    local list = {
      { id = 1, name = "a", ok = true }, { id = 2.5, name = "b", ok = false }, { id = -0, name = "", ok = true },
      { id = 0 / 0, name = ("long"):rep(5000), ok = false },
      { id = 1, name = null, ok = 7 }, { id = 5LL, name = 6ULL, ok = "x" },
      { ["end"] = 1, ["not an identifier"] = 2, [""] = 3, ['"\\\n\0'] = 4 },
      { at = { x = 1, y = { z = "deep" } }, list = { 1, "two", { three = 3 } }, none = {} },
    }
    assert.equal(#list, agree(list))
    assert.equal(#list, agree(list, { "id", "name", "ok", "x", "end" }))
    local out = there_and_back { { x = null, y = tonumber "-0" } }
    assert.equal(null, out[1].x)
    assert.equal(-math.huge, 1 / out[1].y)
  end)

  it("are left to string.buffer where they have no shape", function()
    assert.equal(0, agree { {}, { 1, 2, 3 }, { [0] = 1 }, { [2.5] = "x" }, { x = { 1, y = 2 } }, { [true] = 1 } })
    assert.equal(1, agree { { a = 1 }, { a = { [0] = 1 } } })
    local many = {}
    for i = 1, 100 do many["key" .. i] = i end
    assert.equal(0, agree { many })
  end)

  it("are of a bounded number of shapes", function()
    local list = {}
    for i = 1, 500 do list[i] = { ["key" .. i % 250] = i, x = 1 } end
    assert.equal(2 * tonumber(C.TW_SHAPES), agree(list))
  end)

  it("are what random ones were", function()
    helper.seeded(function(rng)
      local keys = { "a", "b", "and", "c d", "é", "", "id", "name" }
      local function value(depth)
        local kind = rng:int(1, depth > 2 and 7 or 9)
        if kind == 1 then return rng:int(-1000, 1000) end
        if kind == 2 then return rng:normal() * 1e10 end
        if kind == 3 then return ("s"):rep(rng:int(0, 300)) end
        if kind == 4 then return rng:chance(0.5) end
        if kind == 5 then return null end
        if kind == 6 then return rng:int(-9, 9) * 10000000000LL end
        if kind == 7 then return rng:pick(keys) end
        local t = {}
        if kind == 8 then
          for i = 1, rng:int(0, 5) do t[i] = value(depth + 1) end
        else
          for _ = 1, rng:int(0, 4) do t[rng:pick(keys)] = value(depth + 1) end
        end
        return t
      end
      local templates = {}
      for i = 1, rng:int(1, 5) do
        templates[i] = {}
        for _ = 1, rng:int(1, 5) do templates[i][rng:pick(keys)] = value(1) end
      end
      local list = {}
      for i = 1, 200 do
        list[i] = {}
        local template = rng:pick(templates)
        for _, key in ipairs(keys) do -- in the same order, as a program does
          local x = template[key]
          if x ~= nil and not rng:chance(0.02) then
            list[i][key] = type(x) == "number" and rng:int(0, 1000) / 4 or rng:chance(0.1) and value(1) or x
          end
        end
      end
      agree(list, rng:chance(0.7) and { "a", "and", "id", "", "s" } or nil)
    end, 30)
  end)
end)
