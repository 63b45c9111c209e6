local helper = require "helper"
local tw = helper.tw

local function add(state, x) return state + x end

describe("reduce", function()
  it("does what its example says", function()
    helper.example "reduce"
  end)

  it("emits once, at the end", function()
    assert.same({ 10 }, helper.run_to_end({ 1, 2, 3, 4 }, function(s) return s:reduce(add) end))
    assert.same({}, helper.run({ 1, 2, 3 }, function(s) return s:reduce(add) end))
  end)

  it("begins from start when there is one", function()
    assert.same({ 16 }, helper.run_to_end({ 1, 2, 3 }, function(s) return s:reduce(add, 10) end))
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2 }, function(s)
      return s:reduce(function(list, x)
        list[#list + 1] = x
        return list
      end, {})
    end))
  end)

  it("takes false for a start like any other", function()
    local out = helper.run_to_end({ 1, 2 }, function(s)
      return s:reduce(function(state, x) return state == false and x * 100 or state end, false)
    end)
    assert.same({ 100 }, out)
  end)

  it("calls fn not at all for a single element without start", function()
    assert.same({ 7 }, helper.run_to_end({ 7 }, function(s) return s:reduce(error) end))
  end)

  it("emits the start, or nothing, when there was no element", function()
    assert.same({ 5 }, helper.run_to_end({}, function(s) return s:reduce(add, 5) end))
    assert.same({}, helper.run_to_end({}, function(s) return s:reduce(add) end))
  end)

  it("keeps its state when fn fails", function()
    for _, at in ipairs { 1, 3, 5 } do
      local source = tw.from_iterable { 1, 2, 3, 4, 5 }
      source:on_error "skip"
      local out = source:reduce(helper.fails_on_second(at, add), 0):sink_to_list()
      tw.run()
      assert.same({ 15 - at }, out)
    end
  end)

  it("emits nothing when fn fails under raise: the run raises", function()
    local out = tw.from_iterable { 1, 2, 3 }:reduce(helper.fails_on_second(2, add)):sink_to_list()
    local ok, err = pcall(tw.run)
    assert.is_false(ok)
    assert.equal("boom", helper.message(err))
    assert.same({}, out)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():reduce() end, "reduce", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():reduce(bad) end, "reduce", "fn")
    end
    helper.misuse_on_destroyed("reduce", function(s) s:reduce(add) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local start = rng:chance(0.5) and helper.element(rng) or nil
      helper.agrees(helper.elements(rng, rng:int(0, 50)), function(s)
        return s:reduce(function(state, x)
          return (helper.weight(state) * 3 + helper.weight(x)) % 1000
        end, start)
      end)
    end, 20)
  end)

  it("keeps its state when fn returns nil", function()
    local out = helper.run_to_end({ 1, 2, 3 }, function(s)
      return s:reduce(function(sum, x)
        if x ~= 2 then return sum + x end
      end, 0)
    end)
    assert.same({ 4 }, out)
  end)
end)
