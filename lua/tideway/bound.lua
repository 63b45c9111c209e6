--- tideway.bound -- what is bound to its thread, and the words for where it was found.
jit.off(true, true) -- never hot

local check = require "tideway.check"
local ctypes = require "tideway.ctypes"

local bound = {}

-- Objects of ours: what they are, the module of their metatables, the names of these in it.
local objects = {
  { "a dataframe", "tideway.dataframe.object", "Frame", "Window", "Rolling", "GroupBy", "Ewm" },
  { "a task", "tideway.sched", "Task" },
  { "a channel", "tideway.task", "Channel" },
  { "a ref_counter", "tideway.counter", "Counter" },
}

--- What a table is that means something in its own thread only; nil: one that can be copied.
function bound.table(x)
  if check.is_stream(x) then return "a stream" end
  local clock = package.loaded["tideway.clock"]
  if clock and rawequal(clock.virtual, x) then return "a virtual clock" end
  local mt = debug.getmetatable(x)
  if type(mt) ~= "table" then return nil end
  for _, row in ipairs(objects) do
    local module = package.loaded[row[2]]
    for i = 3, module and #row or 0 do
      if rawequal(mt, module[row[i]]) then return row[1] end
    end
  end
end

function bound.cdata(x)
  local view, frame = package.loaded["tideway.view"], package.loaded["tideway.frame"]
  if view and view.is(x) then return "a view" end
  if frame and frame.is(x) then return "a frame" end
  if frame and frame.is_column(x) then return "a column of a frame" end
  return ctypes.show(x)
end

function bound.userdata(x) return io.type(x) and "a file" or "a userdata" end

-- The way to it -----------------------------------------------------------------------------

--- Where a function begins: "script.lua:12".
local function place(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "main" then return info.short_src end
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

local function quoted(key)
  if type(key) == "string" then return "'" .. key .. "'" end
  return ("[%s]"):format(check.show(key))
end

local steps = {
  upvalue = function(step)
    local name = step.name == "" and tostring(step.i) or quoted(step.name) -- stripped: no names
    return ("upvalue %s of the function at %s"):format(name, place(step.from))
  end,
  global = function(step) return ("global '%s' of the function at %s"):format(step.name, place(step.from)) end,
  environment = function(step) return "the environment of the function at " .. place(step.from) end,
  field = function(step) return "field " .. quoted(step.name) end,
  key = function() return "a key" end,
  metatable = function() return "its metatable" end,
  added = function(step) return ("%s.%s, which was added to the module"):format(step.from, step.name) end,
}

--- The way to what was found, outermost first; "" when there is none.
-- step  the last one, nil or { how = key of `steps`, from =, name =, i =, up = the one before it }
function bound.way(step)
  local list = {}
  while step do
    table.insert(list, 1, steps[step.how](step))
    step = step.up
  end
  return table.concat(list, ", ")
end

return bound
