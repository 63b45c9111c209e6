local helper = require "helper"
local tw = helper.tw

local function partition(n, opts)
  return function(s) return s:partition(n, opts) end
end

describe("partition", function()
  it("does what its example says", function()
    helper.example "partition"
  end)

  it("emits arrays of n elements", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, helper.run({ 1, 2, 3, 4, 5 }, partition(2)))
    assert.same({ { 1 }, { 2 } }, helper.run({ 1, 2 }, partition(1)))
  end)

  it("holds every kind of element, false and null too", function()
    local t = {}
    local inputs = { false, tw.null, 1LL, "x", t, true }
    local out = helper.run(inputs, partition(6))
    helper.expect({ inputs }, out)
    assert.equal(t, out[1][5])
  end)

  it("gives arrays that the receiver may keep and change", function()
    local s = tw.stream()
    local kept = {}
    s:partition(2):sink(function(t)
      kept[#kept + 1] = t[1] + t[2]
      t[1], t[2], t[3] = nil, 99, 99
    end)
    for i = 1, 6 do s:emit(i) end
    assert.same({ 3, 7, 11 }, kept)
  end)

  it("makes a partition per key, by function or field", function()
    local inputs = { 1, 2, 3, 4, 5, 6 }
    local odd = function(x) return x % 2 end
    assert.same({ { 1, 3 }, { 2, 4 } }, helper.run(inputs, partition(2, { key = odd })))
    local rows = { { k = "a", v = 1 }, { k = "b", v = 2 }, { k = "a", v = 3 } }
    assert.same({ { rows[1], rows[3] } }, helper.run(rows, partition(2, { key = "k" })))
  end)

  it("takes keys by value", function()
    local keys = { 1, 1LL, "1", "1", true, true }
    local out = helper.run({ 1, 2, 3, 4, 5, 6 }, partition(2, { key = function(i) return keys[i] end }))
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, out)
  end)

  it("drops an incomplete partition at the end", function()
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2, 3 }, partition(2)))
    assert.same({}, helper.run_to_end({}, partition(2)))
  end)

  it("emits an incomplete partition at the end with flush", function()
    assert.same({ { 1, 2 }, { 3 } }, helper.run_to_end({ 1, 2, 3 }, partition(2, { flush = true })))
    assert.same({ { 1, 2 } }, helper.run_to_end({ 1, 2 }, partition(2, { flush = true })))
    assert.same({}, helper.run_to_end({}, partition(2, { flush = true })))
  end)

  it("emits every key's incomplete partition at the end with flush", function()
    local out = helper.run_to_end({ 1, 2, 3, 4, 6 },
                                  partition(3, { flush = true, key = function(x) return x % 2 end }))
    assert.equal(2, #out)
    assert.same({ 2, 4, 6 }, out[1])
    assert.same({ 1, 3 }, out[2])
  end)

  it("raises for a key that is nil or NaN, and takes that element in nowhere", function()
    local rows = { { k = 1 }, {}, { k = 1 }, { k = 0 / 0 } }
    local out = helper.run_failing(rows, partition(2, { key = "k" }))
    assert.equal(3, #out)
    assert.equal("raised", out[1][1])
    assert.equal(2, #out[2])
    assert.equal(rows[3], out[2][2])
    assert.equal("raised", out[3][1])
  end)

  it("holds what it held when key failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5, 6, 7 }, function(s, guard)
      return s:partition(2, { key = function(x)
        guard(x)
        return x % 2
      end })
    end)
  end)

  it("begins afresh when something below it failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5, 6 }, function(s, guard)
      return s:partition(2):map(function(t)
        guard(t[1])
        guard(t[2])
        return t
      end)
    end)
  end)

  it("refuses wrong arguments, at the user's line", function()
    helper.misuse(function() tw.stream():partition() end, "partition", "n")
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():partition(bad) end, "partition", "n")
    end
    helper.misuse(function() tw.stream():partition(2, { kee = 1 }) end, "partition", "kee", "key")
    helper.misuse(function() tw.stream():partition(2, { flush = 1 }) end, "partition", "flush")
    helper.misuse(function() tw.stream():partition(2, 5) end, "partition")
    helper.misuse_on_destroyed("partition", function(s) s:partition(2) end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = { flush = rng:chance(0.5) or nil }
      if rng:chance(0.6) then
        local m = rng:int(1, 6)
        opts.key = function(x) return helper.weight(x) % m end
        opts.flush = nil                               -- the order among keys is not promised
      end
      helper.agrees(helper.elements(rng, rng:int(0, 200)), partition(rng:int(1, 9), opts))
    end, 40)
  end)
end)
