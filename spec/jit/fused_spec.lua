--- What LuaJIT makes of fused text: a loop trace linked to itself, and nothing of it blacklisted.
-- ("No trace aborts" would be a flaky thing to ask: some aborts are part of finding the loop.)
-- Each graph has a process of its own: what other specs made LuaJIT give up stays given up.
local graphs = require "jit.graphs"

--- The rows of traces.lua for one graph: { event, trace, what } and the whole text.
local function traces(name, elements)
  local pipe = io.popen(("luajit spec/jit/traces.lua '%s' %d 2>&1"):format(name, elements or 100000))
  local text = pipe:read "*a"
  pipe:close()
  local rows = {}
  for event, trace, what in text:gmatch "(%a+)\t(%d+)\t([^\n]*)\n" do
    rows[#rows + 1] = { event = event, trace = trace, what = what }
  end
  return rows, text
end

local function loops(rows)
  local n = 0
  for _, row in ipairs(rows) do
    if row.event == "stop" and row.what == "loop " .. row.trace then n = n + 1 end
  end
  return n
end

describe("fused text", function()
  for name in pairs(graphs) do
    if not name:find "filters" then
      it("becomes a loop trace: " .. name, function()
        local rows, text = traces(name)
        assert.is_true(loops(rows) >= 1, text)
        if not name:find "closures" then assert.is_nil(text:find("blacklisted", 1, true), text) end
      end)
    end
  end

  it("does not multiply traces with every unpredictable filter", function()
    local ten, twenty = #traces("10 unpredictable filters", 30000), #traces("20 unpredictable filters", 30000)
    assert.is_true(ten > 0)
    assert.is_true(twenty < 4 * ten, ("10 branches %d traces, 20 branches %d"):format(ten, twenty))
    assert.is_true(twenty < 600, twenty .. " traces")
  end)
end)
