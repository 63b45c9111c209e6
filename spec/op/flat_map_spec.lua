local helper = require "helper"
local tw = helper.tw

describe("flat_map", function()
  it("does what its example says", function()
    helper.example "flat_map"
  end)

  it("emits each member of what fn returns", function()
    local out = helper.run({ 1, 2 }, function(s)
      return s:flat_map(function(x) return { x, -x, false } end)
    end)
    helper.expect({ 1, -1, false, 2, -2, false }, out)
  end)

  it("emits each value of an iterator that fn returns", function()
    local out = helper.run({ "a b", "c" }, function(s)
      return s:flat_map(function(x) return x:gmatch "%a" end)
    end)
    assert.same({ "a", "b", "c" }, out)
  end)

  it("passes extra arguments after the element", function()
    local out = helper.run({ 1 }, function(s)
      return s:flat_map(function(x, y, z) return { x, y, z } end, 2, 3)
    end)
    assert.same({ 1, 2, 3 }, out)
  end)

  it("emits nothing for an empty array and for nil", function()
    local out = helper.run({ 1, 2, 3 }, function(s)
      return s:flat_map(function(x)
        if x == 1 then return {} end
        if x == 3 then return { x } end
      end)
    end)
    assert.same({ 3 }, out)
  end)

  it("raises when fn returns a string, a number or null, and goes on", function()
    local answers = { { 1 }, "text", 5, tw.null, { 2 } }
    local out = helper.run_failing({ 1, 2, 3, 4, 5 }, function(s)
      return s:flat_map(function(i) return answers[i] end)
    end)
    assert.equal(5, #out)
    for i = 2, 4 do assert.equal("raised", out[i][1]) end
    assert.equal(2, out[5])
  end)

  it("drops only the piece that failed below it under skip", function()
    local s = tw.stream():on_error "skip"
    local out = s:flat_map(function(x) return { x, x + 1, x + 2 } end)
      :map(helper.fails_on(2, function(x) return x end)):sink_to_list()
    s:emit(1)
    s:emit(2)
    assert.same({ 1, 3, 3, 4 }, out)
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:flat_map(function(x)
        guard(x)
        return { x, -x }
      end)
    end)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():flat_map() end, "flat_map", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():flat_map(bad) end, "flat_map", "fn")
    end
    helper.misuse_on_destroyed("flat_map", function(s) s:flat_map(print) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      helper.agrees(helper.elements(rng, 100), function(s)
        return s:flat_map(function(x)
          local list = {}
          for i = 1, helper.weight(x) % 5 do list[i] = i % 2 == 0 and x or i end
          return list
        end)
      end)
    end, 20)
  end)
end)
