local clock = require "tideway.clock"
local errors = require "tideway.errors"
local sched = require "tideway.sched"

return {
  name = "from_periodic",
  doc = [[fn() at start and every `interval` after, at a fixed rate; beats that are missed are
skipped. nil passes nothing on. Runs until it is stopped.]],
  args = { { "fn", "function" }, { "interval", "duration" } },
  functions = { "fn" },
  outputs = "1 every interval",
  example = [[ tw.from_periodic(function() return "tick" end, "1ms"):take(2) ]],
  gives = { "tick", "tick" },
  new = function(node)
    if node.args.interval <= 0 then errors.misuse "from_periodic: interval must be more than 0" end
  end,
  open = function(node)
    node.state = { fn = node.args.fn, interval = math.floor(node.args.interval * 1e9 + 0.5) }
  end,
  pull = function(node)
    local S = node.state
    local now = clock.now()
    if not S.next then
      S.next = now
    else
      S.next = S.next + S.interval
      if S.next < now then S.next = S.next + math.ceil((now - S.next) / S.interval) * S.interval end
      if S.next > now then
        S.idle = true
        sched.sleep_until(S.next)
        S.idle = false
      end
    end
    return 1
  end,
  loop = function(b, node)
    return function() return b:let(node, "S.fn()"), true end
  end,
  -- not what is in flight: that is delivered
  cancel = function(node)
    if node.state.idle then sched.interrupt(node.task, sched.CANCELLED) end
  end,
}
