--- Native memory that runs out: one error that says so, or the result as ever, and nothing
-- half-done stays behind.
local tw = require "tideway"
local C = require "tideway.ffi"

--- Have the n-th native allocation from now fail. Returns what pcall does, and whether it came.
local function failing(n, fn, ...)
  C.tw_mem_fail_at(n)
  local ok, result = pcall(fn, ...)
  return ok, result, tonumber(C.tw_mem_fail_at(0)) == 0
end

--- fn, failing at each of its allocations in turn, gives `expected` or says "memory".
local function holds(expected, fn)
  local n, came = 0, true
  while came and n < 400 do
    n = n + 1
    local ok, result
    ok, result, came = failing(n, fn)
    if ok then
      assert.same(expected, result, "allocation " .. n)
    else
      assert.matches("memory", tostring(result), 1, true, "allocation " .. n)
    end
  end
  assert.is_false(came)
end

describe("running out of native memory", function()
  local values = {
    json = { { a = 1, b = { "x\n", true } }, { a = 2 } },
    msgpack = { { a = 1, b = { "x", true } }, { a = 2 } },
    csv = { { 1, "x\"y", 2.5 }, { "z" } },
    logfmt = { { a = 1, b = "x y" }, { a = "2" } },
    combined = { { remote_addr = "h", path = "/", method = "GET", status = 200, time = 0 } },
  }
  for name, list in pairs(values) do
    it("leaves an encoder of " .. name .. " right or raising", function()
      local codec = require("tideway.codec." .. name)
      local expected = {}
      local encode = codec.encoder({})
      for i, value in ipairs(list) do expected[i] = encode(value) end
      holds(expected, function()
        local got = {}
        local again = codec.encoder({})
        for i, value in ipairs(list) do got[i] = again(value) end
        return got
      end)
      -- what failed once is right the next time
      for n = 1, 8 do
        local ok, late = failing(n, codec.encoder, {})
        if ok then
          failing(n, late, list[1])
          for i, value in ipairs(list) do assert.equal(expected[i], late(value)) end
        end
      end
    end)
  end

  it("leaves a pipeline right or raising", function()
    local function build()
      local got = {}
      local head = tw.from_iterable { '{"a":1,"b":"x"}', '{"a":{"c":[1,2]}}', '{"a":null}' }
      local L = head:json():collect():map(function(x) return #x end)
      head:zip(head:map(string.len)):partition(3):sink_to_list()
      head:unique():map(string.len):sliding_window(2):aggregate {
        m = tw.median(), s = tw.sum(), x = tw.max(), v = tw.std(),
      }:sink(function(t) got[#got + 1] = { t.m, t.s, t.x } end)
      tw.run()
      L:destroy()
      head:destroy()
      return got
    end
    holds(build(), build)
  end)
end)
