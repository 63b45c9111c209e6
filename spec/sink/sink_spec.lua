local helper = require "helper"
local tw = helper.tw

describe("sink", function()
  it("does what its example says", function()
    helper.example("sink", "sink")
  end)

  it("calls fn for each element", function()
    local s, seen = tw.stream(), {}
    s:sink(function(x) seen[#seen + 1] = x end)
    for _, x in ipairs { 1, false, tw.null } do s:emit(x) end
    helper.expect({ 1, false, tw.null }, seen)
  end)

  it("passes extra arguments after the element, nils among them", function()
    local s, seen = tw.stream(), nil
    s:sink(function(...) seen = { select("#", ...), ... } end, nil, "x")
    s:emit(1)
    helper.expect({ 3, 1, nil, "x" }, seen)
  end)

  it("takes a trailing table as an argument of fn, not as settings", function()
    local s, t, seen = tw.stream(), { delimiter = 1 }, nil
    s:sink(function(_, arg) seen = arg end, t)
    s:emit(1)
    assert.equal(t, seen)
  end)

  it("is served in the order of attachment", function()
    local s, log = tw.stream(), {}
    for i = 1, 3 do s:sink(function(x) log[#log + 1] = x .. i end) end
    s:emit "a"
    s:emit "b"
    assert.same({ "a1", "a2", "a3", "b1", "b2", "b3" }, log)
  end)

  it("receives nothing more once it is destroyed", function()
    local s, seen = tw.stream(), {}
    local sink = s:sink(function(x) seen[#seen + 1] = x end)
    s:emit(1)
    sink:destroy()
    s:emit(2)
    assert.same({ 1 }, seen)
    assert.equal(0, #s:downstreams())
  end)

  it("lives without a reference", function()
    local s, seen = tw.stream(), {}
    s:map(function(x) return x end):sink(function(x) seen[#seen + 1] = x end)
    collectgarbage()
    collectgarbage()
    s:emit(1)
    assert.same({ 1 }, seen)
  end)

  it("goes on after fn failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      s:sink(guard)
      return s
    end)
  end)

  it("refuses an fn that is no function, at the user's line", function()
    helper.misuse(function() tw.stream():sink() end, "sink", "fn")
    for _, bad in ipairs(helper.bad_functions) do
      helper.misuse(function() tw.stream():sink(bad) end, "sink", "fn")
    end
    helper.misuse_on_destroyed("sink", function(s) s:sink(print) end)
  end)
end)
