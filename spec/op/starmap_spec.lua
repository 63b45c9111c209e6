local helper = require "helper"
local tw = helper.tw

describe("starmap", function()
  it("does what its example says", function()
    helper.example "starmap"
  end)

  it("passes the members of the tuple as arguments", function()
    local out = helper.run({ { 1, 2 }, { 3, 4 } }, function(s)
      return s:starmap(function(a, b) return a * 10 + b end)
    end)
    assert.same({ 12, 34 }, out)
  end)

  it("passes extra arguments after them", function()
    local out = helper.run({ { 1, 2 } }, function(s)
      return s:starmap(function(a, b, c, d) return { a, b, c, d } end, "c", "d")
    end)
    assert.same({ { 1, 2, "c", "d" } }, out)
  end)

  it("takes tuples of different lengths, the empty one too", function()
    local out = helper.run({ {}, { 1 }, { 1, 2, 3 } }, function(s)
      return s:starmap(function(...) return select("#", ...) end)
    end)
    assert.same({ 0, 1, 3 }, out)
  end)

  it("keeps false as a member and passes nothing on for nil", function()
    local out = helper.run({ { false, 1 }, { true, 2 } }, function(s)
      return s:starmap(function(flag, x) if not flag then return x end end)
    end)
    assert.same({ 1 }, out)
  end)

  it("raises for an element that is no table, and goes on", function()
    local out = helper.run_failing({ { 1 }, 5, { 2 } }, function(s)
      return s:starmap(function(x) return x end)
    end)
    assert.equal(3, #out)
    assert.equal("raised", out[2][1])
    assert.equal(2, out[3])
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return { x, 1 } end):starmap(function(x, y)
        guard(x)
        return x + y
      end)
    end)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():starmap() end, "starmap", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():starmap(bad) end, "starmap", "fn")
    end
    helper.misuse_on_destroyed("starmap", function(s) s:starmap(print) end)
  end)

  it("agrees with the reference on random tuples", function()
    helper.seeded(function(rng)
      local tuples = {}
      for i = 1, 100 do tuples[i] = helper.elements(rng, rng:int(0, 6)) end
      local extra = helper.element(rng)
      helper.agrees(tuples, function(s)
        return s:starmap(function(...) return { select("#", ...), ... } end, extra)
      end)
    end, 20)
  end)

  it("raises for null", function()
    local s = tw.stream()
    s:starmap(function() return 1 end)
    assert.has_error(function()
      s:emit(tw.null)
    end)
  end)
end)
