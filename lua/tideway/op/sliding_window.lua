local hold = require "tideway.hold"
local region = require "tideway.region"
local rolling = require "tideway.rolling"
local stream_methods = setmetatable({}, {
  __index = function(_, name) return require("tideway.stream").methods[name] end,
})

local push, tuple, drop = hold.push, hold.tuple, hold.drop

local function step(state, x)
  local h, n, held = state.hold, state.n, state.held
  push(h, x)
  if held == n then
    drop(h, 1)
    return state.full(h)
  end
  held = held + 1
  state.held = held
  if held < n and not state.partial then return nil end
  return tuple(h, held)
end

local function aggregates(node)
  local count = 0
  for _, down in ipairs(node.downs) do
    if down.desc.rolling and #down.ups == 1 then count = count + 1 end
  end
  return count
end

return {
  name = "sliding_window",
  doc = [[The array of the last n elements, for every element. Of numbers, without a table each:
sliding_window(n):sum(), mean min max var std median quantile(q) count first last and
aggregate{name = tw.sum(), ...}.]],
  args = { { "n", "count" } },
  opts = {
    { "return_partial", "boolean?", "false: only full windows; default true" },
    { "flush", "boolean?", "emit a window that never became full at the end of the stream" },
  },
  outputs = "0..1",
  state = "n elements, native",
  example = [[ tw.from_range(1, 4):sliding_window(3, {return_partial = false}) ]],
  gives = { { 1, 2, 3 }, { 2, 3, 4 } },
  methods = rolling.methods(stream_methods),
  new = function(node)
    node.state = {
      hold = hold.new(node.args.n), n = node.args.n, held = 0,
      full = hold.tupler(node.args.n),
      partial = node.opts.return_partial ~= false,
    }
  end,
  emit = function(b, node, x)
    local count = aggregates(node)
    if count > 0 and count == #node.downs and not node.out_region then
      -- nobody wants the arrays
      node.state.mode = "elements"
      b:downstream(node, x)
    elseif count > 0 then
      node.state.mode = "both"
      b:line("%s.newest = %s", b:constant(node.state), x)
      local t = b:call(node, step, b:constant(node.state), x)
      b:downstream(node, b:let(node, "%s or false", t))
    else
      node.state.mode = "arrays"
      local t = b:call(node, step, b:constant(node.state), x)
      b:branch("if %s ~= nil then", t)
      b:downstream(node, t)
      b:close()
    end
  end,
  -- what each downstream gets
  each = function(b, node, down, x, deliver)
    if node.state.mode ~= "both" then return deliver(x) end
    if down.desc.rolling and #down.ups == 1 then
      deliver(b:let(node, "%s.newest", b:constant(node.state)))
    else
      b:branch("if %s then", x)
      deliver(x)
      b:close()
    end
  end,
  finish = function(node)
    local state = node.state
    local held = state.held
    if held > 0 and held < state.n and not state.partial and node.opts.flush then
      local t = tuple(state.hold, held)
      drop(state.hold, held)
      state.held = 0
      region.emit(node, t)
    end
  end,
}
