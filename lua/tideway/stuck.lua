--- tideway.stuck -- who waits for whom, when nothing can go on.
jit.off(true, true) -- cold

local errors = require "tideway.errors"

local stuck = {}

local SHOWN = 10 -- tasks
local WIDEST = 100

--- The task that has begun in a coroutine and not ended, or nil.
function stuck.task_of(co)
  local level = 0
  while debug.getinfo(co, level, "l") do level = level + 1 end
  if level == 0 then return nil end
  local name, task = debug.getlocal(co, level - 1, 1) -- sched's, which called all the rest
  return name == "task" and type(task.at) ~= "string" and task or nil
end

--- The innermost operator on a suspended coroutine's stack, the user's innermost line, and where the
-- user's outermost function is.
local function places(co)
  local operator, line, origin
  local level = 0
  while true do
    local info = debug.getinfo(co, level, "Sl")
    if not info then return operator, line, origin end
    local region = errors.chunks[info.source]
    if region then
      operator = operator or region.lines and region.lines[info.currentline]
    elseif info.what ~= "C" and not errors.internal(info.source) then
      line = line or ("%s:%d"):format(info.short_src, info.currentline)
      origin = ("%s:%d"):format(info.short_src, info.linedefined)
    end
    level = level + 1
  end
end

local function built(node) return ("%s, built at %s"):format(tostring(node), node.where) end

--- One line about a task that waits.
local function about(task, operator, line, origin)
  local at = task.at
  local parts = {}
  if task.serves and task.serves.node then
    parts[1] = built(task.serves.node)
  else
    parts[1] = origin and "task " .. origin or "a task"
  end
  parts[2] = ("waits in %s"):format(at.what or "wait")
  if at.of and at.of.where then parts[2] = ("%s of %s"):format(parts[2], built(at.of)) end
  if line then parts[#parts + 1] = "at " .. line end
  if operator and operator ~= at.of then parts[#parts + 1] = ("below %s"):format(built(operator)) end
  return "\n  " .. table.concat(parts, " "):sub(1, 2 * WIDEST)
end

--- Text that names the tasks that wait (but for their time), a line each; "" when there are none.
-- coroutines  coroutine -> number
function stuck.describe(coroutines)
  local lines, more = {}, 0
  for co in pairs(coroutines) do
    local task = stuck.task_of(co)
    if task and task.at and not task.serial then
      if #lines < SHOWN then
        lines[#lines + 1] = about(task, places(co))
      else
        more = more + 1
      end
    end
  end
  table.sort(lines)
  if more > 0 then lines[#lines + 1] = ("\n  and %d more"):format(more) end
  return #lines > 0 and ":" .. table.concat(lines) or ""
end

return stuck
