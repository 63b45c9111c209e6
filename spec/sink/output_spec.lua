--- output: what the host takes. Hosts are in spec/c/engine/runtime.c; here one is made up.
local helper = require "helper"
local tw = helper.tw
local C = require "tideway.ffi"
local ffi = require "ffi"
local outlet = require "tideway.outlet"

local names = 0

--- An output that nobody else has: its name, and a function that takes what is in it.
local function fresh()
  names = names + 1
  local name = "output_spec " .. names
  local records = ffi.new "const tw_view *[1]"
  return name, function()
    local list = {}
    local n = tonumber(C.tw_mailbox_take(outlet.open(outlet.named(name)), records))
    for i = 0, n - 1 do list[i + 1] = ffi.string(records[0][i].ptr, records[0][i].len) end
    return list
  end
end

--- What fn fails with.
local function failure(fn) return tostring(select(2, pcall(fn))) end

describe("output", function()
  local clock
  before_each(function() clock = tw.testing.clock() end)
  after_each(function() clock:restore() end)

  it("gives the host what views show, also when it had to wait", function()
    local name, take = fresh()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    local total = outlet.MAX_RECORDS + 100
    for i = 1, total do file:write("line ", i, "\n") end
    file:close()
    local sink = tw.from_textfile(path, { view = true }):output(name)
    sink:start()
    local box = outlet.open(outlet.named(name))
    local function step_until(count)
      for _ = 1, 10000 do
        if C.tw_mailbox_count(box) == count then return end
        tw.step "10ms"
      end
      error(("%d are there, not %d"):format(tonumber(C.tw_mailbox_count(box)), count))
    end
    step_until(outlet.MAX_RECORDS)
    clock:advance(0)
    local taken = take()
    step_until(100)
    for _, text in ipairs(take()) do taken[#taken + 1] = text end
    assert.equal(total, #taken)
    for i = 1, total do assert(taken[i] == "line " .. i) end
    sink:destroy()
    os.remove(path)
  end)

  it("gives the host strings and numbers, in order", function()
    local name, take = fresh()
    local source = tw.stream()
    local sink = source:output(name)
    for _, x in ipairs { "a", 1.5, "", "b\0c", -3 } do source:emit(x) end
    assert.same({ "a", "1.5", "", "b\0c", "-3" }, take())
    assert.same({}, take())
    sink:destroy()
  end)

  it("refuses other elements", function()
    local name, take = fresh()
    local source = tw.stream()
    local sink = source:output(name)
    for _, x in ipairs { {}, true, tw.null, 5LL } do
      assert.matches("output: takes strings and numbers, got a ", failure(function() source:emit(x) end))
    end
    assert.same({}, take())
    sink:destroy()
  end)

  it("is one for all streams that name it", function()
    local name, take = fresh()
    local a, b = tw.stream(), tw.stream()
    local one, two = a:output(name), b:map(string.upper):output(name)
    a:emit "x"
    b:emit "y"
    a:emit "z"
    assert.same({ "x", "Y", "z" }, take())
    one:destroy()
    two:destroy()
  end)

  it("holds the pipeline back while the host takes nothing", function()
    local name, take = fresh()
    local source = tw.stream()
    local sink, given = source:output(name), 0
    local tasks = {}
    for t = 1, 3 do
      tasks[t] = tw.spawn(function()
        for _ = 1, outlet.MAX_RECORDS do
          source:emit "x"
          given = given + 1
        end
      end)
    end
    clock:advance(0)
    assert.equal(outlet.MAX_RECORDS, given)
    local taken = 0
    for _ = 1, 10 do
      taken = taken + #take()
      clock:advance(0)
    end
    assert.equal(3 * outlet.MAX_RECORDS, given)
    assert.equal(given, taken)
    for t = 1, 3 do assert.equal("done", tasks[t]:status()) end
    sink:destroy()
  end)

  it("refuses an element that never fits", function()
    local name, take = fresh()
    local source = tw.stream()
    local sink = source:output(name)
    assert.matches("an element of 16777217 bytes, at most 16777216 fit",
      failure(function() source:emit(("x"):rep(outlet.MAX_BYTES + 1)) end))
    assert.same({}, take())
    sink:destroy()
  end)

  it("can be stopped while it waits", function()
    local name, take = fresh()
    local source = tw.stream()
    local sink = source:output(name)
    for _ = 1, outlet.MAX_RECORDS do source:emit "x" end
    local task = tw.spawn(function() source:emit "late" end)
    clock:advance(0)
    assert.equal("waiting", task:status())
    task:cancel()
    clock:advance(0)
    assert.equal("cancelled", task:status())
    assert.equal(outlet.MAX_RECORDS, #take())
    source:emit "next"
    assert.same({ "next" }, take())
    sink:destroy()
  end)
end)
