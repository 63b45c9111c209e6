local helper = require "helper"
local tw = helper.tw

describe("union", function()
  it("does what its example says", function()
    helper.example "union"
  end)

  it("emits every element of every upstream", function()
    local a, b, c = tw.stream(), tw.stream(), tw.stream()
    local out = a:union(b, c):sink_to_list()
    a:emit(1)
    c:emit(2)
    b:emit(false)
    a:emit(3)
    helper.expect({ 1, 2, false, 3 }, out)
  end)

  it("delivers an element once when an upstream is named twice", function()
    local a = tw.stream()
    local out = a:union(a, a):sink_to_list()
    a:emit(1)
    assert.same({ 1 }, out)
  end)

  it("passes through what there is without others", function()
    local a = tw.stream()
    local out = a:union():sink_to_list()
    a:emit(1)
    assert.same({ 1 }, out)
  end)

  it("delivers the branches of a diamond in the order of attachment", function()
    local s = tw.stream()
    local double = s:map(function(x) return x * 2 end)
    local negative = s:map(function(x) return -x end)
    local out = negative:union(double, s):sink_to_list()
    s:emit(1)
    s:emit(2)
    assert.same({ 2, -1, 1, 4, -2, 2 }, out)
  end)

  it("ends when every upstream has ended", function()
    local a, b = tw.from_iterable { 1, 2 }, tw.from_iterable { 3 }
    local ended = 0
    local both = a:union(b)
    both:on_end(function() ended = ended + 1 end)
    local out = both:reduce(function(n, x) return n + x end):sink_to_list()
    tw.run()
    assert.same({ 6 }, out)
    assert.equal(1, ended)
  end)

  it("goes on when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:map(function(x) return x + 100 end):union(s):map(function(x)
        guard(x)
        return x
      end)
    end)
  end)

  it("hides an element that failed below it from later siblings below the on_error stream", function()
    local root, log = tw.stream(), {}
    local s = root:map(function(x) return x end):on_error "skip"
    s:partition(1):union(s):sink(function(x)
      if x == 2 then error("boom") end
      log[#log + 1] = type(x) == "table" and -x[1] or x
    end)
    s:sink(function(x) log[#log + 1] = x .. " below" end)
    root:sink(function(x) log[#log + 1] = x .. " beside" end)
    for i = 1, 3 do root:emit(i) end
    assert.same({ -1, 1, "1 below", "1 beside", -2, "2 beside", -3, 3, "3 below", "3 beside" }, log)
  end)

  it("refuses what is no stream, at the user's line", function()
    helper.misuse(function() tw.stream():union(5) end, "union")
    helper.misuse(function() tw.stream():union(tw.stream(), "x") end, "union")
    helper.misuse(function() tw.stream():union(tw.stream(), { maxsize = 2 }) end, "union")
    helper.misuse_on_destroyed("union", function(s) s:union(tw.stream()) end)
  end)

  it("agrees with the reference on random branches", function()
    helper.seeded(function(rng)
      local n = rng:int(1, 4)
      helper.agrees(helper.elements(rng, 60), function(s)
        local branches = {}
        for i = 1, n do
          branches[i] = s:filter(function(x) return helper.weight(x) % (i + 1) ~= 0 end)
            :map(function(x) return { i, x } end)
        end
        return s:union(unpack(branches))
      end)
    end, 20)
  end)
end)
