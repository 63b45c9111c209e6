local hold = require "tideway.hold"
local metadata = require "tideway.metadata"
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

--- What goes out: the elements, when there are only aggregates below; arrays; or both.
local function mode(node)
  local count = aggregates(node)
  if count == 0 then return "arrays" end
  return count == #node.downs and not node.out_region and "elements" or "both"
end

--- The metadata of the window that is about to go out, the element at hand in it.
-- taken: is the element in the window for sure, or will the aggregates say so?
local function mark(state, taken)
  local marks, last = state.marks, state.noted + 1
  if state.open then -- the one before has failed below: its references stay retained
    if state.taken then marks[last - state.n] = nil else last = last - 1 end
  end
  state.noted, state.open, state.taken = last, true, taken
  marks[last] = metadata.hold()
  local list
  for i = math.max(last - state.n + 1, 1), last do list = metadata.append(list, marks[i]) end
  return list
end

--- The window has gone out; it was the last one that its oldest element was in. What the
-- aggregates have refused, and a policy dropped, is in none.
local function settle(state)
  local marks, last = state.marks, state.noted
  local at = state.taken and last - state.n + 1 or last
  if not state.taken then state.noted = last - 1 end
  state.open = false
  local list = marks[at]
  marks[at] = nil
  metadata.release(list)
end

--- The text where there is metadata: whatever goes out has that of the whole window.
local function carrying(b, node, x, what)
  local S, t = b:constant(node.state), x
  if what ~= "elements" then t = b:call(node, step, S, x) end
  local list = b:let(node, "%s(%s, %s)", b:constant(mark), S, tostring(what ~= "elements"))
  local dropped = b:name_of()
  b:line("local %s", dropped)
  b:open("if %s ~= nil then", what == "both" and "true" or t)
  if what == "both" then b:line("%s.newest = %s", S, x) end
  b:line("%s = %s(%s, nil, %s, %s)", dropped, b:constant(metadata.deliver), list, b:below(node),
    what == "both" and t .. " or false" or t)
  if what == "both" then b:line("%s.newest = nil", S) end
  b:close()
  b:line("%s(%s)", b:constant(settle), S)
  b:line("if %s then return true end", dropped)
end

--- What is held at the end of the stream: its metadata. Windows that were full, or partial
-- ones, have gone out: nothing more is made of their elements.
local function rest(state)
  local list
  if state.open and not state.taken then state.noted = state.noted - 1 end
  for i = math.max(state.noted - state.n + 1, 1), state.noted do
    list = metadata.append(list, state.marks[i])
    state.marks[i] = nil
  end
  return list
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
      marks = {}, noted = 0, -- number of an element -> its metadata, of those that are held
    }
  end,
  load = function(node)
    if mode(node) ~= "elements" then return hold.count(node.state.hold), node.args.n end
  end,
  emit = function(b, node, x)
    local what = mode(node)
    if node.carries then
      carrying(b, node, x, what)
    elseif what == "elements" then
      b:downstream(node, x)
    elseif what == "both" then
      local S = b:constant(node.state)
      local t = b:call(node, step, S, x)
      b:line("%s.newest = %s", S, x)
      b:downstream(node, b:let(node, "%s or false", t))
      b:line("%s.newest = nil", S)
    else
      local t = b:call(node, step, b:constant(node.state), x)
      b:branch("if %s ~= nil then", t)
      b:downstream(node, t)
      b:close()
    end
  end,
  -- what each downstream gets
  each = function(b, node, down, x, deliver)
    if mode(node) ~= "both" then return deliver(x) end
    if down.desc.rolling and #down.ups == 1 then
      -- nothing for what is no element: a flush, an array emitted by hand
      local newest = b:let(node, "%s.newest", b:constant(node.state))
      b:open("if %s ~= nil then", newest)
      deliver(newest)
      b:close()
    else
      b:branch("if %s then", x)
      deliver(x)
      b:close()
    end
  end,
  finish = function(node)
    local state = node.state
    local held = state.held
    local list = rest(state)
    local whole = state.partial or held == state.n or state.noted >= state.n
    if whole then
      metadata.release(list)
    elseif node.opts.flush and list then -- each of those that flush has a share
      for _, down in ipairs(node.downs) do
        if down.desc.rolling then down.state.list = metadata.retain(list) end
      end
    end
    if held > 0 and not whole and node.opts.flush then
      local t = tuple(state.hold, held)
      drop(state.hold, held)
      state.held, state.newest = 0, nil
      region.emit(node, t, list)
    elseif not whole and node.opts.flush then
      metadata.release(list)
    end
  end,
}
