local helper = require "helper"
local tw = helper.tw

describe("tap", function()
  it("does what its example says", function()
    helper.example "tap"
  end)

  it("calls fn for each element and passes the element on, whatever fn returns", function()
    local seen = {}
    local out = helper.run({ 1, false, 3 }, function(s)
      return s:tap(function(x)
        seen[#seen + 1] = x
        return "other"
      end)
    end)
    helper.expect({ 1, false, 3 }, out)
    helper.expect({ 1, false, 3 }, seen)
  end)

  it("calls fn before anything below sees the element", function()
    local s, log = tw.stream(), {}
    s:tap(function(x) log[#log + 1] = "tap" .. x end):sink(function(x) log[#log + 1] = "sink" .. x end)
    s:emit(1)
    s:emit(2)
    assert.same({ "tap1", "sink1", "tap2", "sink2" }, log)
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:tap(error) end))
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard) return s:tap(guard) end)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():tap() end, "tap", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():tap(bad) end, "tap", "fn")
    end
    helper.misuse_on_destroyed("tap", function(s) s:tap(print) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      helper.agrees(helper.elements(rng, 200), function(s) return s:tap(helper.weight) end)
    end, 10)
  end)
end)
