local helper = require "helper"
local tw = helper.tw

local function three()
  return tw.stream(), tw.stream(), tw.stream()
end

describe("combine_latest", function()
  it("does what its example says", function()
    helper.example "combine_latest"
  end)

  it("emits the latest of each, once all have one, for every element", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:combine_latest(b):sink_to_list()
    a:emit(1)
    a:emit(2)
    b:emit "x"
    b:emit "y"
    a:emit(3)
    assert.same({ { 2, "x" }, { 2, "y" }, { 3, "y" } }, out)
  end)

  it("takes false and null for elements", function()
    local a, b = tw.stream(), tw.stream()
    local out = a:combine_latest(b):sink_to_list()
    a:emit(false)
    b:emit(tw.null)
    a:emit(tw.null)
    helper.expect({ { false, tw.null }, { tw.null, tw.null } }, out)
  end)

  it("emits only for the triggers named by emit_on: stream, position, or an array of them", function()
    local function run(on)
      local a, b, c = three()
      local out = a:combine_latest(b, c, { emit_on = on(a, b, c) }):sink_to_list()
      a:emit(1)
      b:emit(2)
      c:emit(3)
      a:emit(4)
      b:emit(5)
      c:emit(6)
      return out
    end
    assert.same({ { 4, 2, 3 } }, run(function(a) return a end))
    assert.same({ { 4, 5, 3 } }, run(function() return 2 end))
    assert.same({ { 1, 2, 3 }, { 4, 2, 3 }, { 4, 5, 6 } }, run(function(a) return { a, 3 } end))
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 } }, run(function(_, _, c) return { c } end))
  end)

  it("emits once per branch of a diamond, in the order of attachment", function()
    local s = tw.stream()
    local double = s:map(function(x) return x * 2 end)
    local negative = s:map(function(x) return -x end)
    local out = negative:combine_latest(double):sink_to_list()
    s:emit(1)
    s:emit(2)
    assert.same({ { -1, 2 }, { -1, 4 }, { -2, 4 } }, out)
  end)

  it("has a stream that is given twice twice in its tuples, and emits once for its elements", function()
    local a, b = tw.stream(), tw.stream()
    local both, three_of = a:combine_latest(a):sink_to_list(), tw.combine_latest(a, b, a)
    local out = three_of:sink_to_list()
    a:emit(1)
    b:emit "x"
    a:emit(2)
    assert.same({ { 1, 1 }, { 2, 2 } }, both)
    assert.same({ { 1, "x", 1 }, { 2, "x", 2 } }, out)
    a:disconnect(three_of)
    b:emit "y"
    assert.same({ "y" }, out[3])
  end)

  it("takes positions in emit_on for those of the arguments", function()
    local a, b = tw.stream(), tw.stream()
    local out = tw.combine_latest({ a, a, b }, { emit_on = 3 }):sink_to_list()
    a:emit(1)
    b:emit "x"
    a:emit(2)
    b:emit "y"
    assert.same({ { 1, 1, "x" }, { 2, 2, "y" } }, out)
    helper.misuse(function() tw.combine_latest({ a, a, b }, { emit_on = 4 }) end, "combine_latest", "emit_on")
  end)

  it("has an upstream that was connected later last in its tuples", function()
    local a, b, c = three()
    local all = a:combine_latest(b)
    local out = all:sink_to_list()
    c:connect(all)
    a:emit(1)
    b:emit(2)
    c:emit(3)
    assert.same({ { 1, 2, 3 } }, out)
  end)

  it("goes on without an upstream that is disconnected", function()
    local a, b, c = three()
    local all = a:combine_latest(b, c)
    local out = all:sink_to_list()
    a:emit(1)
    b:emit(2)
    c:emit(3)
    b:disconnect(all)
    a:emit(4)
    assert.same({ { 1, 2, 3 }, { 4, 3 } }, out)
  end)

  it("lets every upstream trigger once its only trigger is disconnected", function()
    local a, b, c = three()
    local all = a:combine_latest(b, c, { emit_on = b })
    local out = all:sink_to_list()
    a:emit(1)
    b:emit(2)
    c:emit(3)
    assert.same({}, out)
    b:disconnect(all)
    a:emit(4)
    c:emit(5)
    assert.same({ { 4, 3 }, { 4, 5 } }, out)
  end)

  it("gives tuples that the receiver may keep and change", function()
    local a, b = tw.stream(), tw.stream()
    local kept = {}
    a:combine_latest(b):sink(function(t)
      kept[#kept + 1] = t[1]
      t[1] = "changed"
    end)
    a:emit(1)
    b:emit(2)
    b:emit(3)
    assert.same({ 1, 1 }, kept)
  end)

  it("remembers the element when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      local odd = s:filter(function(x) return x % 2 == 1 end)
      return s:combine_latest(odd):map(function(t)
        guard(t[1])
        return t
      end)
    end)
  end)

  it("refuses wrong arguments, at the user's line", function()
    local a, b, other = three()
    helper.misuse(function() a:combine_latest(5) end, "combine_latest")
    helper.misuse(function() a:combine_latest(b, { emit_on = 3 }) end, "combine_latest", "emit_on")
    helper.misuse(function() a:combine_latest(b, { emit_on = 0 }) end, "combine_latest", "emit_on")
    helper.misuse(function() a:combine_latest(b, { emit_on = other }) end, "combine_latest", "emit_on")
    helper.misuse(function() a:combine_latest(b, { emit_on = { a, other } }) end, "combine_latest", "emit_on")
    helper.misuse(function() a:combine_latest(b, { emit_no = 1 }) end, "combine_latest", "emit_no", "emit_on")
    helper.misuse_on_destroyed("combine_latest", function(s) s:combine_latest(tw.stream()) end)
  end)

  it("agrees with the reference on random branches", function()
    helper.seeded(function(rng)
      local n, on = rng:int(1, 3), nil
      if rng:chance(0.5) then on = rng:int(1, n + 1) end
      if rng:chance(0.3) then on = { rng:int(1, n + 1), rng:int(1, n + 1) } end
      helper.agrees(helper.elements(rng, 60), function(s)
        local branches = {}
        for i = 1, n do
          branches[i] = s:filter(function(x) return helper.weight(x) % (i + 1) ~= 0 end)
            :map(function(x) return { i, x } end)
        end
        if on then branches[#branches + 1] = { emit_on = on } end
        return s:combine_latest(unpack(branches))
      end)
    end, 30)
  end)
end)
