--- tideway.limits -- limits for untrusted scripts.
--
-- LuaJIT as distributions build it does not look at its hooks in compiled code, so the
-- interpreter has to do: from tw.limits on, nothing is compiled, and a hook counts.
jit.off(true, true) -- never hot, and traces through it would hold on to graphs (DESIGN.md D5)

local C = require "tideway.ffi"
local check = require "tideway.check"
local errors = require "tideway.errors"

local limits = {}

local units = { B = 1, KB = 2 ^ 10, MB = 2 ^ 20, GB = 2 ^ 30 }
local GRAIN = 1000 -- instructions between two looks
local PATIENCE = 10 -- times that a limit may be exceeded

local function bytes(given)
  if type(given) == "number" then return given end
  local number, unit = given:match "^%s*(%d+%.?%d*)%s*(%a+)%s*$"
  if not number or not units[unit] then
    errors.misuse('limits: memory must be a number of bytes or text like "64MB", got %s', check.show(given))
  end
  return tonumber(number) * units[unit]
end

--- Set limits for all that runs from now on in this Lua state. What exceeds one raises.
-- opts.memory        bytes, or "64MB": what Lua may use altogether
-- opts.instructions  how many of the interpreter's instructions
-- opts.time          a duration of processor time that passes while Lua runs
function limits.set(given)
  local opts = check.settings("limits", {
    { "memory", "number|string?" }, { "instructions", "number?" }, { "time", "duration?" },
  }, given)
  if next(opts) == nil then
    errors.misuse("limits: takes a table with memory, instructions or time, got %s", check.show(given))
  end
  for name, value in pairs(opts) do
    if type(value) == "number" and not (value > 0) then
      errors.misuse("limits: %s must be positive, got %s", name, tostring(value))
    end
  end
  local memory = opts.memory and bytes(opts.memory)
  local left = opts.instructions
  local till = opts.time and C.tw_clock_seconds() + opts.time
  jit.off()
  jit.flush()
  local exceeded = 0
  local look
  local function exceed(what)
    exceeded = exceeded + 1
    -- a script that catches this error and goes on is stopped at its every instruction
    if exceeded == PATIENCE then debug.sethook(look, "", 1) end
    error("limits: more " .. what, 3)
  end
  function look()
    if left then
      left = left - GRAIN
      if left < 0 then exceed "than the allowed number of instructions" end
    end
    if memory and collectgarbage "count" * 1024 > memory then
      collectgarbage()
      if collectgarbage "count" * 1024 > memory then exceed "memory than allowed" end
    end
    if till and C.tw_clock_seconds() > till then exceed "time than allowed" end
  end
  -- hooks are LuaJIT's for all coroutines together
  debug.sethook(look, "", GRAIN)
end

return limits
