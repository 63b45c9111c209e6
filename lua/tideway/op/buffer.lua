local hold = require "tideway.hold"
local region = require "tideway.region"
local relay = require "tideway.relay"
local sched = require "tideway.sched"

local push, drop, count = hold.push, hold.drop, hold.count

-- Elements are delivered in batches, by the generated loop of what is below, as a source's
-- are. `state.at` is the one on its way: those before it are through and have left their
-- place, though they are dropped at the end of the batch only.

local function has_room(state) return count(state.hold) - state.at < state.n end

--- The batch at hand has come to its end, or element `at` has failed.
local function through(state, n)
  drop(state.hold, n)
  state.at = 0
  if state.waiters then relay.room(state) end
end

--- Where there is metadata, one by one: each with its own.
local function serve_carrying(node)
  local state = node.state
  local h = state.hold
  while count(h) > 0 do
    local list = hold.unmark(h, 1)
    local ok, err = pcall(region.emit, node, hold.at(h, 0), list)
    through(state, 1)
    if not ok then error(err, 0) end
  end
end

local function serve(node)
  local state = node.state
  if node.carries then return serve_carrying(node) end
  while count(state.hold) > 0 do
    local ok, reached = true, count(state.hold)
    if #node.downs > 0 then ok, reached = pcall(region.batch, region.below(node), state, 0, reached) end
    through(state, ok and reached or state.at + 1)
    if not ok then error(reached, 0) end
    if count(state.hold) == 0 then sched.turn() end -- who has waited for room fills it again
    if node.carries then return serve_carrying(node) end
  end
end

--- The buffer is full: wait for room. Returns x as something that outlives the wait.
local function wait(node, x)
  x = hold.keep(x)
  relay.wait(node.state, has_room, "buffer")
  return x
end

local function start(node) relay.serve(node, serve) end

return {
  name = "buffer",
  doc = [[Decouples: takes up to n elements at once, then holds the emitter back; a task of its own
delivers them in order. An element has its place until it is through everything below.]],
  args = { { "n", "count" } },
  outputs = "1, later",
  state = "up to n elements, native",
  example = [[ tw.from_range(1, 3):buffer(2) ]],
  gives = { 1, 2, 3 },
  new = function(node)
    node.state = { hold = hold.new(math.min(node.args.n, 1024)), n = node.args.n, at = 0 }
  end,
  held = function(node) return count(node.state.hold) - node.state.at end,
  load = function(node) return count(node.state.hold) - node.state.at, node.args.n end,
  gate = function(node) return has_room(node.state) end,
  relay = true,
  -- Written out, so that what waits here leaves other buffers' loops to the compiler.
  emit = function(b, node, x)
    local N, S, h = b:constant(node), b:constant(node.state), b:constant(node.state.hold)
    local y = b:let(node, x)
    b:open("if %s(%s) - %s.at >= %d then", b:constant(count), h, S, node.args.n)
    b:line("%s = %s", y, b:call(node, wait, N, y))
    b:close()
    b:note(node, h)
    b:call(node, push, h, y)
    b:line("if not %s.serving then %s(%s) end", S, b:constant(start), N)
  end,
  loop = function(b)
    b:line("local h = S.hold")
    return function()
      b:line "S.at = i"
      b:line("if S.waiters then %s(S) end", b:constant(relay.room))
      return ("%s(h, i)"):format(b:constant(hold.at))
    end
  end,
}
