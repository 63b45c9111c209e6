--- tideway.stuck -- who waits for whom, when nothing can go on.
jit.off(true, true) -- cold

local errors = require "tideway.errors"

local stuck = {}

local SHOWN = 10 -- tasks

--- The task that has begun in a coroutine and not ended, or nil.
function stuck.task_of(co)
  local level = 0
  while debug.getinfo(co, level, "l") do level = level + 1 end
  if level == 0 then return nil end
  local name, task = debug.getlocal(co, level - 1, 1) -- sched's, which called all the rest
  return name == "task" and type(task.at) ~= "string" and task or nil
end

--- What is on a suspended coroutine's stack: the operator in which it waits, the stream whose elements
-- it delivers, the user's line at which it waits, and where the user's outermost function is.
local function places(co, doors)
  local operator, stream, line, origin
  local level = 0
  while true do
    local info = debug.getinfo(co, level, "Slf")
    if not info then return operator, stream, line, origin end
    local region = errors.chunks[info.source]
    if region then
      operator = operator or region.lines and region.lines[info.currentline]
    elseif doors[info.func] then
      local _
      _, region = debug.getlocal(co, level, 1)
      operator, stream = operator or region.node, region.node
    elseif info.what ~= "C" and not errors.internal(info.source) then
      line = line or ("%s:%d"):format(info.short_src, info.currentline)
      origin = ("%s:%d"):format(info.short_src, info.linedefined)
    end
    level = level + 1
  end
end

local function built(node) return ("%s, built at %s"):format(tostring(node), node.where) end

local words = { emit = "for its turn", wait = "for the end of another task", source = "for its input" }

--- What a task waits for: words of its own, a channel, or an operator in which there is no room.
local function waits(what)
  return words[what] or what:find("^channel") and "in " .. what or ("for room (%s)"):format(what)
end

--- One line about a task that waits.
local function about(task, operator, stream, line, origin)
  local who = origin and "task " .. origin or stream and ("the task of %s,"):format(built(stream)) or "a task"
  local text = ("\n  %s waits %s"):format(who, waits(task.at.what or "wait"))
  if line then text = ("%s at %s"):format(text, line) end
  if operator then text = ("%s, in %s"):format(text, built(operator)) end
  return text
end

--- Text that names the tasks that wait (but for their time), a line each; "" when there are none.
-- coroutines  the set of all; doors: functions of a region, their first argument, that let elements in
function stuck.describe(coroutines, doors)
  local lines, more = {}, 0
  for co in pairs(coroutines) do
    local task = stuck.task_of(co)
    if task and task.at and not task.serial then
      if #lines < SHOWN then
        lines[#lines + 1] = about(task, places(co, doors))
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
