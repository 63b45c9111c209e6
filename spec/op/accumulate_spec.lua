local helper = require "helper"
local tw = helper.tw

local function add(state, x) return state + x end

describe("accumulate", function()
  it("does what its example says", function()
    helper.example "accumulate"
  end)

  it("emits the first element as it is, and it becomes the state", function()
    assert.same({ 1, 3, 6, 10 }, helper.run({ 1, 2, 3, 4 }, function(s) return s:accumulate(add) end))
  end)

  it("is called scan, too", function()
    assert.same({ 1, 3 }, helper.run({ 1, 2 }, function(s) return s:scan(add) end))
  end)

  it("begins from start when there is one", function()
    local out = helper.run({ 1, 2 }, function(s) return s:accumulate(add, { start = 10 }) end)
    assert.same({ 11, 13 }, out)
  end)

  it("takes false for a start like any other", function()
    local out = helper.run({ 1, 2 }, function(s)
      return s:accumulate(function(state, x) return state == false and x * 100 or state end,
                          { start = false })
    end)
    assert.same({ 100, 100 }, out)
  end)

  it("emits the value and keeps the state with returns_state", function()
    local out = helper.run({ 3, 4, 5 }, function(s)
      return s:accumulate(function(n, x) return n + 1, x * n end, { start = 1, returns_state = true })
    end)
    assert.same({ 3, 8, 15 }, out)
  end)

  it("emits nothing for a value of nil with returns_state, and keeps the state returned", function()
    local out = helper.run({ 1, 1, 1, 1, 1 }, function(s)
      return s:accumulate(function(n, x)
        if n + x == 2 then return 0, "two" end
        return n + x
      end, { start = 0, returns_state = true })
    end)
    assert.same({ "two", "two" }, out)
  end)

  it("emits the state beside the value with with_state", function()
    local out = helper.run({ 1, 2 }, function(s) return s:accumulate(add, { with_state = true }) end)
    assert.same({ { 1, 1 }, { 3, 3 } }, out)
    out = helper.run({ 5, 6 }, function(s)
      return s:accumulate(function(n, x) return n + 1, x * n end,
                          { start = 1, returns_state = true, with_state = true })
    end)
    assert.same({ { 2, 5 }, { 3, 12 } }, out)
  end)

  it("gives every pipeline a state of its own", function()
    local s = tw.stream()
    local a = s:accumulate(add):sink_to_list()
    s:emit(1)
    local b = s:accumulate(add):sink_to_list()
    s:emit(2)
    assert.same({ 1, 3 }, a)
    assert.same({ 2 }, b)
  end)

  it("gives nothing for nothing, and no start of its own accord", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:accumulate(add, { start = 1 }) end))
  end)

  it("keeps its state when fn fails, under every error policy", function()
    for _, opts in ipairs { {}, { start = 100 }, { start = 1, with_state = true } } do
      helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
        return s:accumulate(function(state, x)
          guard(x)
          return state + x
        end, opts)
      end)
    end
  end)

  it("has the state of before the element that failed", function()
    local out = helper.run_failing({ 1, 2, 3 }, function(s)
      return s:accumulate(helper.fails_on_second(2, add))
    end)
    helper.expect({ 1, { "raised", "boom" }, 4 }, out)
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():accumulate() end, "accumulate", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():accumulate(bad) end, "accumulate", "fn")
    end
    helper.misuse(function() tw.stream():accumulate(add, { strat = 1 }) end, "accumulate", "strat", "start")
    helper.misuse(function() tw.stream():accumulate(add, { returns_state = 1 }) end, "accumulate", "returns_state")
    helper.misuse(function() tw.stream():accumulate(add, { with_state = "x" }) end, "accumulate", "with_state")
    helper.misuse(function() tw.stream():accumulate(add, 5) end, "accumulate")
    helper.misuse_on_destroyed("accumulate", function(s) s:accumulate(add) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = { returns_state = rng:chance(0.5) or nil, with_state = rng:chance(0.5) or nil }
      if rng:chance(0.7) then opts.start = helper.element(rng) end
      helper.agrees(helper.elements(rng, 200), function(s)
        return s:accumulate(function(state, x)
          local sum = (helper.weight(state) * 3 + helper.weight(x)) % 17
          return sum % 4 == 0 and x or sum, sum % 3 ~= 0 and { sum } or nil
        end, opts)
      end)
    end, 30)
  end)

  it("keeps its state and emits nothing when fn returns nil", function()
    local function add_but_two(sum, x)
      if x ~= 2 then return sum + x, sum + x end
    end
    for _, opts in ipairs { { start = 0 }, { start = 0, returns_state = true }, {} } do
      local out = helper.run({ 1, 2, 3 }, function(s) return s:accumulate(add_but_two, opts) end)
      assert.same({ 1, 4 }, out)
    end
  end)

  it("holds no view in what with_state emits", function()
    local out = tw.from_textfile("examples/data/seattle-weather.csv", { view = true }):take(2)
      :accumulate(function(_, line) return line:sub(1, 4) end, { with_state = true }):sink_to_list()
    tw.run()
    assert.same({ "2012", "2012" }, out[2])
  end)
end)
