local clock = require "tideway.clock"
local check = require "tideway.check"
local errors = require "tideway.errors"
local frame = require "tideway.frame"
local from_periodic = require "tideway.source.from_periodic"

--- fn(last, now), and what it must give.
local function beat(S)
  local now = clock.time()
  local f = S.fn(S.last, now)
  S.last = now
  if f ~= nil and not frame.is(f) then
    error(("periodic_dataframe: fn must give a frame, got %s"):format(check.show(f)), 0)
  end
  return f
end

return {
  name = "periodic_dataframe",
  doc = [[A dataframe of the frames that fn(last, now) gives, at start and every `interval` after; last and
now are seconds since 1970 (under a virtual clock those of the clock), last is the time of the call before. fn
is called for the first time when the pipeline is built, with last = now: for the columns and their types.]],
  args = { { "fn", "function" }, { "interval", "duration?", "default 500 ms" } },
  functions = { "fn" },
  outputs = "1 frame every interval",
  example = [[
tw.periodic_dataframe(function() return tw.frame{x = {1, 2}} end, "1ms").x:sum().stream:take(2) ]],
  gives = { 3, 6 },
  new = function(node)
    if node.args.interval and node.args.interval <= 0 then
      errors.misuse "periodic_dataframe: interval must be more than 0"
    end
    local now = clock.time()
    local example = node.args.fn(now, now)
    if not frame.is(example) then
      errors.misuse("periodic_dataframe: fn must give a frame, got %s", check.show(example))
    end
    node.example, node.last = example, now
  end,
  open = function(node)
    node.state = {
      fn = node.args.fn, last = node.last, interval = math.floor((node.args.interval or 0.5) * 1e9 + 0.5),
    }
  end,
  pull = from_periodic.pull,
  loop = function(b, node)
    local name = b:constant(beat)
    return function() return b:let(node, "%s(S)", name), true end
  end,
  cancel = from_periodic.cancel,
  result = function(node, handle) return handle:to_dataframe { example = node.example } end,
}
