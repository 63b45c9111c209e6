local check = require "tideway.check"
local errors = require "tideway.errors"
local graph = require "tideway.graph"

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
  new = function(node) node.state = { latest = {}, emit_on = {}, triggers = {}, missing = 0 } end,
  built = function(node)
    local given = node.opts.emit_on
    if given == nil then return end
    if type(given) ~= "table" or check.is_stream(given) then given = { given } end
    for _, x in ipairs(given) do
      local up = check.is_stream(x) and x._node or node.ups[x]
      if not up or not graph.index_of(node.ups, up) then
        errors.misuse("combine_latest: emit_on names %s, which is no upstream", check.show(x))
      end
      table.insert(node.state.emit_on, up)
    end
    arrange(node)
  end,
  connected = function(node) arrange(node) end,
  disconnected = function(node, _, position)
    local latest = {}
    for i = 1, #node.ups + 1 do
      if i ~= position then latest[i < position and i or i - 1] = node.state.latest[i] end
    end
    node.state.latest = latest
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
    b:downstream(node, b:tuple(b:let(node, "{ %s }", table.concat(values, ", ")), #values))
    b:close()
  end,
}
