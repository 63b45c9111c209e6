--- Operators that hold elements copy views and pass on strings: with view = true a pipeline gives
-- what it gives with plain strings, also for what comes out after the view has gone.
local helper = require "helper"
local tw = helper.tw

local path

local function write_lines(lines)
  path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
end

local function run(build, view)
  local out = build(tw.from_textfile(path, { view = view })):sink_to_list()
  tw.run()
  return out
end

local function len(x) return #x end
local function same(x) return x end

local holding = {
  sink_to_list = function(s) return s end,
  map = function(s) return s:map(same) end,
  filter = function(s) return s:filter(function(x) return #x > 1 end) end,
  tap = function(s) return s:tap(len) end,
  enumerate = function(s) return s:enumerate() end,
  accumulate = function(s) return s:accumulate(function(state, x) return #x > #state and x or state end) end,
  with_state = function(s)
    return s:accumulate(function(_, x) return x, #x end, { returns_state = true, with_state = true })
  end,
  frequencies = function(s) return s:frequencies() end,
  unique = function(s) return s:unique() end,
  unique_by_key = function(s) return s:unique { maxsize = 3, key = function(x) return x:sub(1, 1) end } end,
  slice = function(s) return s:slice(2, 5) end,
  partition = function(s) return s:partition(3, { flush = true }) end,
  partition_by_key = function(s) return s:partition(2, { key = len }) end,
  partition_unique = function(s) return s:partition_unique(3, { keep = "last", flush = true }) end,
  sliding_window = function(s) return s:sliding_window(3) end,
  zip = function(s) return s:zip(s:skip(2), { maxsize = 1000 }) end,
  zip_with_itself = function(s) return s:zip(s) end,
  combine_latest = function(s) return s:combine_latest(s:filter(function(x) return #x > 1 end)) end,
  zip_latest = function(s) return s:zip_latest(s:skip(3)) end,
  union = function(s) return s:union(s:filter(function(x) return #x > 1 end)) end,
  reduce = function(s) return s:reduce(function(state, x) return #x > #state and x or state end) end,
  take_last = function(s) return s:take_last(3) end,
  flat_map = function(s) return s:flat_map(function(x) return { #x, tostring(x) } end) end,
  json = function(s) return s:encode "json" end,
}

describe("a view that is held comes out as a string", function()
  setup(function()
    helper.seeded(function(rng)
      local lines = {}
      for i = 1, 300 do lines[i] = ("abcdef"):sub(1, rng:int(0, 3)) .. rng:int(1, 5) end
      write_lines(lines)
    end)
  end)

  teardown(function() os.remove(path) end)

  for name, build in pairs(holding) do
    it("by " .. name, function()
      local want = run(build, false)
      assert(#want > 0)
      helper.expect(want, run(build, true))
    end)
  end

  it("by collect", function()
    local c = tw.from_textfile(path, { view = true }):collect { maxsize = 5 }
    local out = c:sink_to_list()
    tw.run()
    c:flush()
    assert.equal(5, #out[1])
    for _, x in ipairs(out[1]) do assert.equal("string", type(x)) end
  end)

  it("by a dead letter", function()
    local dead = tw.stream()
    local letters = dead:sink_to_list()
    tw.from_textfile(path, { view = true }):on_error(dead)
      :sink(function(x) if #x == 1 then error("boom") end end)
    tw.run()
    assert(#letters > 0)
    for _, letter in ipairs(letters) do assert.truthy(tostring(letter.element):find "^%d$") end
    assert.equal("string", type(letters[1].element))
  end)
end)
