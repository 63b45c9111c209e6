--- Loops over pairs go round to their end on every LuaJIT, also where its own do not.
local command = require "support.command"
local helper = require "helper"
local traversal = require "tideway.traversal"

-- Loops that LuaJIT 2.1.0-beta3 of March 2022 leaves early, sooner or later: there is a loop within
-- each, so that it is tried to be compiled, given up, and changed while it runs.
local text = [[
local counted = 0
local inner = { 1, 2, 3, 4, 5 }
local outer = { a = inner, b = inner, c = inner, d = inner, e = inner }
local function back_to_the_interpreter(...) for _ = 1, 100 do end end
for _ = 1, 100000 do
  back_to_the_interpreter()
  for _ in GOING do
    for _ in pairs(inner) do end
    counted = counted + 1
  end
end
return counted
]]

--- How many entries were seen by loops that were loaded now, for the first time.
local function count(going)
  local chunk = assert(loadstring((text:gsub("GOING", going))))
  return chunk()
end

describe("a loop over a table", function()
  it("sees every entry, however often it runs, with pairs and with next", function()
    for _ = 1, 3 do
      assert.equal(500000, count "pairs(outer)")
      assert.equal(500000, count "next, outer")
    end
  end)

  it("sees every entry in a script", function()
    local status, out, err = command.script(
      ("local function run(...) %s end print(run())"):format((text:gsub("GOING", "pairs(outer)"))))
    assert.same({ 0, "500000\n", "" }, { status, out, err })
  end)
end)

describe("the functions in place of LuaJIT's", function()
  local whole_pairs, whole_next = traversal.whole(pairs, next)

  it("go through any table as LuaJIT's do", function()
    helper.seeded(function(rng)
      for _ = 1, 200 do
        local t = {}
        for _ = 1, rng:int(0, 12) do
          t[rng:chance(0.5) and rng:int(1, 9) or ("k%d"):format(rng:int(1, 9))] = rng:int(1, 100)
        end
        local want, got = {}, {}
        for k, v in pairs(t) do want[#want + 1] = { k, v } end
        for k, v in whole_pairs(t) do got[#got + 1] = { k, v } end
        assert.same(want, got)
        assert.equal(next(t), (whole_next(t)))
      end
    end, 3)
  end)

  it("leave it to a __pairs of cdata what there is to go through", function()
    local ffi = require "ffi"
    local kind = ffi.metatype("struct { int x; }", {
      __pairs = function(it)
        return function(of, last) if not last then return "x", of.x end end, it, nil
      end,
    })
    local got = {}
    for k, v in whole_pairs(kind(7)) do got[k] = v end
    assert.same({ x = 7 }, got)
  end)

  it("refuse what is no table", function()
    for _, bad in ipairs { 3, "x", true } do
      assert.has_error(function() whole_pairs(bad) end)
    end
    assert.has_error(function() whole_pairs(nil) end)
  end)

  it("are the globals where they must be, and only there", function()
    assert.equal(traversal.broken(), debug.getinfo(pairs, "S").what == "Lua")
    assert.equal(traversal.broken(), debug.getinfo(next, "S").what == "Lua")
  end)
end)
