local check = require "tideway.check"
local errors = require "tideway.errors"
local graph = require "tideway.graph"
local metadata = require "tideway.metadata"
local ports = require "tideway.ports"

--- Which upstreams trigger, by position: all of them when none is named (any more).
local function arrange(node)
  local state = node.state
  state.triggers = {}
  local any = false
  for _, up in ipairs(state.emit_on) do
    local at = graph.index_of(node.ups, up)
    if at then state.triggers[at], any = true, true end
  end
  for i = 1, #node.ups do state.triggers[i] = state.triggers[i] or not any end
  state.missing = 0
  for i = 1, #node.ups do
    if state.latest[i] == nil then state.missing = state.missing + 1 end
  end
end

--- The element of an upstream replaces that before it, which is done with.
local function mark(state, i)
  local before = state.lists[i]
  state.lists[i] = metadata.hold()
  metadata.release(before)
end

--- The metadata of a tuple.
local function marked(state, n)
  local list
  for i = 1, n do list = metadata.append(list, state.lists[i]) end
  return list
end

return {
  name = "combine_latest",
  doc = "A tuple of the latest of each upstream, once all have given one, whenever one does.",
  args = { { "...", "stream" } },
  opts = { { "emit_on", "stream|count|table?", "only these trigger: a stream, its position, an array" } },
  join = true,
  outputs = "0..1",
  state = "one element per upstream",
  example = [[ tw.combine_latest(tw.from_iterable{1, 2}, tw.from_iterable{"a", "b"}) ]],
  gives = { { 2, "a" }, { 2, "b" } },
  new = function(node) node.state = { latest = {}, lists = {}, emit_on = {}, triggers = {}, missing = 0 } end,
  built = function(node)
    local given = node.opts.emit_on
    if given == nil then return end
    if type(given) ~= "table" or check.is_stream(given) then given = { given } end
    for _, x in ipairs(given) do
      local up = check.is_stream(x) and x._node or (node.args.ports[x] or {}).up
      if not up or not graph.index_of(node.ups, up) then
        errors.misuse("combine_latest: emit_on names %s, which is no upstream", check.show(x))
      end
      table.insert(node.state.emit_on, up)
    end
    arrange(node)
  end,
  connected = function(node, up)
    ports.connected(node, up)
    arrange(node)
  end,
  disconnected = function(node, up, position)
    ports.disconnected(node, up)
    local state, latest, lists = node.state, {}, {}
    for i = 1, #node.ups + 1 do
      local at = i < position and i or i - 1
      if i ~= position then latest[at], lists[at] = state.latest[i], state.lists[i] end
    end
    metadata.release(state.lists[position])
    state.latest, state.lists = latest, lists
    arrange(node)
  end,
  emit = function(b, node, x)
    local S = b:constant(node.state)
    local latest = b:let(node, "%s.latest", S)
    local values = {}
    local single = #node.ups == 1
    for i = 1, #node.ups do
      values[i] = ("%s[%d]"):format(latest, i)
      b:open(single and "do" or "if port == %d then", i)
      b:open("if %s == nil then", values[i])
      b:line("%s.missing = %s.missing - 1", S, S)
      b:close()
      if node.carries then b:line("%s(%s, %d)", b:constant(mark), S, i) end
      b:line("%s = %s", values[i], b:kept(x))
      b:close()
    end
    local test = { ("%s.missing == 0"):format(S) }
    local quiet = {}
    for i = 1, #node.ups do
      if not node.state.triggers[i] then quiet[#quiet + 1] = ("port ~= %d"):format(i) end
    end
    if not single then
      for _, text in ipairs(quiet) do test[#test + 1] = text end
    end
    b:branch("if %s then", table.concat(test, " and "))
    local members = {}
    for k, at in ipairs(ports.positions(node)) do members[k] = values[at] end
    local t = b:tuple(b:let(node, "{ %s }", table.concat(members, ", ")), #members)
    if node.carries then
      b:deliver(node, t, ("%s(%s, %d)"):format(b:constant(marked), S, #values), "nil")
    else
      b:downstream(node, t)
    end
    b:close()
  end,
  -- all tuples of what is held are out
  finish = function(node)
    local state = node.state
    for i = 1, #node.ups do metadata.release(state.lists[i]) end
    state.lists = {}
  end,
}
