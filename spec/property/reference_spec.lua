--- The reference interpreter against what its operators must give, worked out by hand: a mistake
-- in it would otherwise look like one of tideway's.
local helper = require "helper"
local reference = helper.reference

local function run(inputs, build) return helper.run_reference(inputs, build, true) end
local function same(x) return x end
local function double(x) return x * 2 end

describe("the reference interpreter", function()
  it("serves downstreams depth first, in the order of attachment", function()
    local s, log = reference.stream(), {}
    local function note(name) return function(x) log[#log + 1] = name .. x end end
    local a = s:map(same)
    a:sink(note "a1 ")
    s:sink(note "b ")
    a:sink(note "a2 ")
    s:emit(1)
    assert.same({ "a1 1", "a2 1", "b 1" }, log)
  end)

  it("delivers what a loop brings right after the current element, in order", function()
    local s, log = reference.stream(), {}
    s:map(function(x) if x < 3 then return x + 1 end end):connect(s)
    s:sink(function(x) log[#log + 1] = x end)
    s:sink(function(x)
      log[#log + 1] = -x
      if x == 1 then s:emit(9) end
    end)
    s:emit(1)
    assert.same({ 1, -1, 2, -2, 9, -9, 3, -3 }, log)
  end)

  it("raises to the emitter, without the later siblings", function()
    local s, log = reference.stream(), {}
    s:map(function() error("boom", 0) end):sink(same)
    s:sink(function(x) log[#log + 1] = x end)
    local ok, err = pcall(s.emit, s, 1)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.same({}, log)
  end)

  it("drops under skip below the stream, not beside it", function()
    local s, below, beside = reference.stream(), {}, {}
    local governed = s:map(same):on_error "skip"
    governed:map(function(x) if x == 2 then error("boom") end end)
    governed:sink(function(x) below[#below + 1] = x end)
    s:sink(function(x) beside[#beside + 1] = x end)
    for i = 1, 3 do s:emit(i) end
    assert.same({ 1, 3 }, below)
    assert.same({ 1, 2, 3 }, beside)
  end)

  it("counts the nearest policy above", function()
    local s = reference.stream():on_error "skip"
    local inner = s:map(same):on_error "raise"
    inner:map(function() error("boom", 0) end)
    assert.is_false(pcall(s.emit, s, 1))
  end)

  it("drops one piece of several", function()
    local out = run({ { 1, 2, 3 } }, function(s)
      return s:on_error("skip"):flatten():map(helper.fails_on(2, same))
    end)
    assert.same({ 1, 3 }, out)
  end)

  it("retries with the same arguments, then does what follows", function()
    local s, dead, seen = reference.stream(), reference.stream(), {}
    local letters = dead:sink_to_list()
    s:on_error { retry = 2, ["then"] = dead }:map(function(x, y)
      seen[#seen + 1] = { x, y }
      error("boom", 0)
    end, "extra"):named "parse"
    s:emit(1)
    assert.same({ { 1, "extra" }, { 1, "extra" }, { 1, "extra" } }, seen)
    assert.same({ { element = 1, error = "boom", operator = "<map: parse>" } }, letters)
  end)

  it("flushes at the end, once every upstream has ended", function()
    local s = reference.stream()
    local both = s:partition(2, { flush = true }):union(s:map(double))
    local out = both:reduce(function(n) return n + 1 end, 0):sink_to_list()
    for i = 1, 3 do s:emit(i) end
    s:finish()
    assert.same({ 5 }, out)
  end)

  it("gives each operator's result by hand", function()
    local function gives(want, inputs, build) helper.expect(want, run(inputs, build), 1e-12) end
    gives({ 1, 3 }, { { 1 }, { 3 } }, function(s) return s:starmap(same) end)
    gives({ 1, 3, 6 }, { 1, 2, 3 }, function(s)
      return s:accumulate(function(a, b) return a + b end)
    end)
    gives({ { a = 1 }, { a = 2 } }, { "a", "a" }, function(s) return s:frequencies() end)
    gives({ 1, 2, 1 }, { 1, 2, 2, 1 }, function(s) return s:unique { maxsize = 1 } end)
    gives({ 2, 4 }, { 1, 2, 3, 4, 5 }, function(s) return s:slice(2, 4, 2) end)
    gives({ { 1, 3 }, { 2 } }, { 1, 2, 3 }, function(s)
      return s:partition(2, { flush = true, key = function(x) return x % 2 end })
    end)
    gives({ { 2, 1, 3 } }, { 1, 2, 1, 3 }, function(s)
      return s:partition_unique(3, { keep = "last" })
    end)
    gives({ { 1, 2 }, { 2, 3 } }, { 1, 2, 3 }, function(s)
      return s:sliding_window(2, { return_partial = false })
    end)
    gives({ { 1, "x", 2 } }, { 1 }, function(s) return s:zip("x", s:map(double)) end)
    gives({ { 1, 2 }, { 3, 2 }, { 3, 6 } }, { 1, 3 }, function(s)
      return s:map(same):combine_latest(s:map(double))
    end)
    gives({ { 1, 2 }, { 3, 2 } }, { 1, 3 }, function(s)
      return s:map(same):zip_latest(s:map(double))
    end)
    gives({ { 1, "a" } }, { "a" }, function(s) return s:enumerate() end)
    gives({ 5 }, { 4, 5 }, function(s) return s:take_last() end)
    gives({ 1, 1.5, 2.5 }, { 1, 2, 3 }, function(s) return s:sliding_window(2):mean() end)
    gives({ 0 / 0, 0.5, 0.5 }, { 1, 2, 3 }, function(s) return s:sliding_window(2):var() end)
    gives({ 4, 2.5, 4 }, { 4, 1, 7 }, function(s) return s:sliding_window(3):median() end)
  end)
end)
