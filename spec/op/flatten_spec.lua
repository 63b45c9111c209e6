local helper = require "helper"
local tw = helper.tw

describe("flatten", function()
  it("does what its example says", function()
    helper.example "flatten"
  end)

  it("gives the rows of a frame, missing cells as tw.null", function()
    helper.expect({ { a = 1, b = "x" }, { a = 2, b = tw.null } },
      helper.run({ tw.frame { a = {}, b = {} }, tw.frame { a = { 1, 2 }, b = { "x", tw.null } } },
        function(s) return s:flatten() end))
  end)

  it("emits each member of an array", function()
    local out = helper.run({ { 1, 2 }, {}, { 3 }, { false, tw.null } }, function(s)
      return s:flatten()
    end)
    helper.expect({ 1, 2, 3, false, tw.null }, out)
  end)

  it("is called concat, too", function()
    assert.same({ 1, 2 }, helper.run({ { 1, 2 } }, function(s) return s:concat() end))
  end)

  it("flattens one level", function()
    assert.same({ { 1 }, 2 }, helper.run({ { { 1 }, 2 } }, function(s) return s:flatten() end))
  end)

  it("emits each value of an iterator function", function()
    local function counter(n)
      local i = 0
      return function()
        i = i + 1
        if i <= n then return i, "ignored" end
      end
    end
    local out = helper.run({ counter(3), counter(0), ("a b"):gmatch "%a" }, function(s)
      return s:flatten()
    end)
    assert.same({ 1, 2, 3, "a", "b" }, out)
  end)

  it("sends a member through everything below before the next", function()
    local s, log = tw.stream(), {}
    local flat = s:flatten()
    flat:sink(function(x) log[#log + 1] = "a" .. x end)
    flat:sink(function(x) log[#log + 1] = "b" .. x end)
    s:emit { 1, 2 }
    assert.same({ "a1", "b1", "a2", "b2" }, log)
  end)

  it("raises for a string, a number, a boolean and null, and goes on", function()
    local out = helper.run_failing({ { 1 }, "text", 5, true, tw.null, 7LL, { 2 } }, function(s)
      return s:flatten()
    end)
    assert.equal(7, #out)
    for i = 2, 6 do assert.equal("raised", out[i][1]) end
    assert.equal(2, out[7])
  end)

  it("raises what an iterator raises; what it gave before has been delivered", function()
    local out = helper.run_failing({ 3 }, function(s)
      return s:map(function(n)
        local i = 0
        return function()
          i = i + 1
          if i == n then error("boom") end
          return i
        end
      end):flatten()
    end)
    helper.expect({ 1, 2, { "raised", "boom" } }, out)
  end)

  it("drops only the member that failed below it under skip", function()
    local s = tw.stream():on_error "skip"
    local out = s:flatten():map(helper.fails_on(2, function(x) return x * 10 end)):sink_to_list()
    local sibling = s:sink_to_list()
    s:emit { 1, 2, 3 }
    s:emit { 4, 2 }
    assert.same({ 10, 30, 40 }, out)
    assert.equal(2, #sibling)
  end)

  it("gives up the rest when a member fails under raise", function()
    local out = helper.run_failing({ { 1, 2, 3 }, { 4 } }, function(s)
      return s:flatten():map(helper.fails_on(2, function(x) return x * 10 end))
    end)
    helper.expect({ 10, { "raised", "boom" }, 40 }, out)
  end)

  it("goes on after a failure below, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return { x - 1, x, x + 1 } end):flatten():map(function(x)
        guard(x)
        return x
      end)
    end)
  end)

  it("takes no arguments", function()
    helper.misuse(function() tw.stream():flatten(2) end, "flatten")
    helper.misuse_on_destroyed("flatten", function(s) s:flatten() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local lists = {}
      for i = 1, 60 do lists[i] = helper.elements(rng, rng:int(0, 5)) end
      helper.agrees(lists, function(s) return s:flatten() end)
    end, 20)
  end)

  it("leaves an iterator that fails to the error policy", function()
    local s, letters = tw.stream(), tw.stream()
    local dead = letters:sink_to_list()
    local out = s:on_error(letters):flatten():sink_to_list()
    local i = 0
    local function fails()
      i = i + 1
      if i == 2 then error("boom", 0) end
      return i
    end
    s:emit(fails)
    s:emit { 5 }
    assert.same({ 1, 5 }, out)
    assert.same({ fails, "<flatten>" }, { dead[1].element, dead[1].operator })
  end)
end)
