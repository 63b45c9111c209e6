local helper = require "helper"
local tw = helper.tw

describe("zip_latest", function()
  it("does what its example says", function()
    helper.example "zip_latest"
  end)

  it("emits every element of the receiver with the latest of the others", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local out = a:zip_latest(b, c):sink_to_list()
    b:emit "x"
    c:emit "y"
    a:emit(1)
    b:emit "z"
    a:emit(2)
    a:emit(3)
    assert.same({ { 1, "x", "y" }, { 2, "z", "y" }, { 3, "z", "y" } }, out)
  end)

  it("keeps the receiver's elements until all others have one", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip_latest(b):sink_to_list()
    a:emit(1)
    a:emit(false)
    assert.same({}, out)
    b:emit "x"
    b:emit "y"
    helper.expect({ { 1, "x" }, { false, "x" } }, out)
  end)

  it("has a stream that is given twice twice in its tuples", function()
    local a, b = tw.stream(), tw.stream()
    local both = a:zip_latest(a):sink_to_list()
    local out = a:zip_latest(b, a):sink_to_list()
    local last = a:zip_latest(b, b):sink_to_list()
    a:emit(1)
    b:emit "x"
    a:emit(2)
    assert.same({ { 1, 1 }, { 2, 2 } }, both)
    assert.same({ { 1, "x", 1 }, { 2, "x", 2 } }, out)
    assert.same({ { 1, "x", "x" }, { 2, "x", "x" } }, last)
  end)

  it("emits nothing for the others alone", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip_latest(b):sink_to_list()
    for i = 1, 5 do b:emit(i) end
    assert.same({}, out)
    a:emit "now"
    assert.same({ { "now", 5 } }, out)
  end)

  it("drops only the tuple that failed below it under skip", function()
    local a, b = tw.stream(), tw.stream():on_error "skip"
    local out = a:zip_latest(b):map(function(t)
      if t[1] == 2 then error("boom") end
      return t
    end):sink_to_list()
    for i = 1, 3 do a:emit(i) end
    b:emit "x"
    assert.same({ { 1, "x" }, { 3, "x" } }, out)
  end)

  it("gives tuples that the receiver may keep and change", function()
    local a, b = tw.stream(), tw.stream()
    local seen = {}
    a:zip_latest(b):sink(function(t)
      seen[#seen + 1] = t[2]
      t[2] = "changed"
    end)
    b:emit "x"
    a:emit(1)
    a:emit(2)
    assert.same({ "x", "x" }, seen)
  end)

  it("has taken its element when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      local odd = s:filter(function(x) return x % 2 == 1 end)
      return s:zip_latest(odd):map(function(t)
        guard(t[1])
        return t
      end)
    end)
  end)

  it("refuses what is no stream, at the user's line", function()
    helper.misuse(function() tw.stream():zip_latest(5) end, "zip_latest")
    helper.misuse(function() tw.stream():zip_latest(tw.stream(), { size = 1 }) end, "zip_latest")
    helper.misuse_on_destroyed("zip_latest", function(s) s:zip_latest(tw.stream()) end)
  end)

  it("agrees with the reference on random branches", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 3)
      helper.agrees(helper.elements(rng, 60), function(s)
        local branches = {}
        for i = 1, n do
          branches[i] = s:filter(function(x) return helper.weight(x) % (i + 1) == i end)
            :map(function(x) return { i, x } end)
        end
        return s:zip_latest(unpack(branches))
      end)
    end, 30)
  end)
end)
