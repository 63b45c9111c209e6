local helper = require "helper"
local tw = helper.tw

local numbers = { 1, 2, 3, 4, 5, 6, 7 }

local function slice(first, last, step)
  return helper.run(numbers, function(s) return s:slice(first, last, step) end)
end

describe("slice", function()
  it("does what its example says", function()
    helper.example "slice"
  end)

  it("emits elements number first up to last, inclusive, step apart from first", function()
    assert.same({ 2, 3, 4 }, slice(2, 4))
    assert.same({ 2, 4, 6 }, slice(2, nil, 2))
    assert.same({ 2, 5 }, slice(2, 6, 3))
    assert.same({ 1, 4, 7 }, slice(nil, nil, 3))
    assert.same({ 1, 2 }, slice(nil, 2))
    assert.same({ 6, 7 }, slice(6))
    assert.same(numbers, slice())
    assert.same({ 3 }, slice(3, 3))
  end)

  it("emits nothing when first is behind last, or behind the end", function()
    assert.same({}, slice(4, 2))
    assert.same({}, slice(8))
    assert.same({}, helper.run_to_end({}, function(s) return s:slice(1, 2) end))
  end)

  it("detaches itself after last", function()
    local s = tw.stream()
    local part = s:slice(1, 2)
    local out = part:sink_to_list()
    s:emit "a"
    assert.equal(1, #s:downstreams())
    s:emit "b"
    s:emit "c"
    assert.same({ "a", "b" }, out)
    assert.equal(0, #s:downstreams())
    assert.equal(0, #part:upstreams())
  end)

  it("leaves its siblings as they are when it detaches", function()
    local s = tw.stream()
    local part = s:slice(nil, 1):sink_to_list()
    local all = s:sink_to_list()
    for i = 1, 3 do s:emit(i) end
    assert.same({ 1 }, part)
    assert.same({ 1, 2, 3 }, all)
  end)

  it("counts on when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:slice(1, nil, 2):map(function(x)
        guard(x)
        return x
      end)
    end)
  end)

  it("refuses what is no whole number from 1, at the user's line", function()
    for _, bad in ipairs { 0, -1, 1.5, "3", true, {}, 0 / 0 } do
      helper.misuse(function() tw.stream():slice(bad) end, "slice", "first")
      helper.misuse(function() tw.stream():slice(1, bad) end, "slice", "last")
      helper.misuse(function() tw.stream():slice(1, 2, bad) end, "slice", "step")
    end
    helper.misuse_on_destroyed("slice", function(s) s:slice(1) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local first = rng:chance(0.8) and rng:int(1, 12) or nil
      local last = rng:chance(0.5) and rng:int(1, 60) or nil
      local step = rng:chance(0.7) and rng:int(1, 7) or nil
      helper.agrees(helper.elements(rng, rng:int(0, 70)), function(s)
        return s:slice(first, last, step)
      end)
    end, 60)
  end)
end)
