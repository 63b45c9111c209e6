--- What LuaJIT makes of fused text: a loop trace linked to itself, and nothing of it blacklisted.
-- ("No trace aborts" would be a flaky thing to ask: some aborts are part of finding the loop.)
local tw = require "tideway"
local dump = require "tideway.dump"

-- busted gives specs an environment whose globals are found by a function: not for hot code
local bit, tostring, type = require "bit", tostring, type

local last
local function keep(x) last = x end
local function inc(x) return x + 1 end

--- Run a pipeline over n numbers; the traces in generated text.
local function traces(build, n)
  jit.flush()
  local source = tw.from_range(1, n or 100000)
  build(source)
  local all = dump.traces(tw.run)
  local ours = {}
  for _, row in ipairs(all) do
    if row.source and row.source:find("^=tideway:") then ours[#ours + 1] = row end
  end
  return ours
end

local function count(rows, test)
  local n = 0
  for _, row in ipairs(rows) do
    if test(row) then n = n + 1 end
  end
  return n
end

local function listed(rows)
  local lines = {}
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("%s %d %s %s"):format(row.event, row.trace, row.where,
      row.reason or row.link .. " " .. row.to)
  end
  return table.concat(lines, "\n")
end

local function loops(row) return row.event == "stop" and row.link == "loop" and row.to == row.trace end
local function blacklisted(row) return row.event == "abort" and row.reason:find "blacklisted" ~= nil end

local graphs = {
  ["map, filter, map, accumulate, sink"] = function(s)
    s:map(inc):filter(function(x) return x % 2 == 0 end):map(inc)
      :accumulate(function(a, x) return a + x end):sink(keep)
  end,
  ["ten maps"] = function(s)
    for _ = 1, 10 do s = s:map(inc) end
    s:sink(keep)
  end,
  ["a hundred maps"] = function(s)
    for _ = 1, 100 do s = s:map(inc) end
    s:sink(keep)
  end,
  ["a native window"] = function(s) s:sliding_window(1000):sum():sink(keep) end,
  ["a native window that fills late"] = function(s)
    s:sliding_window(5000, { return_partial = false }):max():sink(keep)
  end,
  ["unique"] = function(s) s:map(function(x) return x % 500 end):unique { maxsize = 100 }:sink(keep) end,
  ["partition"] = function(s) s:partition(10):map(function(t) return t[1] + t[10] end):sink(keep) end,
  ["branches and a join"] = function(s)
    local a, b = s:map(inc), s:map(function(x) return -x end)
    a:zip(b):starmap(function(x, y) return x + y end):sink(keep)
  end,
  ["an error policy"] = function(s) s:on_error "skip":map(inc):sink(keep) end,
  ["a filter that rejects at first"] = function(s)
    s:filter(function(x) return x > 50000 end):map(inc):sink(keep)
  end,
  ["element types that change"] = function(s)
    s:map(function(x) return x % 1000 < 500 and x or tostring(x % 7) end)
      :filter(function(x) return type(x) == "number" end):sink(keep)
  end,
}

describe("fused text", function()
  for name, build in pairs(graphs) do
    it("becomes a loop trace that nothing blacklists: " .. name, function()
      local rows = traces(build)
      assert.is_true(count(rows, loops) >= 1, listed(rows))
      assert.equal(0, count(rows, blacklisted), listed(rows))
      assert.is_not_nil(last)
    end)
  end

  it("keeps its loop when a function makes closures", function()
    local rows = traces(function(s)
      for _ = 1, 5 do s = s:map(inc) end
      s = s:map(function(x)
        local f = function() return x end
        return f()
      end)
      for _ = 1, 5 do s = s:map(inc) end
      s:sink(keep)
    end)
    assert.is_true(count(rows, loops) >= 1, listed(rows))
  end)

  it("does not multiply traces with every unpredictable filter", function()
    local function branches(n)
      return #traces(function(s)
        for i = 1, n do
          local salt = i * 40503
          s:filter(function(x)
            return bit.band(bit.bxor(x * 0x9E3779B1 % 0x100000000, salt), bit.lshift(1, i % 13 + 3)) == 0
          end):sink(keep)
        end
      end, 30000)
    end
    local ten, twenty = branches(10), branches(20)
    assert.is_true(twenty < 4 * ten, ("10 branches %d traces, 20 branches %d"):format(ten, twenty))
    assert.is_true(twenty < 600, twenty .. " traces")
  end)
end)
