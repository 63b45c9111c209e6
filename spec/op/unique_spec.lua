local helper = require "helper"
local tw = helper.tw

local function unique(opts)
  return function(s) return s:unique(opts) end
end

describe("unique", function()
  it("does what its example says", function()
    helper.example "unique"
  end)

  it("passes an element on when it is not among those remembered", function()
    assert.same({ 1, 2, 3 }, helper.run({ 1, 2, 1, 2, 3, 1 }, unique()))
  end)

  it("compares numbers by value, strings by bytes, tables by identity", function()
    local t = {}
    local inputs = { 1, "1", 1LL, 1ULL, true, t, {}, t, tw.null, tw.null, false, false, -0, 0, "1" }
    helper.expect({ 1, "1", true, t, inputs[7], tw.null, false, 0 }, helper.run(inputs, unique()))
  end)

  it("tells 64-bit integers apart that are the same double", function()
    local inputs = { 9007199254740993LL, 9007199254740992LL, 9007199254740992, 9007199254740993LL }
    helper.expect({ inputs[1], inputs[2] }, helper.run(inputs, unique()))
  end)

  it("remembers only maxsize keys; the least recently seen leaves first", function()
    assert.same({ 1, 2, 3, 1 }, helper.run({ 1, 2, 3, 1, 3 }, unique { maxsize = 2 }))
  end)

  it("refreshes a key that comes again", function()
    assert.same({ 1, 2, 3, 2 }, helper.run({ 1, 2, 1, 3, 1, 2 }, unique { maxsize = 2 }))
  end)

  it("drops immediate repeats only with maxsize = 1", function()
    assert.same({ 1, 2, 1 }, helper.run({ 1, 1, 2, 2, 1 }, unique { maxsize = 1 }))
  end)

  it("takes history for maxsize", function()
    assert.same({ 1, 2, 1 }, helper.run({ 1, 1, 2, 2, 1 }, unique { history = 1 }))
  end)

  it("compares by key, a function or a field", function()
    local inputs = { { id = 1, v = "a" }, { id = 2, v = "b" }, { id = 1, v = "c" } }
    local by_field = helper.run(inputs, unique { key = "id" })
    local by_fn = helper.run(inputs, unique { key = function(x) return x.id end })
    assert.equal(2, #by_field)
    assert.equal(inputs[1], by_field[1])
    assert.equal(inputs[2], by_field[2])
    assert.same(by_field, by_fn)
  end)

  it("compares tables by content with hashable = false", function()
    local inputs = { { 1, { "a" } }, { 1, { "a" } }, { 1, { "b" } }, 5, 5, { 1 }, {}, {} }
    local out = helper.run(inputs, unique { hashable = false })
    assert.same({ { 1, { "a" } }, { 1, { "b" } }, 5, { 1 }, {} }, out)
  end)

  it("keeps maxsize with hashable = false, too", function()
    local out = helper.run({ { 1 }, { 2 }, { 1 }, { 3 }, { 1 }, { 2 } },
                           unique { hashable = false, maxsize = 2 })
    assert.same({ { 1 }, { 2 }, { 3 }, { 2 } }, out)
  end)

  it("raises for a key that is nil or NaN, and remembers what it did", function()
    local out = helper.run_failing({ 1, 0 / 0, 1, 2 }, unique())
    assert.equal(3, #out)
    assert.equal("raised", out[2][1])
    assert.equal(2, out[3])
    out = helper.run_failing({ { id = 1 }, {}, { id = 1 }, { id = 0 / 0 } }, unique { key = "id" })
    assert.equal(3, #out)
    assert.equal("raised", out[2][1])
    assert.equal("raised", out[3][1])
  end)

  it("gives nothing for nothing", function()
    assert.same({}, helper.run_to_end({}, unique()))
  end)

  it("remembers the same keys when key failed, under every error policy", function()
    helper.fails_alike({ 1, 2, 3, 4, 5 }, function(s, guard)
      local doubled = s:union(s:map(function(x) return x - 1 end))
      return doubled:unique { maxsize = 2, key = function(x)
        guard(x)
        return x % 3
      end }
    end)
  end)

  it("refuses wrong settings, at the user's line", function()
    for _, bad in ipairs(helper.bad_counts) do
      helper.misuse(function() tw.stream():unique { maxsize = bad } end, "unique", "maxsize")
    end
    helper.misuse(function() tw.stream():unique { maxsise = 1 } end, "unique", "maxsise", "maxsize")
    helper.misuse(function() tw.stream():unique { hashable = "no" } end, "unique", "hashable")
    helper.misuse(function() tw.stream():unique(5) end, "unique")
    helper.misuse_on_destroyed("unique", function(s) s:unique() end)
  end)

  it("agrees with the reference on random input", function()
    helper.seeded(function(rng)
      local opts = {}
      if rng:chance(0.7) then opts.maxsize = rng:int(1, 12) end
      if rng:chance(0.3) then
        local m = rng:int(2, 9)
        opts.key = function(x) return helper.weight(x) % m end
      end
      if rng:chance(0.2) then opts.hashable = false end
      helper.agrees(helper.elements(rng, 300), unique(opts))
    end, 30)
  end)

  it("compares contents as == compares the members, whatever the metatable", function()
    local mt = {}
    local a, b = setmetatable({ 1 }, mt), setmetatable({ 1 }, mt)
    local out = helper.run({ { 0 }, { -0 }, { 0LL }, { tw.null }, { {} }, a, b }, function(s)
      return s:unique { hashable = false }
    end)
    assert.same({ { 0 }, { tw.null }, { {} }, { 1 } }, out)
    assert.equal(a, out[4])
  end)
end)
