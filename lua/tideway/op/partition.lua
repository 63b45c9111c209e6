local errors = require "tideway.errors"
local hold = require "tideway.hold"
local key = require "tideway.key"
local region = require "tideway.region"

local push, tuple, drop = hold.push, hold.tuple, hold.drop
local key_of = key.of

local function step(state, x)
  local h, n = state.hold, state.n
  local held = state.held + 1
  push(h, x)
  if held < n then
    state.held = held
    return nil
  end
  state.held = 0
  local t = state.full(h)
  drop(h, n)
  return t
end

local function step_keyed(state, x, k)
  k = key_of("partition", k)
  local part = state.parts[k]
  if not part then
    part = { hold = hold.new(state.n), n = state.n, held = 0, full = state.full }
    state.parts[k] = part
    state.order[#state.order + 1] = k
  end
  local t = step(part, x)
  if t then
    -- a key costs nothing while nothing of it is held
    state.parts[k] = nil
    for i = 1, #state.order do
      if state.order[i] == k then
        table.remove(state.order, i)
        break
      end
    end
  end
  return t
end

local function rest(part)
  local t = tuple(part.hold, part.held)
  drop(part.hold, part.held)
  part.held = 0
  return t
end

return {
  name = "partition",
  doc = [[Arrays of n elements; with `key` a partition per key. What is incomplete at the end of
the stream is dropped, or emitted with flush = true.]],
  args = { { "n", "count" } },
  opts = {
    { "key", "function|field?", "a partition per key: a function, or a field's name" },
    { "timeout", "duration?", "emit an incomplete partition so long after its first element" },
    { "flush", "boolean?", "emit the incomplete ones at the end of the stream" },
  },
  functions = {},
  outputs = "0..1",
  state = "up to n elements (per key), native",
  example = [[ tw.from_range(1, 5):partition(2) ]],
  gives = { { 1, 2 }, { 3, 4 } },
  new = function(node)
    if node.opts.timeout then errors.misuse "partition: timeout is not there yet" end
    local n = node.args.n
    if node.opts.key == nil then
      node.state = { hold = hold.new(n), n = n, held = 0, full = hold.tupler(n) }
    else
      node.state = { parts = {}, order = {}, n = n, full = hold.tupler(n) }
    end
  end,
  emit = function(b, node, x)
    local S = b:constant(node.state)
    local t
    if node.opts.key == nil then
      t = b:call(node, step, S, x)
    else
      t = b:call(node, step_keyed, S, x, b:key(node, node.opts.key, x))
    end
    b:branch("if %s ~= nil then", t)
    b:downstream(node, t)
    b:close()
  end,
  finish = function(node)
    local state = node.state
    local parts = state.parts and {} or { state }
    for i, k in ipairs(state.order or {}) do parts[i] = state.parts[k] end
    if state.parts then state.parts, state.order = {}, {} end
    for _, part in ipairs(parts) do
      if part.held > 0 then
        local t = rest(part)
        if node.opts.flush then region.emit(node, t) end
      end
    end
  end,
}
