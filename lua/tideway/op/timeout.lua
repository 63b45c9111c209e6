local check = require "tideway.check"
local clock = require "tideway.clock"
local graph = require "tideway.graph"
local policy = require "tideway.policy"
local sched = require "tideway.sched"
local timers = require "tideway.timers"

-- A limit is what an element is under while it is below: { node, task, outer, timer }; a task has
-- those of its deliveries in a list, innermost first (task.limit). The error policies let them
-- rest while they are at work, and start them again for each further attempt.

local function fire(timer)
  local limit = timer.limit
  limit.fired = true
  limit.late = not sched.interrupt(limit.task, "timeout")
    and sched.interrupt_next(limit.task, "timeout")
end

local function start(limit, at)
  limit.timer = timers.add(at, { limit = limit, fire = fire, due = at })
end

local function stop(limit)
  timers.cancel(limit.timer)
  if limit.late then sched.spare(limit.task, "timeout") end
  limit.late = nil
end

local Limit = {}
Limit.__index = Limit

--- The element has failed: its time stands still.
function Limit:pause()
  self.at = self.timer.serial and self.timer.due
  stop(self)
end

--- A further attempt, with as much time as the first.
function Limit:again()
  self.fired = nil
  start(self, clock.now() + self.node.state.interval)
end

--- It goes on without what has failed (one piece of several): with the time that was left.
function Limit:resume()
  if self.at then start(self, self.at) else self:again() end
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
  local task = sched.current
  local limit = setmetatable({ node = node, task = task, outer = task.limit }, Limit)
  task.limit = limit
  start(limit, clock.now() + node.state.interval)
  local ok, result = pcall(deliver, x)
  task.limit = limit.outer
  stop(limit)
  if ok then return result end
  if limit.fired then return settle(node, result, x) end
  error(result, 0)
end

return {
  name = "timeout",
  doc = [[An element that is not through everything below within `interval` fails there with
"timeout". An error policy that tries again gives each attempt that time; the pauses between them
do not count.]],
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
