--- tideway.embed -- tideway in a C program: what runtime/engine/runtime.c calls.
--
-- The host steps: `step` makes one turn and says when the next one is due. Errors that nobody has
-- caught are the result of the turn, one each; those of an input's elements end nothing.
jit.off(true, true)
require "tideway.traversal" -- before any module takes `pairs` or `next`

local clock = require "tideway.clock"
local errors = require "tideway.errors"
local feed = require "tideway.feed"
local graph = require "tideway.graph"
local host = require "tideway.host"
local sched = require "tideway.sched"
local stop = require "tideway.stop"
local timers = require "tideway.timers"

local embed = {}

local settings
local failures, first = {}, 1 -- not reported yet: texts from `first` on
local before = {}             -- of host, while this host is there

local function text_of(err)
  if type(err) == "string" then return err end
  local meta = getmetatable(err)
  return type(meta) == "table" and meta.__tostring and tostring(err)
    or ("failed with a %s as error"):format(type(err))
end

local function note(err) failures[#failures + 1] = text_of(err) end

local function failed(node, err)
  node.errors = node.errors + 1
  note(err)
end

--- Begin. Returns the functions for the host, and the native loop.
-- given  {own = is the state the runtime's?, script =, code =, name =, args = {...},
--         loop = the host's uv_loop_t or nil, log = function(line) or nil}
function embed.open(given)
  if settings then error("this Lua state has a runtime already", 0) end
  settings = given
  local replaced = {
    say = given.log or function() end, failed = failed, runs = "the host runs the loop (tw_step)",
  }
  for name, value in pairs(replaced) do before[name], host[name] = host[name] or false, value end
  failures, first = {}, 1
  sched.attend()
  return embed, sched.loop(given.loop)
end

local function chunk()
  local text, name = settings.code, "=" .. (settings.name or "code")
  if settings.script then
    text, name = require "tideway.script".read(settings.script)
    if not text then error(name, 0) end
  end
  local loaded, err = loadstring(text, name)
  if not loaded then error(err, 0) end
  return loaded
end

--- Run the script, and start the sources that it has left alone.
function embed.load()
  if settings.script or settings.code then
    local main, args = chunk(), settings.args
    if settings.own then
      _G.arg = { [0] = settings.script or settings.name, unpack(args) }
    end
    local ok, err = xpcall(function() main(unpack(args)) end, errors.handler)
    if not ok then error(text_of(errors.caught(err)), 0) end
  end
  feed.start_all()
  sched.raise()
end

--- Nanoseconds until the next turn is due, -1: only when a descriptor is ready.
local function rest()
  if first <= #failures or sched.ready() then return 0 end
  local at = timers.next()
  return at and math.max(0, at - clock.now()) or -1
end

--- One turn. Returns whether there is more to do, when, and what has failed (nil: nothing).
function embed.step(timeout)
  local more = true
  if first > #failures then
    local ok, result = pcall(sched.step, timeout, true)
    more = sched.live() > 0 or sched.resting ~= nil or sched.ready()
    if not ok then
      sched.current = sched.main -- it has broken off in the middle of a task's turn
      note(result)
    end
    if sched.failure then note(sched.take_failure()) end
    if not more then
      local flushed, err = pcall(embed.flush)
      if not flushed then note(err) end
    end
  end
  local err = failures[first]
  if err then
    failures[first] = nil
    first = first + 1
    if first > #failures then failures, first = {}, 1 end
  end
  return more, rest(), err
end

--- The mailbox of an input that the script has.
function embed.input(name, shared) return require("tideway.source.input").attach(name, shared) end

--- The mailbox of an output, whether a stream has it yet or not.
function embed.output(name)
  local outlet = require "tideway.outlet"
  return outlet.open(outlet.named(name))
end

--- Begin to end everything, in order.
function embed.stop() stop.begin(nil, true) end

--- Complete what sinks have buffered.
function embed.flush() require("tideway").flush() end

--- End now. What pipelines hold is dropped; the state can be used by another runtime.
function embed.close()
  feed.stop_all(false)
  stop.over()
  local ok, err = pcall(embed.flush)
  graph.destroy_all()
  local input = package.loaded["tideway.source.input"]
  if input then input.forget() end
  for name, value in pairs(before) do host[name] = value or nil end
  before, settings = {}, nil
  if not ok then error(text_of(err), 0) end
end

return embed
