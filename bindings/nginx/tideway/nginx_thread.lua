--- tideway.nginx_thread -- scripts in threads of their own, fed by the workers of nginx: tw.thread.
local C = require "tideway.declare" "thread"
local check = require "tideway.check"
local ffi = require "ffi"

local LISTEN = 0.25 -- s between looks at what threads have to say
local LINE = 2048   -- bytes of a line of it

local thread = {}

local natives = {} -- array of those that run
local encode       -- of string.buffer

--- Log what the threads have to say.
local function listen()
  local line = ffi.new("char[?]", LINE)
  for _, native in ipairs(natives) do
    while C.tw_thread_line(native, line, LINE) > 0 do ngx.log(ngx.ERR, "tideway: ", ffi.string(line)) end
  end
end

local Feeder = {}
Feeder.__index = Feeder

--- As an input's push. x: text; a table arrives as text that string.buffer decodes.
function Feeder:push(x)
  if type(x) == "table" then x = encode(x) end
  local status = C.tw_thread_push(self.native, self.input, x, #x)
  if status == 0 then return true end
  return nil, status == C.TW_AGAIN and "again" or status == C.TW_EOF and "closed"
    or ffi.string(C.tw_status_name(status))
end

local known = {
  { "script", "string", "the file that builds the pipelines" },
  { "inputs", "table", "the names of its inputs that are pushed to" },
}

--- Run a script in a thread of its own, with a Lua state of its own; to be called in init_worker_by_lua*.
-- Its pipelines cost the worker nothing but the pushes, but cannot use anything of nginx's. Returns a
-- table: name of an input -> what is pushed to.
function thread.open(opts)
  local given = check.settings("nginx.thread", known, opts)
  encode = encode or require("string.buffer").encode
  local count = #given.inputs
  local names, message = ffi.new("const char *[?]", count + 1, given.inputs), ffi.new("char[?]", LINE)
  local native = C.tw_thread_open(given.script, nil, names, count, message, LINE)
  if native == nil then
    local why = ffi.string(message)
    error(("nginx.thread: %s: %s"):format(given.script, why == "" and "no memory" or why), 0)
  end
  if not natives[1] then ngx.timer.every(LISTEN, listen) end
  natives[#natives + 1] = native
  local feeders = {}
  for i, name in ipairs(given.inputs) do
    feeders[name] = setmetatable({ native = native, input = i - 1 }, Feeder)
  end
  return feeders
end

--- Run the pipelines of all threads to their end, for at most so many seconds each.
function thread.finish(seconds)
  for _, native in ipairs(natives) do
    if C.tw_thread_finish(native, math.ceil(seconds * 1000)) == C.TW_AGAIN then
      ngx.log(ngx.ERR, "tideway: the worker ends, and the pipelines of a thread have not")
    end
  end
  listen()
  for _, native in ipairs(natives) do C.tw_thread_close(native) end
  natives = {}
end

return thread
