--- tideway.cli -- the `tideway` command: what stands behind each of its words.
--
-- bindings/cli/main.c calls cli.main(words, mute); its result is the exit status. Everything
-- is required when it is needed, so that a filter's first output comes after 5 ms at most.
local cli = {}

local DONE, FAILED, MISUSE = 0, 1, 2
local VERSION = "0.1.0"

local usage = [[
usage: tideway COMMAND ...

  tideway run SCRIPT [ARGS]   run a pipeline script; - reads it from standard input
  tideway eval 'EXPR'         run a pipeline written right here; short: tideway -e 'EXPR'
  tideway check SCRIPT        build the graph, run nothing, report mistakes
  tideway test [DIR]          run the specs in DIR (spec), *_spec.lua, with busted
  tideway help [NAME]         about a command, an operator, a source, a sink, a codec
  tideway version             which tideway this is

tideway -e 'stdin():json():filter(function(r) return r.status >= 500 end):print()' < log

Exit status: 0 done, 1 failed, 2 misuse.
]]

local pages = {
  run = [[
tideway run SCRIPT [ARGS]

Runs a Lua script. `arg` holds SCRIPT (arg[0]) and ARGS, as under luajit. When the script
has come to its end, sources that were never started are run: tw.run() may be left out.
Call it where what follows needs the results: it returns when all sources have ended;
tw.stop() ends it early and in order. SCRIPT is a file, or - for standard input.

SIGINT (Ctrl-C) and SIGTERM do what tw.stop() does: sources stop, what is in flight is delivered,
windows with flush = true and files are completed, and the script goes on after tw.run(), which
returns the signal's name. A second signal ends the process at once. tw.run{signals = false}
leaves them alone.
]],
  eval = [[
tideway eval 'EXPR'
tideway -e 'EXPR'

Runs a pipeline given on the command line. Every function of the module `tideway` is a
global (from_range, from_textfile, ...), so are `tw`, the module itself, and stdin(), the
lines of standard input. EXPR may be several expressions, separated by ; or newlines, or
any Lua. One expression that is a pipeline without a sink has its elements printed, one JSON
line each; one that is a plain value is printed as it is.

  tideway -e 'from_range(1, 5):map(function(x) return x * x end)'
]],
  check = [[
tideway check SCRIPT [ARGS]

Runs the script as far as it builds its graph: elements are not emitted, sources are not
started, what it prints is dropped. Says what is wrong, exit status 1, or how large the
graph is; notes what leads to no sink.
]],
  test = [[
tideway test [DIR or FILE ...] [-- OPTIONS]

Runs specs, the files *_spec.lua in DIR (default: spec) and the folders in it, with busted, which
must be installed. In a spec require "tideway" is this tideway, modules are found from the
folder in which the command is called, and tw.testing.clock() gives the virtual clock, under
which time passes only by clock:advance; each file begins with the real one. OPTIONS are
busted's: --filter=PATTERN, --output=TAP, ... Exit status 1 when something has failed.

  local tw = require "tideway"
  describe("a pipeline", function()
    it("closes its window after a minute", function()
      local clock = tw.testing.clock()
      local source = tw.stream()
      local out = source:timed_window("1m"):sink_to_list()
      source:emit(1)
      clock:advance "1m"
      assert.same({ { 1 } }, out)
    end)
  end)
]],
  help = [[
tideway help [NAME]
tideway NAME --help

Without a name: the commands and every operator, source, sink, codec and aggregate there
is. With one: what it does, its arguments and settings, an example and what it gives.
]],
  version = [[
tideway version
tideway --version

The version of tideway, of its library's interface (ABI) and of LuaJIT.
]],
}

