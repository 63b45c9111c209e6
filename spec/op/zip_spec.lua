local helper = require "helper"
local tw = helper.tw

describe("zip", function()
  it("does what its example says", function()
    helper.example "zip"
  end)

  it("emits a tuple once every upstream has given one", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b):sink_to_list()
    a:emit(1)
    a:emit(2)
    assert.same({}, out)
    b:emit "x"
    b:emit "y"
    b:emit "z"
    a:emit(3)
    assert.same({ { 1, "x" }, { 2, "y" }, { 3, "z" } }, out)
  end)

  it("takes false and null for elements", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b):sink_to_list()
    a:emit(false)
    b:emit(tw.null)
    helper.expect({ { false, tw.null } }, out)
  end)

  it("puts literals in their place", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip("lit", b, 9):sink_to_list()
    a:emit(1)
    b:emit(2)
    assert.same({ { 1, "lit", 2, 9 } }, out)
  end)

  it("takes everything in an array as tw.zip", function()
    local a, b, t = tw.stream(), tw.stream(), { "a table" }
    local out = tw.zip({ "first", a, b, t, false }, { maxsize = 2 }):sink_to_list()
    a:emit(1)
    b:emit(2)
    helper.expect({ { "first", 1, 2, t, false } }, out)
    assert.equal(t, out[1][4])
  end)

  it("gives {x, x} for a stream zipped with itself", function()
    local out = helper.run({ 1, 2 }, function(s) return s:zip(s) end)
    assert.same({ { 1, 1 }, { 2, 2 } }, out)
  end)

  it("gives {x} without others", function()
    assert.same({ { 1 } }, helper.run({ 1 }, function(s) return s:zip() end))
  end)

  it("takes maxsize elements without a partner at once", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:zip(b, { maxsize = 3 }):sink_to_list()
    for i = 1, 3 do a:emit(i) end
    assert.same({}, out)
    for i = 1, 3 do b:emit(-i) end
    assert.same({ { 1, -1 }, { 2, -2 }, { 3, -3 } }, out)
  end)

  it("emits what becomes complete when an upstream is disconnected", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local z = a:zip(b, c)
    local out = z:sink_to_list()
    a:emit(1)
    a:emit(2)
    b:emit "x"
    c:disconnect(z)
    assert.same({ { 1, "x" } }, out)
    b:emit "y"
    assert.same({ { 1, "x" }, { 2, "y" } }, out)
  end)

  it("drops what a disconnected upstream had given", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local z = a:zip(b, c)
    local out = z:sink_to_list()
    b:emit "dropped"
    b:disconnect(z)
    a:emit(1)
    c:emit(2)
    assert.same({ { 1, 2 } }, out)
  end)

  it("gives tuples that the receiver may keep and change", function()
    local s, kept = tw.stream(), {}
    s:zip("lit"):sink(function(t)
      kept[#kept + 1] = t
      t[2] = t[1]
    end)
    s:emit(1)
    s:emit(2)
    assert.same({ { 1, 1 }, { 2, 2 } }, kept)
  end)

  it("drops what has no partner at the end", function()
    local a, b = tw.from_iterable { 1, 2, 3 }, tw.from_iterable { "x" }
    local out = a:zip(b):sink_to_list()
    tw.run()
    assert.same({ { 1, "x" } }, out)
  end)

  it("has taken its elements when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return -x end):zip(s):map(function(t)
        guard(t[2])
        return t
      end)
    end)
  end)

  it("refuses wrong settings, at the user's line", function()
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():zip(tw.stream(), { maxsize = bad }) end, "zip", "maxsize")
    end
    helper.misuse(function() tw.stream():zip(tw.stream(), { maxsise = 1 }) end, "zip", "maxsise", "maxsize")
    helper.misuse(function() tw.zip({ "no", "stream" }) end, "zip")
    helper.misuse(function() tw.zip(5) end, "zip")
    helper.misuse_on_destroyed("zip", function(s) s:zip(tw.stream()) end)
  end)

  it("agrees with the reference on random branches", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 3)
      local literal = helper.element(rng)
      if type(literal) == "table" and literal ~= tw.null then literal = "literal" end
      helper.agrees(helper.elements(rng, 60), function(s)
        local members = {}
        for i = 1, n do
          members[i] = s:filter(function(x) return helper.weight(x) % (i + 1) ~= 0 end)
            :map(function(x) return { i, x } end)
        end
        members[#members + 1] = literal
        members[#members + 1] = { maxsize = 1000 }
        return s:zip(unpack(members))
      end)
    end, 20)
  end)
end)
