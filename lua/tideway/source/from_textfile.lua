local C = require "tideway.declare" "files"
local division = require "tideway.division"
local errors = require "tideway.errors"
local ffi = require "ffi"
local follow = require "tideway.follow"
local sched = require "tideway.sched"
local view = require "tideway.view"

local ERROR_SIZE = 1024
local ENCODINGS = { none = C.TW_ENCODING_NONE, gzip = C.TW_ENCODING_GZIP, zstd = C.TW_ENCODING_ZSTD }
local SUFFIXES = { gz = "gzip", zst = "zstd" }

local function encoding(opts, path)
  return opts.encoding or SUFFIXES[path:match "%.(%w+)$" or ""] or "none"
end

--- The paths that a path or glob means. op: who asks.
local function match(op, pattern)
  local size = 4096
  while true do
    local buf = ffi.new("char[?]", size)
    local n = tonumber(C.tw_paths_match(pattern, buf, size))
    if n < 0 then error(("%s: %s: the directory cannot be read"):format(op, pattern), 0) end
    if n == 0 then error(("%s: no file matches %s"):format(op, pattern), 0) end
    if n <= size then
      local paths = {}
      for path in ffi.string(buf, n):gmatch "([^%z]+)%z" do paths[#paths + 1] = path end
      return paths
    end
    size = n
  end
end

--- Is a path no archive?
local function plain(opts, path) return encoding(opts, path) == "none" end

--- What is to be read of a source's file, an array; among several copies of the script, by this one. Also
-- that of all of them.
-- delimiter  between records, where files may be cut
local function sources(node, delimiter)
  local file = node.args.file
  if division.is_input(file) and not division.reads_input() and node.opts.divide ~= false then return {}, {} end
  if type(file) ~= "string" or file == "-" then return { file }, { file } end
  return division.of(node, match(node.kind, file), delimiter, function(path) return plain(node.opts, path) end)
end

--- Open what `source` is: a path, "-", a Lua file object, a part of a file (tideway.division).
local function open_one(S, source)
  local o = ffi.new "tw_textfile_options"
  local opts = S.opts
  local name = source
  o.fd = -1
  S.part = type(source) == "table" and source or nil
  if S.part then
    name, source = source.path, source.path
    o.start, o.stop = S.part.start, S.part.stop
  end
  if source == "-" then
    name, o.fd = "standard input", 0
  elseif type(source) ~= "string" then
    name, o.file = tostring(source), source
  end
  local delim = opts.delimiter or "\n"
  o.name, o.delim, o.dlen = name, delim, #delim
  o.encoding = ENCODINGS[encoding(opts, name)]
  o.max_line = opts.max_line or 0
  o.partial = opts.partial ~= false and 1 or 0
  o.from_end = opts.from_end and 1 or 0
  local message = ffi.new("char[?]", ERROR_SIZE)
  local file = C.tw_textfile_open(sched.loop(), o, message, ERROR_SIZE)
  if file == nil then error(S.op .. ": " .. ffi.string(message), 0) end
  S.file = ffi.gc(file, C.tw_textfile_close) -- for one that is stopped and then dropped
  S.id, S.lines = C.tw_textfile_id(file), C.tw_textfile_lines(file)
  S.line, S.n, S.at[0] = S.lines, 0, -1
  S.before, S.name = 0, name -- lines of the file before S.line[0]
  -- of an archive no position says how far it has been read: the file is left alone
  S.handed = type(source) ~= "string" and o.encoding == C.TW_ENCODING_NONE and source or nil
end

--- Where the first line that has not been delivered starts.
local function position(S)
  local i = S.at[0] + 1
  if i >= S.n then return tonumber(C.tw_textfile_position(S.file)) end
  return S.start + tonumber(S.line[i].ptr - S.lines[0].ptr)
end

local function close_one(S)
  local file = S.file
  if not file then return end
  local at = position(S)
  if S.handed and io.type(S.handed) == "file" then
    pcall(S.handed.seek, S.handed, "set", at) -- fails where a file has no position, a pipe
  end
  S.file = nil
  C.tw_textfile_leave(file, at)
  C.tw_textfile_close(ffi.gc(file, nil))
end

--- No line of the last batch is valid any more.
local function expire(S)
  S.view.ptr = nil
  view.expire()
end

--- Do it now, or when the element on its way, if there is one, has been delivered.
local function after_delivery(node, fn)
  if node.out_region and node.out_region.busy then sched.spawn(fn) else fn() end
end

local function open_next(S)
  local source = S.sources[S.next]
  if source == nil then return false end
  S.next = S.next + 1
  open_one(S, source)
  return true
end

return {
  -- for sources of other things in files
  only_decoded = view.only_decoded,
  sources = sources, open_next = open_next, open_one = open_one, close_one = close_one, after_delivery = after_delivery,

  name = "from_textfile",
  doc = [[The lines of a text file, without the delimiter. Reading, unpacking and splitting are
native. With the default delimiter a line of a CRLF file keeps its "\r"; delimiter = "\r\n" takes
both. The files of a glob follow each other in the order of their names. Among workers (tideway help run) files are
divided; a single one is cut between lines.

With follow = true it goes on with what is appended, until it is stopped, through what is done to
logs: renamed, deleted, truncated (copytruncate) and made anew; all files of a glob at once, also those
that come later. A file that was renamed or deleted is read until it has been silent for a minute.
A line that has no end yet waits for it, or for the end of its file. Archives are left out; a
glob must not match the copies that copytruncate makes. With `position` a process that is started again
goes on where the one before ended, also in files that have been rotated meanwhile (as long as they
are not packed): the file says where the first line is that was not through, what buffers and windows
hold included, and is written every second and at the end. After a crash lines come again that
were through later than that, none is left out. A line that failed is not through.]],
  args = { { "file", "any", "a path, a glob, \"-\" for standard input, or an open Lua file" } },
  opts = {
    { "delimiter", "string?", "what ends a line, any text; default \"\\n\"" },
    { "encoding", '"gzip"|"zstd"|"none"?', "default: by the suffix, .gz or .zst" },
    { "view", "boolean?", "give views of the lines instead of strings: much faster" },
    { "partial", "boolean?", "deliver a last line that has no delimiter; default true" },
    { "from_end", "boolean?", "start at the present end of the file" },
    { "max_line", "count?", "a longer line is an error; default: no limit" },
    { "follow", "boolean?", "true: go on reading what is appended" },
    { "position", "string?", "of follow: the file that says how far it has read" },
    { "poll_interval", "duration?", "of follow: how often to look; default 1 s, 100 ms without inotify" },
    division.opts[1],
  },
  outputs = "1",
  example = [[ tw.from_textfile("examples/data/seattle-weather.csv"):take(1) ]],
  gives = { "date,precipitation,temp_max,temp_min,wind,weather" },

  new = function(node)
    local file, opts = node.args.file, node.opts
    if type(file) ~= "string" and io.type(file) ~= "file" then
      errors.misuse("from_textfile: file must be a path or an open file, got %s",
        io.type(file) or type(file))
    end
    if opts.delimiter == "" then errors.misuse "from_textfile: delimiter must not be empty" end
    node.view = view.new()
    if opts.view then view.passes(node, node.view) end
    if opts.follow then return follow.new(node) end
    if opts.position then errors.misuse "from_textfile: position needs follow = true" end
    if opts.from_end and type(file) == "string" and encoding(opts, file) ~= "none" then
      errors.misuse "from_textfile: an archive has no end to start from (from_end)"
    end
  end,

  open = function(node)
    local file = node.args.file
    if node.opts.follow then return follow.open(node) end
    if node.state and node.state.file then return end -- was stopped: goes on where it was
    local S = {
      op = "from_textfile", opts = node.opts, next = 1, n = 0,
      at = ffi.new("int[1]", -1), -- the line of the batch that was delivered last
      view = node.view, epoch = view.epoch,
    }
    if type(file) ~= "string" and io.type(file) ~= "file" then
      error("from_textfile: the file has been closed", 0)
    end
    S.sources = sources(node, not node.opts.from_end and (node.opts.delimiter or "\n") or nil)
    open_next(S)
    node.state = S
  end,

  pull = function(node)
    if node.opts.follow then return follow.pull(node) end
    local S = node.state
    expire(S)
    local i = S.at[0] + 1
    if i < S.n then -- stopped within a batch, and started again
      S.line, S.n, S.at[0] = S.line + i, S.n - i, -1
      S.before = S.before + i
      return S.n
    end
    while S.file and node.running do
      S.start = tonumber(C.tw_textfile_position(S.file))
      local n = C.tw_textfile_next(S.file)
      if n > 0 then
        S.before = S.before + S.n
        S.line, S.n, S.at[0] = S.lines, n, -1
        return n
      end
      if n == C.TW_AGAIN then
        sched.wait(S.id)
      elseif n == C.TW_EOF then
        close_one(S)
        if not open_next(S) then return nil end
      else
        error("from_textfile: " .. ffi.string(C.tw_textfile_error(S.file)), 0)
      end
    end
    return nil
  end,

  loop = function(b, node)
    b:line "local line, at = S.line, S.at"
    if not node.opts.view and not view.only_decoded(node) then
      return function()
        b:line "at[0] = i"
        return "ffi_string(line[i].ptr, line[i].len)"
      end
    end
    b:line "local v, epoch = S.view, S.epoch"
    return function()
      b:line "at[0] = i"
      b:line "v.ptr, v.len, v.born = line[i].ptr, line[i].len, epoch[0]"
      return "v"
    end
  end,

  --- Where the element on its way comes from, for error messages.
  place = function(node)
    if node.opts.follow then return follow.place(node) end
    local S = node.state
    if S and S.file and S.at[0] >= 0 then
      if S.part then
        return ("byte %d of %s"):format(S.start + tonumber(S.line[S.at[0]].ptr - S.lines[0].ptr), S.name)
      end
      return ("line %d of %s"):format(S.before + S.at[0] + 1, S.name)
    end
  end,

  leave = function(node)
    if node.opts.follow then follow.leave(node) end
  end,

  -- One that was stopped, or whose element failed, keeps its place until it is destroyed.
  close = function(node)
    if node.opts.follow then return follow.close(node, after_delivery) end
    local S = node.state
    after_delivery(node, function()
      expire(S)
      if not node.stopped or node.destroyed then close_one(S) end
    end)
  end,

  destroyed = function(node)
    if node.opts.follow then return follow.destroyed(node, after_delivery) end
    local S = node.state
    if S then after_delivery(node, function() close_one(S) end) end
  end,

  -- stopped while its task waits: have it look
  cancel = function(node)
    if node.state.id then C.tw_loop_wake(sched.loop(), node.state.id) end
  end,
}
