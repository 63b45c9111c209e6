local clone = require "tideway.clone"
local key = require "tideway.key"

local key_of = key.of

local function step(state, x)
  local k = key_of("frequencies", x)
  local counts = state.counts
  counts[k] = (counts[k] or 0) + 1
  return counts
end

--- Is the table that comes out seen by nobody but a take_last?
local function unseen(node)
  for _, down in ipairs(node.downs) do
    if down.kind ~= "take_last" or down.args.n ~= nil or #down.ups > 1 then return false end
  end
  return not node.out_region
end

return {
  name = "frequencies",
  doc = [[A fresh table element -> count for every element. Costs the copy of the table, unless
only take_last() is below it: then only the last one is copied.]],
  args = {},
  outputs = "1",
  state = "one count per distinct element",
  example = [[ tw.from_iterable{"a", "b", "a"}:frequencies():take_last() ]],
  gives = { { a = 2, b = 1 } },
  new = function(node) node.state = { counts = {} } end,
  copy = clone,
  emit = function(b, node, x)
    local counts = b:call(node, step, b:constant(node.state), x)
    if unseen(node) then
      b:downstream(node, counts)
    else
      b:downstream(node, b:call(node, clone, counts))
    end
  end,
}
