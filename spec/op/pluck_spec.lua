local helper = require "helper"
local tw = helper.tw

describe("pluck", function()
  it("does what its example says", function()
    helper.example "pluck"
  end)

  it("emits the field of each element", function()
    local out = helper.run({ { x = 1 }, { x = false } }, function(s) return s:pluck "x" end)
    helper.expect({ 1, false }, out)
  end)

  it("takes a position", function()
    assert.same({ "b" }, helper.run({ { "a", "b" } }, function(s) return s:pluck(2) end))
  end)

  it("emits the array of several fields", function()
    local out = helper.run({ { a = 1, b = 2, c = 3 } }, function(s) return s:pluck { "c", "a" } end)
    assert.same({ { 3, 1 } }, out)
  end)

  it("emits nothing for a missing field", function()
    assert.same({ 1 }, helper.run({ {}, { x = 1 } }, function(s) return s:pluck "x" end))
  end)

  it("raises for an element without fields, and goes on", function()
    local out = helper.run_failing({ { x = 1 }, 5, true, { x = 2 } }, function(s)
      return s:pluck "x"
    end)
    assert.equal(4, #out)
    assert.equal("raised", out[2][1])
    assert.equal("raised", out[3][1])
    assert.equal(2, out[4])
  end)

  it("follows __index", function()
    local t = setmetatable({}, { __index = function(_, k) return k .. "!" end })
    assert.same({ "x!" }, helper.run({ t }, function(s) return s:pluck "x" end))
  end)

  it("goes on after an __index that failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x)
        return setmetatable({}, { __index = function() guard(x) return x end })
      end):pluck("field")
    end)
  end)

  it("refuses a missing key, at the user's line", function()
    helper.misuse(function() tw.stream():pluck() end, "pluck", "key")
    helper.misuse_on_destroyed("pluck", function(s) s:pluck "x" end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local rows = {}
      for i = 1, 100 do
        rows[i] = { helper.element(rng), x = rng:chance(0.7) and helper.element(rng) or nil,
                    y = helper.element(rng) }
      end
      local key = rng:pick { "x", "y", 1, 2, "z" }
      helper.agrees(rows, function(s) return s:pluck(key) end)
      helper.agrees(rows, function(s) return s:pluck { "y", 1 } end)
    end, 20)
  end)

  it("raises for null, which has no fields", function()
    for _, key in ipairs { "a", { "a", "b" } } do
      local s = tw.stream()
      local plucked = s:pluck(key)
      local ok, err = pcall(s.emit, s, tw.null)
      assert.is_false(ok)
      assert.truthy(err:find("pluck: the element must be a table to have a field a, got null", 1, true))
      assert.equal("<pluck>", tostring(plucked))
    end
  end)

  it("holds no views in what it emits", function()
    local out = tw.from_textfile("examples/data/seattle-weather.csv", { view = true }):take(2)
      :map(function(line) return { a = line:sub(1, 4), b = 1 } end):pluck({ "a", "b" }):sink_to_list()
    tw.run()
    assert.same({ { "date", 1 }, { "2012", 1 } }, out)
  end)

  it("takes any number of keys", function()
    local keys, x, expected = {}, {}, {}
    for i = 1, 250 do keys[i], x["k" .. i], expected[i] = "k" .. i, i, i end
    local out = helper.run({ x, { k1 = 1 } }, function(s) return s:pluck(keys) end)
    assert.same({ expected }, out)
  end)
end)
