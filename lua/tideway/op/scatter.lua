local C = require "tideway.ffi"
local hold = require "tideway.hold"
local lanes = require "tideway.lanes"
local section = require "tideway.section"

--- The policy above disposes of what fails in here; what has failed elsewhere is for who emits.
local function step(b, node, x)
  local err = b:call(node, lanes.step, b:constant(node), x)
  b:line("if %s ~= nil then %s(%s) end", err, b:constant(lanes.raise), err)
end

--- What a dead letter says of an element. No frame has been lent as long as nobody has loaded their module.
local function outward(x)
  local frame = package.loaded["tideway.frame"]
  if frame then return frame.outward(x) end
  return hold.keep(x)
end

return {
  name = "scatter",
  doc = [[What stands between scatter and gather runs on `workers` threads, each with a Lua state of its own;
results come back in the order of the elements, or as they come with gather{ordered = false}. Functions are
copied over with their upvalues when the first element comes; state that they change stays in the worker. Elements are
copied, too: numbers, text, booleans, null, and tables of these, without their metatables; frames share their columns.
With `key`, a function or the name of a field, equal keys come to the same worker, in order. Operators with a state
need a key or one worker.
emit returns when what was made of its element is through; buffer(n) between the two lets it take n at once. A
source keeps a few parcels of elements under way for each worker.]],
  args = {},
  opts = {
    { "workers", "count?", "how many threads; default: one for each processor" },
    { "key", "function|string?", "of the element: equal keys come to the same worker" },
  },
  outputs = "0..n, later",
  state = "elements on their way, native",
  example = [[ tw.from_range(1, 4):scatter{workers = 2}:map(function(x) return x * x end):gather() ]],
  gives = { 1, 4, 9, 16 },
  relay = true,
  new = function(node)
    local key = node.opts.key
    if type(key) == "string" then
      local field = key
      key = function(x) return require("tideway.key").field(x, field, "scatter") end
    end
    local workers = node.opts.workers or C.tw_processors()
    node.section = section.new(node, node.opts.workers and workers, key ~= nil)
    node.state = lanes.new(node, workers, key, node.section)
  end,
  borrows = function(node) return not node.state.key end, -- which is the user's function
  outward = outward,
  held = lanes.held,
  load = lanes.load,
  gate = lanes.gate,
  emit = function(b, node, x)
    if node.carries or node.state.key or node.section.window then
      step(b, node, x)
      return
    end
    local S, P, n = b:constant(node.state), b:name_of(), b:name_of()
    b:line("local %s, %s = %s.packer, 0", P, n, S)
    b:line("if %s then %s = %s.n end", P, n, P)
    b:open("if %s > 0 and %s < %s.full and type(%s) == 'number' and %s.kind == 1 and %s < %s.room then",
      n, n, S, x, P, n, P)
    b:line("%s.numbers[%s] = %s", P, n, x)
    b:line("%s.n = %s + 1", P, n)
    b:line "else"
    step(b, node, x)
    b:close()
  end,
  finish = lanes.finish,
  leads = function(node) return node.section.gathers end,
  destroyed = lanes.destroyed, pruned = lanes.destroyed,
}
