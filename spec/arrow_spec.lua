local helper = require "helper"
local frames_of = require "support.frames"
local ffi = require "ffi"
local tw = helper.tw

describe("arrow", function()
  it("takes frames out and in again", function()
    helper.seeded(function(rng)
      local frame = frames_of.of(frames_of.rows(rng, rng:pick { 0, 1, 7, 100 }, 0))
      local schema, array = frame:to_arrow()
      assert.equal(6, tonumber(schema.n_children))
      assert.equal(#frame, tonumber(array.length))
      local back = tw.from_arrow(schema, array, { index = "ts" })
      assert.is_true(frame == back)
      helper.expect(frame:to_table(), back:to_table())
      assert.same(frame:types(), back:types())
      -- also by their addresses
      local address = tonumber(ffi.cast("intptr_t", array))
      assert.is_true(frame == tw.from_arrow(schema, address, { index = "ts" }))
    end, 10)
  end)

  it("outlives the frame that it came from", function()
    local schema, array = tw.frame { x = { 1, 2, tw.null }, s = { "a", tw.null, "b" } }:to_arrow()
    for _ = 1, 3 do collectgarbage() end
    for _ = 1, 3000 do tw.frame { x = { 1 } } end
    helper.expect({ x = { 1, 2, tw.null }, s = { "a", tw.null, "b" } }, tw.from_arrow(schema, array):to_table())
  end)

  it("refuses what is no struct array", function()
    local schema, array = tw.frame { x = { 1 } }:to_arrow()
    helper.misuse(function() tw.from_arrow(5, "x") end, "from_arrow", "array")
    helper.misuse(function() tw.from_arrow(nil, array) end, "from_arrow", "schema")
    helper.misuse(function() tw.from_arrow(schema, array, { index = "y" }) end, "from_arrow", "y")
  end)
end)
