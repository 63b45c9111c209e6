local hold = require "tideway.hold"
local key = require "tideway.key"
local metadata = require "tideway.metadata"
local ticking = require "tideway.ticking"

local SPARE = 32 -- places of elements that were replaced, before they are reclaimed

--- Take the places of replaced elements out: a window is no longer than it has keys.
local function compact(state)
  local items, lists, keys, at, n = {}, {}, {}, {}, 0
  for i = 1, state.n do
    if not state.gone[i] then
      n = n + 1
      items[n], lists[n], keys[n], at[state.keys[i]] = state.items[i], state.lists[i], state.keys[i], n
    end
  end
  state.items, state.lists, state.keys, state.at, state.n = items, lists, keys, at, n
  state.gone, state.replaced = {}, 0
end

local function step(node, x, k)
  local state = node.state
  k = key.of("timed_window_unique", k)
  if state.closed then
    x = hold.keep(x) -- a view does not outlive the wait
    ticking.admit(node)
  end
  local before = state.at[k]
  if before then
    if not state.last then return end
    -- the later one replaces the earlier and moves to the end
    state.items[before] = false
    state.gone[before] = true
    metadata.release(state.lists[before])
    state.lists[before] = nil
    state.replaced = state.replaced + 1
    if state.replaced > SPARE and state.replaced > state.n / 2 then compact(state) end
  end
  state.n = state.n + 1
  state.items[state.n], state.keys[state.n], state.at[k] = hold.keep(x), k, state.n
  state.lists[state.n] = metadata.hold()
end

return {
  name = "timed_window_unique",
  doc = "As timed_window, with one element per key, in the order of the elements kept.",
  args = { { "interval", "duration" } },
  opts = {
    { "key", "function|field?", "what must be distinct; default the element" },
    { "keep", '"first"|"last"?', 'which of several with one key; default "first"' },
    { "empty", "boolean?", "false: no empty windows" },
    { "flush", "boolean?", "emit what is incomplete at the end of the stream" },
  },
  functions = {},
  outputs = "1 every interval",
  state = "one element per key",
  example = [[ tw.from_iterable{1, 2, 1}:timed_window_unique("1m", {flush = true}) ]],
  gives = { { 1, 2 } },
  new = function(node)
    node.state = {
      items = {}, lists = {}, keys = {}, gone = {}, at = {}, n = 0, replaced = 0,
      last = node.opts.keep == "last",
    }
    ticking.start(node, node.args.interval)
  end,
  take = function(node)
    local state = node.state
    local window, list = {}, nil
    for i = 1, state.n do
      if not state.gone[i] then
        window[#window + 1] = state.items[i]
        list = metadata.append(list, state.lists[i])
      end
    end
    state.items, state.lists, state.keys, state.gone, state.at = {}, {}, {}, {}, {}
    state.n, state.replaced = 0, 0
    return window, list
  end,
  held = ticking.held,
  gate = ticking.gate,
  relay = true,
  finish = ticking.finish,
  revive = ticking.revive,
  emit = function(b, node, x)
    b:call(node, step, b:constant(node), x, b:key(node, node.opts.key, x))
  end,
}
