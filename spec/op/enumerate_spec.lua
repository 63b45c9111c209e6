local helper = require "helper"
local tw = helper.tw

describe("enumerate", function()
  it("does what its example says", function()
    helper.example "enumerate"
  end)

  it("emits {i, x}, from 1", function()
    local out = helper.run({ "a", false, "c" }, function(s) return s:enumerate() end)
    helper.expect({ { 1, "a" }, { 2, false }, { 3, "c" } }, out)
  end)

  it("gives tuples that the receiver may keep and change", function()
    local s, kept = tw.stream(), {}
    s:enumerate():sink(function(t)
      kept[#kept + 1] = t
      t[1] = -t[1]
    end)
    s:emit "a"
    s:emit "b"
    assert.same({ { -1, "a" }, { -2, "b" } }, kept)
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, function(s) return s:enumerate() end))
  end)

  it("counts on when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      return s:enumerate():map(function(t)
        guard(t[2])
        return t
      end)
    end)
  end)

  it("takes no arguments", function()
    helper.misuse(function() tw.stream():enumerate(5) end, "enumerate")
    helper.misuse_on_destroyed("enumerate", function(s) s:enumerate() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      helper.agrees(helper.elements(rng, 200), function(s) return s:enumerate() end)
    end, 10)
  end)
end)
