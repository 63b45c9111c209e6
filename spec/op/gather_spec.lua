--- gather: the end of what scatter begins; see spec/op/scatter_spec.lua for both.
local helper = require "helper"
local tw = helper.tw

local function double(x) return 2 * x end

local function list_of(stream)
  local list = stream:sink_to_list()
  tw.run()
  return list
end

describe("gather", function()
  it("does what its example says", function() helper.example("gather", "op") end)

  it("is the stream itself where nothing is scattered", function()
    local s = tw.stream()
    assert.equal(s, s:gather())
    assert.equal(s, s:gather { ordered = false })
  end)

  it("gives results in the order of the elements, or as they come", function()
    local path = os.tmpname()
    local function slow_first(x)
      local own = require "tideway"
      if x ~= 1 then
        io.open(path, "w"):close() -- the other worker has begun
        return x
      end
      while not io.open(path) do own.sleep "1ms" end
      own.sleep "100ms"
      return x
    end
    local want = { 1, 2, 3, 4, 5, 6, 7, 8 }
    os.remove(path)
    assert.same(want, list_of(tw.from_range(1, 8):scatter { workers = 2 }:map(slow_first):gather()))
    os.remove(path)
    local function awaits_another(x)
      while x == 1 and not io.open(path) do require("tideway").sleep "1ms" end
      return x
    end
    local got = list_of(tw.from_range(1, 8):scatter { workers = 2 }:map(awaits_another):gather { ordered = false }
      :tap(function() io.open(path, "w"):close() end))
    os.remove(path)
    assert.is_true(got[1] ~= 1)
    table.sort(got)
    assert.same(want, got)
  end)

  it("takes several streams of one section, and one section can have several", function()
    local s = tw.from_range(1, 6):scatter { workers = 2 }
    local all, even = s:map(double), s:filter(function(x) return x % 2 == 0 end)
    local both, evens = all:union(even):gather():sink_to_list(), even:gather():sink_to_list()
    tw.run()
    assert.same({ 2, 4, 2, 6, 8, 4, 10, 12, 6 }, both)
    assert.same({ 2, 4, 6 }, evens)
  end)

  it("lets rate_limit and delay come behind it, as they are about all", function()
    local s = tw.from_range(1, 4):scatter { workers = 2 }:map(double):rate_limit "10ms":delay "5ms":gather()
    assert.same({ 2, 4, 6, 8 }, list_of(s))
    assert.matches("<gather> +%-> 4 ", s:explain())
    assert.matches("4 +<rate_limit>", s:explain())
  end)

  it("ends when all that was scattered has come", function()
    local ended, seen = false, 0
    local s = tw.from_range(1, 100):scatter { workers = 2 }:map(double):gather()
    s:on_end(function() ended = seen end)
    s:sink(function() seen = seen + 1 end)
    tw.run()
    assert.equal(100, ended)
  end)

  it("refuses streams of two sections, and of one and none", function()
    local a, b = tw.stream():scatter { workers = 1 }, tw.stream():scatter { workers = 1 }
    helper.misuse(function() a:union(b) end,
      "union: one of its streams is between scatter and gather, and another is not")
    helper.misuse(function() a:zip(tw.stream()) end,
      "zip: one of its streams is between scatter and gather, and another is not")
  end)
end)
