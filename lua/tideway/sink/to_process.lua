local C = require "tideway.declare" "processes"
local process = require "tideway.process"
local sched = require "tideway.sched"
local sending = require "tideway.sending"
local ffi = require "ffi"

local STDOUT = { inherit = C.TW_STDIO_INHERIT, ignore = C.TW_STDIO_IGNORE }

local function start(S)
  S.child, S.id = process.start("to_process", S.words, S.changes, S.opts,
    { C.TW_STDIO_PIPE, STDOUT[S.opts.stdout or "inherit"], C.TW_STDIO_INHERIT })
  -- not the collector, which would kill it: the end of the loop lets it finish
  ffi.gc(S.child, nil)
end

local function reads(child) return C.tw_process_fd(child, 0) >= 0 end

--- Its input ends; wait for its own end. Returns what went wrong.
local function conclude(S)
  local child, id = S.child, S.id
  if not child then return end
  S.child = nil
  C.tw_process_flush(child, 1)
  process.wait(child, id, process.exited)
  local why = process.complaint("to_process", S.words[1], child)
  C.tw_process_close(child)
  return why
end

local function send(node, x)
  local S = node.state
  local text = sending.text("to_process", x) .. S.delimiter
  if not S.child then start(S) end
  local child = S.child
  if C.tw_process_write(child, text, #text) == C.TW_ENOMEM then error("to_process: no memory", 0) end
  C.tw_process_flush(child, 0)
  while reads(child) and C.tw_process_unsent(child) > 0 do sched.wait(S.id) end
  if reads(child) or S.child ~= child then return end
  error(conclude(S) or ("to_process: %s does not read any more"):format(S.words[1]), 0)
end

local function finish(S)
  local why = conclude(S)
  if why and S.opts.check ~= false then error(why, 0) end
end

return {
  name = "to_process",
  doc = [[Write each element, strings and numbers, and a delimiter to the standard input of a program,
looked up in PATH; there is no shell between. It is started for the first element; while it does not
read, the pipeline waits. At the end of the stream its input ends, and its own end is waited for; a
status other than 0 raises then, unless `check = false`. An element that it does not take because it
has ended goes by the error policy; the next one starts it again.]],
  args = { { "argv", "table", "{\"program\", \"argument\", ...}" } },
  opts = {
    { "delimiter", "string?", "what ends each element; default \"\\n\"" },
    { "check", "boolean?", "false: its exit status at the end does not matter" },
    { "stdout", '"inherit"|"ignore"?', "its output: to ours (default), nowhere" },
    unpack(process.settings),
  },
  outputs = "0",
  sink = true,
  example = [[ (function()
  local port = tw.from_tcp(0):take(2):sink(function(x) list[#list + 1] = x end):port()
  return tw.from_iterable{"b", "a"}:to_process{"sh", "-c", "sort | nc -N 127.0.0.1 " .. port}
end)() ]],
  gives = { "a", "b" },

  new = function(node)
    local opts = node.opts
    local words, changes = process.check("to_process", node.args.argv, opts.env)
    node.state = {
      words = words, changes = changes, opts = opts, delimiter = opts.delimiter or "\n",
    }
  end,

  emit = function(b, node, x) b:call(node, send, b:constant(node), x) end,

  finish = function(node) finish(node.state) end,

  destroyed = function(node)
    local S = node.state
    if not S.child then return end
    C.tw_process_flush(S.child, 1)
    sched.spawn(function() finish(S) end)
  end,
}
