local C = require "tideway.declare" ("processes", "files")
local errors = require "tideway.errors"
local ffi = require "ffi"
local policy = require "tideway.policy"
local process = require "tideway.process"
local sched = require "tideway.sched"
local timers = require "tideway.timers"
local view = require "tideway.view"

local ERROR_SIZE = 1024
local STDERR = {
  inherit = C.TW_STDIO_INHERIT, stdout = C.TW_STDIO_OUTPUT, ignore = C.TW_STDIO_IGNORE,
}

local function expire(S)
  S.view.ptr = nil
  view.expire()
end

--- The child's output through the reader of text files.
local function open_lines(S, opts)
  local o, message = ffi.new "tw_textfile_options", ffi.new("char[?]", ERROR_SIZE)
  local delim = opts.delimiter or "\n"
  o.name, o.fd = S.name, C.tw_process_fd(S.child, 1)
  o.delim, o.dlen = delim, #delim
  o.encoding = C.TW_ENCODING_NONE
  o.max_line = opts.max_line or 0
  o.partial = opts.partial ~= false and 1 or 0
  local lines = C.tw_textfile_open(sched.loop(), o, message, ERROR_SIZE)
  if lines == nil then error("from_process: " .. ffi.string(message), 0) end
  S.lines = ffi.gc(lines, C.tw_textfile_close)
  S.lines_id, S.line = C.tw_textfile_id(lines), C.tw_textfile_lines(lines)
end

--- The output has ended: see how the child does.
local function conclude(node, S)
  process.wait(S.child, S.id, process.exited)
  if S.stopped or node.opts.check == false then return end
  local why = process.complaint("from_process", S.name, S.child)
  if not why then return end
  if not node.policy or node.policy == "raise" then error(why, 0) end
  policy.dispose(node, node.policy, why, "", error, why, 0)
end

return {
  name = "from_process",
  doc = [[The lines of a program's output, without the delimiter, all of them, also when it has ended
long since. argv is the program, looked up in PATH, and its arguments; there is no shell between:
{"sh", "-c", "..."} asks for one. While the pipeline waits the program does. Its end is the end of
the stream; a status other than 0 raises then, or goes by source:on_error, unless `check = false`.
source:stop() sends SIGTERM to the program and its children, delivers what it still writes, and after
5 s SIGKILL. Its standard input is empty.]],
  args = { { "argv", "table", "{\"program\", \"argument\", ...}" } },
  opts = {
    { "delimiter", "string?", "what ends a line, any text; default \"\\n\"" },
    { "check", "boolean?", "false: its exit status does not matter" },
    { "stderr", '"inherit"|"stdout"|"ignore"?', "its errors: to ours (default), among the lines, nowhere" },
    { "view", "boolean?", "give views of the lines instead of strings: much faster" },
    { "partial", "boolean?", "deliver a last line that has no delimiter; default true" },
    { "max_line", "count?", "a longer line is an error; default: no limit" },
    unpack(process.settings),
  },
  outputs = "1",
  example = [[ tw.from_process{"printf", "%s\\n", "a b", "c"} ]],
  gives = { "a b", "c" },

  new = function(node)
    local opts = node.opts
    if opts.delimiter == "" then errors.misuse "from_process: delimiter must not be empty" end
    node.words, node.changes = process.check("from_process", node.args.argv, opts.env)
    node.view = view.new()
    if opts.view then view.passes(node, node.view) end
  end,

  drains = true,

  open = function(node)
    local opts = node.opts
    local S = { name = node.words[1], view = node.view, epoch = view.epoch }
    S.child, S.id = process.start("from_process", node.words, node.changes, opts,
      { C.TW_STDIO_IGNORE, C.TW_STDIO_LINES, STDERR[opts.stderr or "inherit"] })
    open_lines(S, opts)
    node.state = S
  end,

  pull = function(node)
    local S = node.state
    while true do
      expire(S)
      local n = C.tw_textfile_next(S.lines)
      if n > 0 then return n end
      if n == C.TW_AGAIN then
        if S.killed then return nil end -- a stranger has its output open
        sched.wait(S.lines_id)
      elseif n == C.TW_EOF then
        return conclude(node, S)
      else
        error("from_process: " .. ffi.string(C.tw_textfile_error(S.lines)), 0)
      end
    end
  end,

  loop = function(b, node)
    b:line "local line = S.line"
    if not node.opts.view and not view.only_decoded(node) then
      return function() return "ffi_string(line[i].ptr, line[i].len)" end
    end
    b:line "local v, epoch = S.view, S.epoch"
    return function()
      b:line "v.ptr, v.len, v.born = line[i].ptr, line[i].len, epoch[0]"
      return "v"
    end
  end,

  close = function(node)
    local S = node.state
    S.stopped = true
    if not process.exited(S.child) then C.tw_process_kill(S.child, process.TERM) end
    -- what it still writes is delivered; should that not end, it is made to
    S.timer = process.after_grace(function()
      S.killed = true
      C.tw_process_kill(S.child, process.KILL)
      C.tw_loop_wake(sched.loop(), S.lines_id)
    end)
  end,

  over = function(S)
    if S.timer then timers.cancel(S.timer) end
    expire(S)
    C.tw_textfile_close(ffi.gc(S.lines, nil))
    process.close(S.child, S.id)
  end,
}