-- What is no operator, source or sink: name -> how it is called, what it does.
local topics = {
  stdin = { "stdin({settings})", [[
In an expression (tideway -e): the lines of standard input. In a script it is called
tw.from_textfile("-", {settings}); tideway help from_textfile has the settings.]] },
  stream = { "tw.stream({name = ...})", [[
A stream that is fed by hand, stream:emit(x), or by upstream:connect(stream).]] },
  emit = { "stream:emit(x, metadata?)", [[
Deliver an element, anything but nil, to all that is below; returns once it is through. Raises
what a function below has raised.]] },
  try_emit = { "stream:try_emit(x, metadata?)", [[
Emit without ever waiting: false when the element would have had to (a full buffer, a rate limit,
a busy stream), and then nothing was taken; else true. A function that suspends goes on in a task of
its own.]] },
  spawn = { "tw.spawn(fn, ...)", [[
Start a task that runs fn(...) beside the others, from the next turn of the loop on. Returns it:
  task:wait()    its results, or its error raised ("cancelled" when it was); runs the loop outside tasks
  task:cancel()  it ends where it waits; what it is delivering ends there
  task:status()  "waiting" "running" "done" "failed" "cancelled"
tw.run() raises the error of a task that nobody waits for.

example
  local task = tw.spawn(function(x) tw.sleep("1s") return x * 2 end, 21)
  print(task:wait())]] },
  sleep = { "tw.sleep(duration)", [[
Wait inside any function: seconds, or text like "10ms". What is above it waits with it, other tasks
run. tw.sleep(0) lets the others have their turn.]] },
  channel = { "tw.channel(n)", [[
A queue between tasks, with room for n elements.
  channel:put(x)   waits while it is full; raises when it is closed
  channel:get()    waits while it is empty; nil once it is closed and empty
  channel:close()  no more puts; what is in it can still be taken]] },
  step = { "tw.step(timeout?)", [[
One turn of the loop, for programs with a loop of their own. Waits up to timeout (default 0) when
nothing is ready. Returns whether anything is left to do; raises what a task has failed with.]] },
  metadata = { "tw.metadata()", [[
The metadata of the element at hand, inside any function: the array of tables that was given to
stream:emit(x, {{...}}), of a window or a join those of all its elements; nil when there is none.]] },
  ref_counter = { "tw.ref_counter({initial = 0, callback = fn})", [[
Counts who still has work with an element: source:emit(x, {{ref = counter}}). When all that was made
of it is through, and nothing of it has failed, fn() is called, as a task, once.
counter:retain(n), counter:release(n) and counter:count() are for holders of your own.

example
  source:emit(x, {{ref = tw.ref_counter{callback = function() commit(x) end}}})]] },
  testing = { "tw.testing.clock()", [[
The virtual clock: from now on time passes only by clock:advance("10s"), called outside any task, which
runs all that becomes due, in order, to the nanosecond; advance(0) runs what is ready.
clock:now() is in seconds; clock:restore() gives the real clock back. See tideway help test.]] },
  connect = { "upstream:connect(downstream)", [[
Subscribe one stream to another, also one above it: loops run in constant stack.
upstream:disconnect(downstream) undoes it; stream:upstreams() and stream:downstreams() are arrays.]] },
  destroy = { "stream:destroy()", [[
Detach a stream from all its upstreams. A sink ends here, and what it had buffered is written;
a source stops.]] },
  apply = { "stream:apply(fn, ...)", "fn(stream, ...): pipelines are functions from streams to streams." },
  named = { "stream:named(name)", "Name a stream, for messages: <map: name>. Returns the stream." },
  on_error = { "stream:on_error(policy)", [[
What becomes of an element when a function below the stream fails. The nearest policy above counts.
  "raise"                          the error goes to the emitter; of a source: the run fails (default)
  "skip"                           the element is dropped
  {retry = 3, backoff = "100ms"}   further attempts, then raise, or ["then"] = another policy
  a stream                         gets {element =, error =, operator =, metadata =}: dead letters
Set it on the source, or on any stream above the one that may fail; it does not hold for the
functions of that stream itself.

example
  local dead = tw.stream()
  dead:sink(function(d) io.stderr:write(d.error, "\n") end)
  tw.from_textfile("log.ndjson"):on_error(dead):json():print()]] },
  on_end = { "stream:on_end(fn)", "Call fn() when the stream has ended. Returns the stream." },
  start = { "stream:start()", [[
Start the sources above the stream; their elements come when the loop runs. stream:stop() stops
them, which ends nothing. tw.run() and the end of a script start all sources that were never started.

tw.stop() ends the run in order: sources stop, what is in flight is delivered, buffers drain, the
streams below end, so that windows with flush = true emit what they hold, tasks are cancelled
(those that a function below a stream has spawned are waited for), files are completed. SIGINT
and SIGTERM do the same while tw.run() runs (tideway help run).]] },
  counts = { "source:counts()",
    "What a source has counted, as a table of names: from_tcp, from_unix, from_udp." },
  port = { "source:port()", "The port that a source listens on, also one that was asked for as 0." },
  ["http.get"] = { "tw.http.get(url, {settings})", [[
Get a page inside any function: the task waits, others run. Returns {status =, headers =, body =,
url =} whatever the status is; raises when there is no answer ("timeout", "connection refused" ...).
http and https, connections are kept, redirects followed (url is where they led).
  timeout = "30s"  connect_timeout  redirects = 10  max_body = 64 MB  headers = {name = value}
  retries = 0      backoff = "100ms": asks again after 408, 429, 502, 503, 504 and lost connections,
                   ever later or when Retry-After says so; a POST only if nobody can have got it
  method  body     verify = false: take any certificate   ca_file   cert   key   unix_socket
  proxy = "http://host:port", or true: as the environment says (https_proxy, no_proxy); default none
Needs libcurl (Debian: libcurl4-openssl-dev) when tideway is built.]] },
  ["http.post"] = { "tw.http.post(url, body, {settings})", [[
As tw.http.get, with a body, a string; method = "PUT" and the like may be set.]] },
  ["http.request"] = { "tw.http.request{url = ..., ...}", [[
As tw.http.get(url, {...}): method, body and headers are what one sets mostly.

example
  stream:map(function(x) return tw.http.request{url = url, body = x, timeout = "5s"}.status end)]] },
  ["process.run"] = { "tw.process.run({\"program\", \"argument\", ...}, {settings})", [[
Run a program to its end inside any function: the task waits, others run. No shell. Returns
{status =, signal =, stdout =, stderr =}; raises when it cannot be started ("no such file or
directory"), takes longer than timeout or, with check = true, fails.
  stdin = "text"  timeout  check = false  stderr = "capture" or "inherit" or "stdout"
  env = {NAME = "value", OTHER = false}  cwd  max_output = 64 MB

example
  stream:map(function(name) return tw.process.run({"du", "-s", name}, {check = true}).stdout end)]] },
  explain = { "stream:explain()", "The graph that the stream is part of, as text." },
  null = { "tw.null", "The element that stands for JSON's null: x == tw.null. An ordinary element." },
  flush = { "tw.flush()", [[
Complete what sinks have buffered. collector:flush() emits what stream:collect() holds.]] },
  register_operator = { "tw.register_operator(name, def)", [[
Add a method of that name to every stream; def is a function (stream, ...) -> stream.]] },
  limits = { "tw.limits{memory = \"64MB\", instructions = 1e8, time = \"1s\"}", [[
Limits for scripts that are not trusted, from now on.]] },
}
for name, other in pairs {
  disconnect = "connect", upstreams = "connect", downstreams = "connect", stop = "start",
  ["testing.clock"] = "testing",
} do
  topics[name] = topics[other]
end

-- Words of later releases, commands and settings of `run`.
local later = { graph = true, repl = true, bench = true, new = true }
local later_settings = {
  ["--workers"] = true, ["--state"] = true, ["--metrics"] = true, ["--dashboard"] = true,
  ["--progress"] = true,
}

-- Messages --------------------------------------------------------------------------------

local function misuse(fmt, ...)
  io.stderr:write("tideway: ", fmt:format(...), "\n")
  return MISUSE
end

local function did_you_mean(name, known)
  return require "tideway.errors".suggestion(name, known)
end

local kinds = { "op", "source", "sink", "codec", "agg" }

--- Every name a pipeline can use, from the catalog.
local function known_names()
  local catalog = require "tideway.catalog"
  local names, seen = {}, {}
  local function add(name)
    if seen[name] then return end
    seen[name] = true
    names[#names + 1] = name
  end
  for _, kind in ipairs(kinds) do
    for _, name in ipairs(catalog[kind]) do add(name) end
  end
  for name in pairs(catalog.alias) do add(name) end
  local tw = package.loaded["tideway"]
  for name, value in pairs(type(tw) == "table" and tw or {}) do
    if type(name) == "string" and type(value) == "function" then add(name) end
  end
  table.sort(names)
  table.insert(names, 1, "stdin")
  return names
end

--- What Lua says of a call of nothing, with the name that was perhaps meant.
local function explain(line)
  local name = line:match "attempt to call %a+ '([%w_]+)' %(a nil value%)"
  return name and line .. did_you_mean(name, known_names()) or line
end

--- Write an error to stderr: one line that says where and what, the rest indented.
-- where  stands before a first line that does not say it itself
local function report(err, where)
  local text = err
  if type(err) ~= "string" then
    local meta = getmetatable(err)
    text = type(meta) == "table" and meta.__tostring and tostring(err)
      or ("(error object is a %s value)"):format(type(err))
  end
  local first, rest = text:match "^([^\n]*)\n?(.*)$"
  if not first:find "^[^%s:][^:]*:%d+:" then
    -- the innermost line of the user's own that the traceback knows
    local at = rest:match "^%s*([^\n:]+:%d+): in " or rest:match "\n%s*([^\n:]+:%d+): in "
      or rest:match "built at ([^\n:]+:%d+)"
    first = (at or where) .. ": " .. first
  end
  io.stdout:flush()
  io.stderr:write(explain(first), "\n")
  for line in rest:gmatch "[^\n]+" do
    io.stderr:write(line:find "^%s" and "" or "  ", line, "\n")
  end
  return FAILED
end

--- Call fn with the traceback of tideway.errors on failure. Returns 0, or 1 when it failed.
local function guarded(where, fn, ...)
  local errors = require "tideway.errors"
  local ok, err = xpcall(fn, errors.handler, ...)
  if not ok then err = errors.caught(err) end
  return ok and DONE or report(err, where)
end

-- Scripts -----------------------------------------------------------------------------------

--- Load SCRIPT, the first of words from position i on, and set `arg` as luajit has it.
-- Returns the chunk and its further words, or nil and the exit status.
local function load_script(words, i, command)
  local path = words[i]
  if not path then return nil, misuse("%s: which script? (tideway help %s)", command, command) end
  local text, name = require "tideway.script".read(path)
  if not text then return nil, misuse("%s", name) end
  local chunk, err = loadstring(text, name)
  if not chunk then return nil, report(err, path) end
  local args, further = {}, {}
  for k = 0, #words do args[k - i] = words[k] end
  for k = i + 1, #words do further[k - i] = words[k] end
  _G.arg = args
  return chunk, further, path
end

--- Run the sources that a script has built and left alone, unless a signal has ended its own run.
local function run_sources()
  local tw, stop = package.loaded["tideway"], package.loaded["tideway.stop"]
  if type(tw) == "table" and not (stop and stop.signal) then tw.run() end
end

--- What a person at a terminal sees of a signal: the line on which the terminal has written ^C ends,
-- and when the end takes its time a word says so.
local function tell_person()
  local host = require "tideway.host"
  function host.stopping(name)
    if name == "SIGINT" then io.stderr:write "\n" end
  end
  function host.still()
    io.stderr:write "tideway: stopping, what is in flight is delivered first (once more: at once)\n"
  end
end

local commands = {}

--- The position of a command's first word that is no option; nil and the status on misuse.
local function after_options(words, i, command)
  local word = words[i]
  if word == "--" then return i + 1 end
  if not word or word == "-" or word:sub(1, 1) ~= "-" then return i end
  if word == "--help" or word == "-h" then
    io.write(pages[command])
    return nil, DONE
  end
  local option = word:match "^[^=]*"
  if command == "run" and later_settings[option] then
    return nil, misuse("%s: %s is not there yet", command, option)
  end
  return nil, misuse("%s: unknown option %s%s (tideway help %s)", command, option,
    did_you_mean(option, { "--help" }), command)
end

function commands.run(words)
  local i, status = after_options(words, 2, "run")
  if not i then return status end
  local chunk, further, path = load_script(words, i, "run")
  if not chunk then return further end
  status = guarded(path, chunk, unpack(further))
  return status == DONE and guarded(path, run_sources) or status
end

-- Expressions -------------------------------------------------------------------------------

--- The globals of an expression: Lua's own, and all that `tw` has.
local function expression_globals(tw)
  local globals = { tw = tw, stdin = function(opts) return tw.from_textfile("-", opts) end }
  return setmetatable(globals, {
    __index = function(_, name)
      local value = rawget(tw, name)
      if value == nil then value = rawget(_G, name) end
      if value == nil then value = tw[name] end
      return value
    end,
  })
end

--- Show what an expression came to: a stream without a sink is printed, a value too.
local function show(tw, value)
  if type(value) == "number" or type(value) == "string" or type(value) == "boolean" then
    print(value)
  elseif type(value) == "table" and rawget(value, "_node") then
    local node = value._node
    if not node.desc.sink and #node.downs == 0 and not node.destroyed then
      value:print()._node.where = "eval"
    end
  elseif type(value) == "table" and value ~= tw then
    return value
  end
end

function commands.eval(words)
  local i, status = after_options(words, 2, "eval")
  if not i then return status end
  local text = words[i]
  if not text then return misuse "eval: which expression? (tideway help eval)" end
  if words[i + 1] then
    return misuse("eval: one expression, in quotes; %q is a second", words[i + 1])
  end
  -- in parentheses: a tail call would take the expression's own line out of the traceback
  local chunk, err = loadstring("return (" .. text:gsub("[%s;]+$", "") .. "\n)", "=eval")
  if not chunk then chunk, err = loadstring(text, "=eval") end
  if not chunk then return report(err, "eval") end
  return guarded("eval", function()
    local tw = require "tideway"
    local value = show(tw, setfenv(chunk, expression_globals(tw))())
    tw.run()
    if value == nil then return end
    local class = getmetatable(value)
    if class and class.__tostring and value ~= tw.null then return print(value) end -- a task, a channel
    tw.from_iterable({ value }):print()
    tw.run()
  end)
end

-- Check -------------------------------------------------------------------------------------

local HALT = {} -- raised where a script would begin to run

--- Was the error at hand raised by tideway against what the script has built? (The others may
-- come from results that are not there, because nothing ran.) For message handlers.
local function is_misuse()
  local misuse_fn = require "tideway.errors".misuse
  local info = debug.getinfo(4, "f") -- this function, the handler, error, who called it
  return info ~= nil and info.func == misuse_fn
end

local starters = { "run", "step", "stop", "emit", "try_emit", "start", "flush" }
local chained = { start = true, stop = true } -- return their stream

--- Make every way to start the flow do nothing, and collect the nodes that are built.
-- Returns the growing array of nodes, and a function: has the script tried to run?
local function disarm()
  local tried, nodes = false, {}
  local function disarm_table(t)
    for _, name in ipairs(starters) do
      if rawget(t, name) then
        rawset(t, name, function(self)
          tried = true
          return chained[name] and self or nil
        end)
      end
    end
  end
  disarm_table(require "tideway")
  disarm_table(require "tideway.stream".methods)

  local graph = require "tideway.graph"
  local node = graph.node
  function graph.node(desc, ...)
    if desc.methods then disarm_table(desc.methods) end -- collect's flush
    local new = node(desc, ...)
    nodes[#nodes + 1] = new
    return new
  end
  -- streams that lead nowhere are to be seen, not collected
  local hold, held = graph.hold, {}
  function graph.hold(of, handle)
    held[#held + 1] = handle
    return hold(of, handle)
  end
  return nodes, function() return tried end
end

local function count(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

function commands.check(words, mute)
  local i, status = after_options(words, 2, "check")
  if not i then return status end
  local chunk, further, path = load_script(words, i, "check")
  if not chunk then return further end

  local nodes, tried = disarm()
  local handler = require "tideway.errors".handler
  local excused = false
  rawset(os, "exit", function() error(HALT) end)
  mute(true)
  local ok, err = xpcall(chunk, function(err)
    excused = err == HALT or tried() and not is_misuse()
    return handler(err)
  end, unpack(further))
  mute(false)
  if not ok and not excused then return report(err, path) end
  if not ok and err ~= HALT then
    io.stderr:write(("%s: note: checked up to here, what follows needs results\n"):format(
      tostring(err):match "^[^\n]-:%d+%f[:]" or path))
  end

  local sources, sinks = 0, 0
  for _, node in ipairs(nodes) do
    if node.desc.sink then sinks = sinks + 1 end
    if node.desc.open or node.kind == "stream" then sources = sources + 1 end
    if #node.ups > 0 and #node.downs == 0 and not node.desc.sink then
      io.stderr:write(("%s: note: %s leads to no sink\n"):format(node.where, tostring(node)))
    end
  end
  print(("%s: ok: %s, %s, %s"):format(path, count(sources, "entry"):gsub("entrys", "entries"),
    count(#nodes - sources - sinks, "operator"), count(sinks, "sink")))
  return DONE
end

-- Test --------------------------------------------------------------------------------------

function commands.test(words)
  local places, options = {}, {}
  local i = 2
  while words[i] and words[i] ~= "--" do
    if words[i]:sub(1, 1) == "-" then
      local _, status = after_options(words, i, "test")
      return status
    end
    places[#places + 1] = words[i]
    i = i + 1
  end
  for k = i + 1, #words do options[#options + 1] = words[k] end
  if #places == 0 then places[1] = "spec" end
  return require("tideway.specs").run(places, options)
end

-- Help --------------------------------------------------------------------------------------

function commands.version()
  local C = require "tideway.ffi"
  print(("tideway %s (ABI %d, %s)"):format(VERSION, C.tw_abi(), jit.version))
  return DONE
end

local function list_names()
  local catalog = require "tideway.catalog"
  local titles = {
    op = "operators", source = "sources", sink = "sinks", codec = "codecs", agg = "aggregates",
  }
  for _, kind in ipairs(kinds) do
    local line = ("%-11s"):format(titles[kind])
    for _, name in ipairs(catalog[kind]) do
      if #line + #name > 86 then
        print(line)
        line = (" "):rep(11)
      end
      line = line .. " " .. name
    end
    print(line)
  end
end

function commands.help(words)
  local name = words[2]
  if not name then
    io.write(usage, "\n")
    list_names()
    print "also        stdin stream emit try_emit connect destroy apply named on_error on_end start"
    print "            explain null spawn sleep channel step metadata ref_counter testing"
    return DONE
  end
  name = name:gsub("^tw%.", ""):gsub("^stream:", "")
  if pages[name] then
    io.write(pages[name])
    return DONE
  end
  local topic = topics[name]
  if topic then
    print(topic[1] .. "\n\n" .. topic[2])
    return DONE
  end
  if later[name] then return misuse("%s is not there yet", name) end
  local text = require "tideway.docs".help(name)
  if text then
    io.write(text)
    return DONE
  end
  for _, word in ipairs(require "tideway.catalog".later or {}) do
    if word == name then return misuse("%s is not there yet", name) end
  end
  local known = known_names()
  for command in pairs(pages) do known[#known + 1] = command end
  for topic_name in pairs(topics) do known[#known + 1] = topic_name end
  return misuse("help: nothing is called %q%s", name, did_you_mean(name, known))
end

local spelled = {
  ["-e"] = "eval", ["--version"] = "version", ["-v"] = "version", ["-V"] = "version",
  ["--help"] = "help", ["-h"] = "help",
}

--- words[0] is the program's name, words[1] the command. mute(on) silences standard output.
-- terminal: is standard error one? Returns the exit status.
function cli.main(words, mute, terminal)
  if terminal then tell_person() end
  local word = words[1]
  if not word then
    io.stderr:write(usage)
    return MISUSE
  end
  local name = spelled[word] or word
  if commands[name] then
    if words[2] == "--help" and name == "help" then words[2] = nil end
    return commands[name](words, mute)
  end
  if later[name] then return misuse("%s is not there yet", name) end
  if name:sub(1, 1) == "-" then
    return misuse("unknown option %s%s (tideway help)", name,
      did_you_mean(name, { "--help", "--version", "-e" }))
  end
  if words[2] == "--help" or words[2] == "-h" then return commands.help { name, name } end
  if name:find "%.lua$" then
    return misuse("unknown command %q (tideway run %s runs a script)", name, name)
  end
  local known = {}
  for command in pairs(commands) do known[#known + 1] = command end
  table.sort(known)
  return misuse("unknown command %q%s (tideway help)", name, did_you_mean(name, known))
end

return cli
