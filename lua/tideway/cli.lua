--- tideway.cli -- the `tideway` command: what stands behind each of its words.
--
-- bindings/cli/main.c calls cli.main(words, mute, ...); its result is the exit status. Everything
-- is required when it is needed, so that a filter's first output comes after 5 ms at most. With
-- --workers the copies of a script are run by cli.copy, each in a thread and state of its own.
require "tideway.traversal" -- before any module takes `pairs` or `next`

local cli = {}

local DONE, FAILED, MISUSE = 0, 1, 2
local VERSION = "0.1.0"

-- Words of later releases, commands and settings of `run`.
local later = { graph = true, repl = true, bench = true, new = true }
local later_settings = {
  ["--state"] = true, ["--dashboard"] = true, ["--progress"] = true,
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

local copy -- of a script, which this state runs: { id =, count = }; nil: the only one

--- The lines of an error, on standard error in one piece. Copies that fail alike say it once.
local function tell(lines)
  local text = table.concat(lines, "\n") .. "\n"
  if copy and copy.count > 1 then
    local owner = tostring(copy.id)
    if require "tideway.crew".agree("failed: " .. text, owner) ~= owner then return end
    text = ("worker %d: %s"):format(copy.id, text)
  end
  io.stderr:write(text)
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
  local lines = { explain(first) }
  for line in rest:gmatch "[^\n]+" do lines[#lines + 1] = (line:find "^%s" and "" or "  ") .. line end
  tell(lines)
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

--- Set `arg` as luajit has it; the script is words[i]. Returns the further words.
local function set_arg(words, i)
  local args, further = {}, {}
  for k = 0, #words do args[k - i] = words[k] end
  for k = i + 1, #words do further[k - i] = words[k] end
  _G.arg = args
  return further
end

--- Load SCRIPT, the first of words from position i on, and set `arg`.
-- Returns the chunk and { its further words, its path, its text, its name }, or nil and the exit status.
local function load_script(words, i, command)
  local path = words[i]
  if not path then return nil, misuse("%s: which script? (tideway help %s)", command, command) end
  local text, name = require "tideway.script".read(path)
  if not text then return nil, misuse("%s", name) end
  local chunk, err = loadstring(text, name)
  if not chunk then return nil, report(err, path) end
  return chunk, { further = set_arg(words, i), path = path, text = text, name = name }
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
    io.write(require("tideway.manual").pages[command])
    return nil, DONE
  end
  local option = word:match "^[^=]*"
  if command == "run" and later_settings[option] then
    return nil, misuse("%s: %s is not there yet", command, option)
  end
  return nil, misuse("%s: unknown option %s%s (tideway help %s)", command, option,
    did_you_mean(option, command == "run" and { "--help", "--workers", "--metrics" } or { "--help" }), command)
end

--- Run a script, then the sources that it has left alone.
local function run_script(path, chunk, further)
  local status = guarded(path, chunk, unpack(further))
  return status == DONE and guarded(path, run_sources) or status
end

local MOST = 1000 -- workers

--- How many workers are wanted by the words from position i on: a number, and the position behind; nil and the
-- status on misuse.
local function worker_count(words, i)
  local value = words[i]:match "^%-%-workers=(.*)$"
  local behind = value and i + 1 or i + 2
  value = value or words[i + 1]
  if value == "auto" or value == "0" then return require "tideway.copies".cores(), behind end
  local count = value and value:find "^%d+$" and tonumber(value)
  if not count or count > MOST then
    return nil, misuse("run: --workers takes a number of threads, 1 .. %d, or auto, one a core; got %s", MOST,
      value and ("%q"):format(value) or "nothing")
  end
  return count, behind
end

--- The address that is wanted by the words from position i on: { host =, port = }, and the position behind; nil and
-- the status on misuse.
local function metrics_address(words, i)
  local value = words[i]:match "^%-%-metrics=(.*)$"
  local behind = value and i + 1 or i + 2
  value = value or words[i + 1]
  local host, port = (value or ""):match "^(.*):(%d+)$"
  port = tonumber(port)
  if not port or port > 65535 then
    return nil, misuse("run: --metrics takes an address, [HOST]:PORT, such as :9100; got %s",
      value and ("%q"):format(value) or "nothing")
  end
  host = host:match "^%[(.*)%]$" or host
  return { host = host ~= "" and host or "127.0.0.1", port = port }, behind
end

--- Run so many copies of a script, whose path is words[i]. furnish: see tideway.copies. Returns the exit status.
local function run_copies(count, script, words, i, furnish, address)
  local texts = { script.path, script.text, script.name, tostring(i), words[0] or "tideway" }
  for k = 1, #words do texts[#texts + 1] = words[k] end
  return require "tideway.copies".run(count, furnish, "tideway.cli", "copy", texts, address)
end

function commands.run(words, _, furnish)
  local count, i, address = 1, 2, nil
  while true do
    local option = words[i] and words[i]:match "^[^=]*"
    if option == "--workers" then
      count, i = worker_count(words, i)
      if not count then return i end
    elseif option == "--metrics" then
      address, i = metrics_address(words, i)
      if not address then return i end
    else
      break
    end
  end
  local at, status = after_options(words, i, "run")
  if not at then return status end
  local chunk, script = load_script(words, at, "run")
  if not chunk then return script end
  if count > 1 or address then return run_copies(count, script, words, at, furnish, address) end
  return run_script(script.path, chunk, script.further)
end

--- A status as os.exit takes it.
local function exit_status(code)
  if code == nil or code == true then return DONE end
  return code == false and FAILED or tonumber(code) or FAILED
end

--- What a copy has counted to its end.
local function publish()
  local metrics = package.loaded["tideway.metrics"]
  if metrics then metrics.publish() end
end

--- What a copy has of its own instead of what is the process's.
local function settle_in(crew)
  local stdout, tostring = io.stdout, tostring
  rawset(_G, "print", function(...)
    local list = { ... }
    for k = 1, select("#", ...) do list[k] = tostring(list[k]) end
    stdout:write(table.concat(list, "\t"), "\n")
  end)
  rawset(os, "exit", function(code)
    stdout:flush()
    publish()
    crew.exit(exit_status(code))
  end)
  if copy.count == 1 then return end
  require "tideway.host".say = function(line) io.stderr:write(("worker %d: %s\n"):format(copy.id, line)) end
end

--- Run copy `id` of `count` of a script; member: what its thread knows it by. Called by runtime/engine/crew.c.
-- i  the position of the script's path among the words of the command line, of which `program` is words[0]
function cli.copy(member, id, count, path, text, name, i, program, ...)
  copy = { id = id, count = count }
  local crew = require "tideway.crew"
  crew.join(member, id, count)
  settle_in(crew)
  if crew.counts() then require("tideway.metrics").start() end
  local words = { [0] = program, ... }
  local status = run_script(path, assert(loadstring(text, name)), set_arg(words, tonumber(i)))
  publish()
  io.stdout:flush()
  return status
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
  local chunk, script = load_script(words, i, "check")
  if not chunk then return script end
  local path = script.path

  local nodes, tried = disarm()
  local handler = require "tideway.errors".handler
  local excused = false
  rawset(os, "exit", function() error(HALT) end)
  mute(true)
  local ok, err = xpcall(chunk, function(err)
    excused = err == HALT or tried() and not is_misuse()
    return handler(err)
  end, unpack(script.further))
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
    io.write(require("tideway.manual").usage, "\n")
    list_names()
    print "also        stdin stream emit try_emit connect destroy apply named on_error on_end start"
    print "            explain null spawn sleep channel step metadata metrics ref_counter testing worker"
    return DONE
  end
  local pages, topics = require("tideway.manual").pages, require("tideway.manual").topics
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
-- terminal: is standard error one? furnish: gives another Lua state its modules.
-- Returns the exit status.
function cli.main(words, mute, terminal, furnish)
  if terminal then tell_person() end
  local word = words[1]
  if not word then
    io.stderr:write(require("tideway.manual").usage)
    return MISUSE
  end
  local name = spelled[word] or word
  if commands[name] then
    if words[2] == "--help" and name == "help" then words[2] = nil end
    return commands[name](words, mute, furnish)
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
