--- tideway.dump -- everything that can be looked at, as text: the graph, the fused text of a
-- stream, the traces LuaJIT made of it, the native state of an operator.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local ffi = require "ffi"
local graph = require "tideway.graph"

local dump = {}

local function policy_text(rule)
  if type(rule) ~= "table" then return rule end
  if rule._node then return tostring(rule) end
  return ("retry %d, then %s"):format(rule.retry, policy_text(rule.next))
end

--- The graph that a node is part of: a line per stream, in order of creation, with the
-- streams below it in the order in which they are served (and, at a join, as which upstream).
function dump.graph(node)
  local nodes, number = graph.component(node), {}
  for i, one in ipairs(nodes) do number[one] = i end
  local lines = {}
  for i, one in ipairs(nodes) do
    local downs = {}
    for k, down in ipairs(one.downs) do
      local port = #down.ups > 1 and (" as upstream %d"):format(graph.index_of(down.ups, one)) or ""
      downs[k] = number[down] .. port
    end
    local notes = {}
    if one.policy then notes[#notes + 1] = "below it errors: " .. policy_text(one.policy) end
    if one.errors > 0 then notes[#notes + 1] = one.errors .. " failed" end
    if one.ended then notes[#notes + 1] = "ended" end
    lines[i] = ("%3d  %-28s %s%s"):format(i, tostring(one),
      #downs > 0 and "-> " .. table.concat(downs, ", ") or "",
      #notes > 0 and "  [" .. table.concat(notes, "; ") .. "]" or ""):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

--- The fused text of what is below a stream (compiled now if it is not yet), and of each join
-- that it leads to.
function dump.fused(stream)
  local region = require "tideway.region"
  local texts, seen = {}, {}
  local function add(one)
    if seen[one] then return end
    seen[one] = true
    one:prepare()
    texts[#texts + 1] = ("-- %s\n%s"):format(tostring(one), one.text)
    for _, constant in ipairs(one.K) do
      if type(constant) == "table" and constant.prepare and constant.kind then add(constant) end
    end
  end
  add(region.below(stream._node))
  return table.concat(texts, "\n\n")
end

--- Run fn and tell which traces LuaJIT made or gave up on meanwhile: an array of tables
-- { event = "stop" or "abort", func =, line =, link = "loop", "root", ..., reason = text }.
function dump.traces(fn)
  local util, vmdef = require "jit.util", require "jit.vmdef"
  local list = {}
  local function callback(what, trace, func, pc, code, reason)
    if what ~= "stop" and what ~= "abort" then return end
    local row = { event = what, trace = trace }
    local info = util.funcinfo(func, pc)
    row.where = info.loc or info.source or "?"
    row.source = info.source
    if what == "stop" then
      local of = util.traceinfo(trace)
      row.link, row.to = of.linktype, of.link
    else
      local text = vmdef.traceerr[code] or "?"
      row.reason = text:find("%", 1, true) and text:format(type(reason) == "function"
        and util.funcinfo(reason).loc or tostring(reason)) or text
    end
    list[#list + 1] = row
  end
  jit.attach(callback, "trace")
  local ok, err = pcall(fn)
  jit.attach(callback)
  if not ok then error(err, 0) end
  return list
end

local buffer = ffi.new("char[?]", 4096)

--- What an operator holds natively, as text; "" when nothing.
function dump.state(stream)
  local state = stream._node.state
  if type(state) ~= "table" then return "" end
  local parts = {}
  local function add(name, kind, object)
    C["tw_" .. kind .. "_dump"](object, buffer, 4096)
    parts[#parts + 1] = name .. ": " .. ffi.string(buffer)
  end
  if state.hold then add("holds", "queue", state.hold.queue) end
  for i, h in ipairs(state.holds or {}) do add("upstream " .. i, "queue", h.queue) end
  if state.set then add("keys", "keyset", state.set) end
  if state.roll then add("window", "roll", state.roll) end
  return table.concat(parts, "\n")
end

return dump
