local helper = require "helper"
local tw = helper.tw

describe("map", function()
  it("does what its example says", function()
    helper.example "map"
  end)

  it("emits what fn makes of each element", function()
    local out = helper.run({ 1, 2, 3 }, function(s) return s:map(function(x) return x + 1 end) end)
    assert.same({ 2, 3, 4 }, out)
  end)

  it("passes nothing on for nil, and false like any element", function()
    local out = helper.run({ 1, 2, 3, false }, function(s)
      return s:map(function(x)
        if x == 1 then return nil end
        if x == 2 then return false end
        return x
      end)
    end)
    helper.expect({ false, 3, false }, out)
  end)

  it("passes nothing on when fn returns no value at all", function()
    assert.same({}, helper.run({ 1, 2 }, function(s) return s:map(function() end) end))
  end)

  it("hands only fn's first result on", function()
    assert.same({ 1 }, helper.run({ 1 }, function(s) return s:map(function(x) return x, 9 end) end))
  end)

  it("passes extra arguments after the element, nils among them", function()
    local out = helper.run({ "x" }, function(s)
      return s:map(function(...) return { select("#", ...), (...), (select(3, ...)) } end, nil, 7)
    end)
    assert.same({ { 3, "x", 7 } }, out)
  end)

  it("takes a trailing table as an argument of fn, not as settings", function()
    local t = { return_partial = false }
    local out = helper.run({ 1 }, function(s) return s:map(function(_, arg) return arg end, t) end)
    assert.equal(t, out[1])
  end)

  it("passes elements by reference", function()
    local t = {}
    assert.equal(t, helper.run({ t }, function(s) return s:map(function(x) return x end) end)[1])
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:map(function(x) return x end) end))
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x)
        guard(x)
        return x * 2
      end)
    end)
  end)

  it("gives the emitter fn's own text first, then the operator and the user's line", function()
    local s = tw.stream()
    s:map(function() error("boom", 0) end):named("parse"):sink(function() end)
    local ok, err = pcall(s.emit, s, 1)
    assert.is_false(ok)
    assert.equal("boom", err:match("^[^\n]*"))
    assert.truthy(err:find("<map: parse>", 1, true), err)
    assert.truthy(err:find("map_spec.lua:", 1, true), err)
  end)

  it("gives the emitter an error object untouched", function()
    local s, object = tw.stream(), {}
    s:map(function() error(object) end):sink(function() end)
    local ok, err = pcall(s.emit, s, 1)
    assert.is_false(ok)
    assert.equal(object, err)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():map() end, "map", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():map(bad) end, "map", "fn")
    end
    helper.misuse_on_destroyed("map", function(s) s:map(print) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local add = rng:int(-3, 3)
      helper.agrees(helper.elements(rng, 200), function(s)
        return s:map(function(x, y)
          if helper.weight(x) % 5 == 0 then return nil end
          return helper.weight(x) % 3 == 0 and x or helper.weight(x) + y
        end, add)
      end)
    end, 20)
  end)
end)
