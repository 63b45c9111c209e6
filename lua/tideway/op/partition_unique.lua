local hold = require "tideway.hold"
local key = require "tideway.key"
local region = require "tideway.region"

local key_of = key.of

local function take(state)
  local t = hold.tuple(state.hold, state.held)
  state.list = hold.unmark(state.hold, state.held)
  hold.drop(state.hold, state.held)
  state.keys, state.held, state.at = {}, 0, {}
  return t
end

local function step(state, x, k)
  k = key_of("partition_unique", k)
  if state.at[k] then
    if state.last then
      -- the later one replaces the earlier and moves to the end
      for i = 1, state.held do
        if state.keys[i] == k then
          table.remove(state.keys, i)
          hold.release_at(state.hold, i - 1)
          hold.remove(state.hold, i - 1)
          break
        end
      end
      state.keys[state.held] = k
      hold.note(state.hold)
      hold.push(state.hold, x)
    end
    return nil
  end
  hold.note(state.hold)
  hold.push(state.hold, x)
  state.held = state.held + 1
  state.keys[state.held], state.at[k] = k, true
  if state.held == state.n then return take(state) end
end

return {
  name = "partition_unique",
  doc = "Arrays of n elements with distinct keys, in the order of the elements kept.",
  args = { { "n", "count" } },
  opts = {
    { "key", "function|field?", "what must be distinct; default the element" },
    { "keep", '"first"|"last"?', 'which of several with one key; default "first"' },
    { "flush", "boolean?", "emit what is incomplete at the end of the stream" },
  },
  functions = {},
  outputs = "0..1",
  state = "up to n elements, native",
  example = [[ tw.from_iterable{1, 1, 2, 3, 3, 4}:partition_unique(2) ]],
  gives = { { 1, 2 }, { 3, 4 } },
  new = function(node)
    node.state = {
      hold = hold.new(node.args.n), n = node.args.n, held = 0, keys = {}, at = {},
      last = node.opts.keep == "last",
    }
  end,
  load = function(node) return node.state.held, node.args.n end,
  emit = function(b, node, x)
    local t = b:call(node, step, b:constant(node.state), x, b:key(node, node.opts.key, x))
    b:branch("if %s ~= nil then", t)
    if node.carries then
      local S = b:constant(node.state)
      b:deliver(node, t, S .. ".list", S .. ".list")
    else
      b:downstream(node, t)
    end
    b:close()
  end,
  finish = function(node)
    if node.state.held > 0 then
      local t = take(node.state)
      if node.opts.flush then region.emit(node, t, node.state.list) end
    end
  end,
}
