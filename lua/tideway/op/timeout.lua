local clock = require "tideway.clock"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

local function fire(timer)
  local task = timer.task
  timer.late = not sched.interrupt(task, "timeout") and sched.interrupt_next(task, "timeout")
end

--- Deliver with a deadline: what is suspended below when it passes fails there.
local function limited(node, deliver, x)
  local timer = { task = sched.current, fire = fire }
  timers.add(clock.now() + node.state.interval, timer)
  local ok, result = pcall(deliver, x)
  timers.cancel(timer)
  if timer.late then sched.spare(timer.task, "timeout") end
  if not ok then error(result, 0) end
  return result
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
    local dropped = b:call(node, limited, b:constant(node), b:below(node), x)
    b:line("if %s then return true end", dropped)
  end,
}
