local errors = require "tideway.errors"
local finish = require "tideway.finish"
local graph = require "tideway.graph"

local function count(state)
  local n = state.n + 1
  state.n = n
  return n
end

--- The last element has passed: leave the upstreams, and end what is below.
local function leave(node)
  for i = #node.ups, 1, -1 do graph.disconnect(node.ups[i], node) end
  finish.node(node)
end

return {
  name = "slice",
  doc = [[The elements number first, first + step, ... up to last (from 1, inclusive; each may
be nil). Detaches itself after `last`, and ends the streams below.]],
  args = {
    { "first", "number?", "default 1" }, { "last", "number?", "default: no end" },
    { "step", "number?", "default 1" },
  },
  outputs = "0..1",
  state = "a counter",
  example = [[ tw.from_range(1, 10):slice(2, 8, 3) ]],
  gives = { 2, 5, 8 },
  new = function(node)
    for _, name in ipairs { "first", "last", "step" } do
      local value = node.args[name]
      if value and (value < 1 or value % 1 ~= 0) then
        errors.misuse("%s: %s must be a whole number from 1, got %s", node.kind, name, tostring(value))
      end
    end
    node.state = { n = 0 }
  end,
  emit = function(b, node, x)
    local first, last, step = node.args.first or 1, node.args.last, node.args.step or 1
    local n = b:call(node, count, b:constant(node.state))
    local tests = {}
    if first > 1 then tests[#tests + 1] = ("%s >= %d"):format(n, first) end
    if step > 1 then tests[#tests + 1] = ("(%s - %d) %% %d == 0"):format(n, first, step) end
    if last then tests[#tests + 1] = ("%s <= %d"):format(n, last) end
    b:branch("if %s then", #tests > 0 and table.concat(tests, " and ") or "true")
    b:downstream(node, x)
    b:close()
    if last then b:line("if %s >= %d then %s(%s) end", n, last, b:constant(leave), b:constant(node)) end
  end,
  revive = function(node) node.state.n = 0 end,
}
