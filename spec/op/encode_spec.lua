local helper = require "helper"
local tw = helper.tw

local function encode(codec, opts)
  return function(s) return s:encode(codec, opts) end
end

describe("encode", function()
  it("does what its example says", function()
    helper.example "encode"
  end)

  it("turns values into JSON text", function()
    local out = helper.run({ 1, "a\"b", true, false, tw.null, { 1, 2 }, { x = 0.5 } }, encode "json")
    assert.same({ "1", '"a\\"b"', "true", "false", "null", "[1,2]", '{"x":0.5}' }, out)
  end)

  it("writes CSV of arrays, and of tables by columns", function()
    assert.same({ "1,a", '2,"b,c"' }, helper.run({ { 1, "a" }, { 2, "b,c" } }, encode "csv"))
    assert.same({ "2,1" }, helper.run({ { a = 1, b = 2 } }, encode("csv", { columns = { "b", "a" } })))
  end)

  it("writes what decode reads", function()
    helper.seeded(function(rng)
      local rows = {}
      for i = 1, 50 do
        rows[i] = { n = rng:normal(), i = rng:int(-1000, 1000), ok = rng:chance(0.5), none = tw.null,
                    text = rng:pick { "", "a b", "\"quoted\"", "\n\t\\", "h\195\169" },
                    list = { 1, { "deep" } } }
      end
      for _, codec in ipairs { "json", "msgpack" } do
        helper.expect(rows, helper.run(rows, function(s) return s:encode(codec):decode(codec) end))
      end
    end, 3)
  end)

  it("raises for what cannot be encoded, and goes on", function()
    local out = helper.run_failing({ 1, function() end, 2 }, encode "json")
    assert.equal(3, #out)
    assert.equal("1", out[1])
    assert.equal("raised", out[2][1])
    assert.equal("2", out[3])
  end)

  it("raises for a table that contains itself", function()
    local t = {}
    t.t = t
    local out = helper.run_failing({ t, 1 }, encode "json")
    assert.equal("raised", out[1][1])
    assert.equal("1", out[2])
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, encode "json"))
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():encode() end, "encode", "codec")
    helper.misuse(function() tw.stream():encode "jsn" end, "encode", "jsn", "json")
    helper.misuse(function() tw.stream():encode("csv", { colums = {} }) end, "colums", "columns")
    helper.misuse_on_destroyed("encode", function(s) s:encode "json" end)
  end)
end)
