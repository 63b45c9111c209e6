local helper = require "helper"
local tw = helper.tw

local function partition(n, opts)
  return function(s) return s:partition_unique(n, opts) end
end

local mixed = { 1, 2, 1, 3, 1, 3, 3, 2 }

describe("partition_unique", function()
  it("does what its example says", function()
    helper.example "partition_unique"
  end)

  it("emits arrays of n elements with distinct keys, the first of each", function()
    assert.same({ { 1, 2, 3 }, { 1, 3, 2 } }, helper.run(mixed, partition(3)))
    assert.same({ { 1, 2, 3 }, { 1, 3, 2 } }, helper.run(mixed, partition(3, { keep = "first" })))
  end)

  it("keeps the last of each, in the order of the kept, with keep = last", function()
    assert.same({ { 2, 1, 3 }, { 1, 3, 2 } }, helper.run(mixed, partition(3, { keep = "last" })))
  end)

  it("compares by key, a function or a field", function()
    local text = { "f", "fo", "f", "foo", "f", "foo", "foo", "fo" }
    local len = function(s) return #s end
    assert.same({ { "f", "fo", "foo" }, { "f", "foo", "fo" } },
                helper.run(text, partition(3, { key = len })))
    assert.same({ { "fo", "f", "foo" }, { "f", "foo", "fo" } },
                helper.run(text, partition(3, { key = len, keep = "last" })))
    local rows = { { k = 1, v = 1 }, { k = 1, v = 2 }, { k = 2, v = 3 } }
    assert.same({ { rows[2], rows[3] } }, helper.run(rows, partition(2, { key = "k", keep = "last" })))
  end)

  it("takes keys by value", function()
    assert.same({ { 1, "1", true } }, helper.run({ 1, 1LL, "1", true }, partition(3)))
  end)

  it("emits every element alone with n = 1", function()
    assert.same({ { 1 }, { 1 } }, helper.run({ 1, 1 }, partition(1)))
  end)

  it("drops an incomplete partition at the end, and emits it with flush", function()
    assert.same({}, helper.run_to_end({ 1, 2, 1 }, partition(3)))
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2, 1 }, partition(3, { flush = true })))
    assert.same({ { 2, 1 } },
                helper.run_to_end({ 1, 2, 1 }, partition(3, { flush = true, keep = "last" })))
    assert.same({}, helper.run_to_end({}, partition(3, { flush = true })))
  end)

  it("raises for a key that is nil or NaN, and goes on", function()
    local out = helper.run_failing({ 1, 0 / 0, 2 }, partition(2))
    assert.equal(2, #out)
    assert.equal("raised", out[1][1])
    assert.same({ 1, 2 }, out[2])
  end)

  it("holds what it held when key failed, under every error policy", function()
    for _, keep in ipairs { "first", "last" } do
      helper.fails_alike({ 1, 2, 3, 4, 5, 6, 7 }, function(s, guard)
        return s:partition_unique(3, { keep = keep, key = function(x)
          guard(x)
          return x % 4
        end })
      end)
    end
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():partition_unique() end, "partition_unique", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():partition_unique(bad) end, "partition_unique", "n")
    end
    for _, bad in ipairs { "middle", 1, true } do
      helper.misuse(function() tw.stream():partition_unique(2, { keep = bad }) end, "partition_unique", "keep")
    end
    helper.misuse(function() tw.stream():partition_unique(2, { kep = 1 }) end, "partition_unique", "kep", "keep")
    helper.misuse_on_destroyed("partition_unique", function(s) s:partition_unique(2) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = { flush = rng:chance(0.5) or nil, keep = rng:pick { "first", "last" } }
      if rng:chance(0.5) then
        local m = rng:int(2, 9)
        opts.key = function(x) return helper.weight(x) % m end
      end
      helper.agrees(helper.elements(rng, rng:int(0, 200)), partition(rng:int(1, 5), opts))
    end, 40)
  end)
end)
