local check = require "tideway.check"
local clock = require "tideway.clock"
local graph = require "tideway.graph"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local function fire(timer)
  local task = timer.task
  timer.fired = true
  timer.late = not sched.interrupt(task, "timeout") and sched.interrupt_next(task, "timeout")
end

--- What is left of a policy for an element that was interrupted where nobody's function was at
-- work (at a door, in a pause between attempts): a delivery is not repeated.
local function settle(node, err, x)
  local above = graph.governor(node)
  local rule = above and above.policy or "raise"
  while type(rule) == "table" and not check.is_stream(rule) do rule = rule.next end
  return not policy.dispose(node, rule, err, x)
end

--- Deliver with a deadline: what is suspended below when it passes fails there. Whatever else
-- fails below has been before its policy already.
local function limited(node, deliver, x)
  local timer = { task = sched.current, fire = fire }
  timers.add(clock.now() + node.state.interval, timer)
  local ok, result = pcall(deliver, x)
  timers.cancel(timer)
  if timer.late then sched.spare(timer.task, "timeout") end
  if ok then return result end
  if timer.fired then return settle(node, result, x) end
  error(result, 0)
end

return {
  name = "timeout",
  doc = [[An element that is not through everything below within `interval` fails there with
"timeout".]],
  args = { { "interval", "duration" } },
  outputs = "1",
  example = [[ tw.from_range(1, 3):timeout("1s") ]],
  gives = { 1, 2, 3 },
  new = function(node) node.state = { interval = math.floor(node.args.interval * 1e9 + 0.5) } end,
  emit = function(b, node, x)
    b.fn.node = node
    b:line("if %s(%s, %s, %s) then return true end", b:constant(limited), b:constant(node),
      b:below(node), x)
  end,
}
