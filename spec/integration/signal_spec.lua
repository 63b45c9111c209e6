--- SIGINT and SIGTERM while a script runs: the first one ends the run in order, a second one the
-- process at once. Real processes, real time (little of it).
local command = require "support.command"

local quote = command.quote

local function read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

-- What every script begins with: arg[1] is a folder; ready() says that signals may come.
local PRELUDE = [[
local tw = require "tideway"
local folder = arg[1]
local function ready()
  local file = io.open(folder .. "/ready", "w")
  file:write "x"
  file:close()
end
]]

--- Run a script and send it signals once it has called ready(): names, and seconds between them.
-- Returns { status =, out =, err =, file = what it has written to folder/out }.
-- how: { program = instead of `tideway run`, stdin = shell for its standard input }
local function run(text, signals, how)
  how = how or {}
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  local script = command.file(PRELUDE .. text, ".lua")
  local kills = {}
  for i, signal in ipairs(signals) do
    -- between two signals the first one has been taken: the same one is not kept twice
    kills[i] = type(signal) == "number" and ("taken; sleep %g"):format(signal) or ("kill -%s $pid"):format(signal)
  end
  local status, out, err = command.shell(([[
    mkfifo %s/fifo
    taken() { while grep -q '^S[hi]*[gd]*Pnd:.*[1-9a-f]' /proc/$pid/status; do sleep 0.01; done; }
    %s
    %s %s %s < %s & pid=$!
    { sleep 100; kill -KILL $pid; } > /dev/null 2>&1 & dog=$!
    i=0
    until [ -s %s/ready ] || [ $i -ge 3000 ]; do sleep 0.02; i=$((i + 1)); done
    %s
    wait $pid; status=$?
    kill $dog $other 2> /dev/null
    exit $status]]):format(folder, how.stdin and "sleep 100 > " .. folder .. "/fifo & other=$!" or "",
    how.program or quote(command.path) .. " run", script, folder,
    how.stdin and folder .. "/fifo" or "/dev/null", folder, table.concat(kills, "\n")))
  local file = read(folder .. "/out")
  os.remove(script)
  os.execute("rm -rf " .. folder)
  return { status = status, out = out, err = err, file = file }
end

local function lines_to(n)
  local list = {}
  for i = 1, n do list[i] = i .. "\n" end
  return table.concat(list)
end

--- Whole and in order: 1 to the number that the script has printed last.
local function complete(got)
  assert.equal("", got.err)
  assert.equal(0, got.status)
  local n = tonumber(got.out:match "(%d+)\n$")
  assert.is_true(n ~= nil and n > 0, got.out)
  assert.equal(lines_to(n), got.file)
end

local COUNTING = [[
local n = 0
local source = tw.from_periodic(function()
  n = n + 1
  if n == 40 then ready() end
  return n
end, "2ms")
]]

describe("a signal", function()
  for _, name in ipairs { "INT", "TERM" } do
    it("ends a run in order, and everything that was emitted is in the file: SIG" .. name, function()
      complete(run(COUNTING .. [[
        source:buffer(20):timed_window("30ms", {flush = true}):flatten():buffer(5)
          :sink_to_textfile(folder .. "/out")
        print(tw.run())
        print(n)]], { name }))
    end)
  end

  it("lets slow sinks, delays and rate limits finish what they have", function()
    complete(run(COUNTING .. [[
      source:rate_limit("5ms"):delay("50ms"):partition(7, {flush = true}):flatten():buffer(1000)
        :tap(function() tw.sleep "1ms" end):sink_to_textfile(folder .. "/out")
      tw.run()
      print(n)]], { "INT" }))
  end)

  it("has streams that are fed by hand flush, and cancels the task that feeds them", function()
    local got = run([[
      local source, n = tw.stream(), 0
      source:buffer(10):timed_window("1h", {flush = true}):flatten():sink_to_textfile(folder .. "/out")
      local task = tw.spawn(function()
        while true do
          n = n + 1
          if n == 20 then ready() end
          source:emit(n)
          tw.sleep "2ms"
        end
      end)
      local signal = tw.run()
      io.stderr:write(signal, " ", task:status(), "\n")
      print(n)]], { "TERM" })
    assert.equal("SIGTERM cancelled\n", got.err)
    got.err = ""
    complete(got)
  end)

  it("is noticed by loops over fast sources, slow functions and reads that wait", function()
    for name, source in pairs {
      range = [[tw.from_range(1, 1e12):tap(function(x) if x == 1e6 then ready() end end):map(tostring)]],
      iterator = [[tw.from_iterable(function() return 1 end):enumerate()
        :tap(function(t) if t[1] == 1e5 then ready() end end)]],
      file = [[tw.from_textfile("/dev/zero", {delimiter = ("\0"):rep(50)}):enumerate()
        :tap(function(t) if t[1] == 1e4 then ready() end end)]],
      slow = [[tw.from_range(1, 1e12):tap(function(x)
        if x == 20 then ready() end
        local began = os.clock()
        while os.clock() - began < 0.005 do end
      end)]],
      stdin = [[tw.from_textfile("-")
        tw.spawn(ready)]],
      sleeper = [[tw.spawn(function() ready() tw.sleep "1h" end)]],
      restless = [[tw.spawn(function() ready() while true do tw.sleep(0) end end)]],
    } do
      local assigned = source:find "^tw.spawn" and source or "local s = " .. source .. " s:sink(function() end)"
      local got = run(assigned .. " print(tw.run())", { "INT" }, { stdin = name == "stdin" })
      assert.same({ 0, "SIGINT\n", "" }, { got.status, got.out, got.err }, name)
    end
  end)

  it("that comes second ends the process at once, with the status of the signal", function()
    local endless = [[
      tw.from_range(1, 9):sink(function() ready() while true do end end)
      tw.run()
      print "never"]]
    local draining = [[
      tw.from_range(1, 1000):delay("1h"):sink(print)
      tw.spawn(ready)
      tw.run()
      print "never"]]
    for _, script in ipairs { endless, draining } do
      for signals, status in pairs {
        [{ "INT", 0.15, "INT" }] = 130, [{ "TERM", 0.15, "TERM" }] = 143, [{ "INT", 0.15, "TERM" }] = 143,
      } do
        local got = run(script, signals)
        assert.same({ status, "", "" }, { got.status, got.out, (got.err:gsub("^[^\n]*Terminated\n?", "")) })
      end
    end
  end)

  it("that comes twice at once, as timeout(1) sends it, counts once", function()
    -- the script sends it to itself: between two commands of a shell there may be any time
    local got = run([[
      local C = require("ffi").C
      require("ffi").cdef "int raise(int);"
      ready()
      tw.from_range(1, 10):rate_limit("20ms"):tap(function(x)
        for _ = 1, x == 2 and 2 or 0 do C.raise(2) end
      end):sink(print)
      tw.run()
      print "after"]], {})
    assert.equal(0, got.status)
    assert.matches("^1\n2\n[%d\n]*after\n$", got.out)
  end)

  it("ends the script's own run only, but no other begins by itself", function()
    local got = run([[
      tw.from_range(1, 1e12):tap(function(x) if x == 1e5 then ready() end end):sink(function() end)
      tw.run()
      print "after"
      tw.from_range(1, 3):sink(print)]], { "INT" })
    assert.same({ 0, "after\n", "" }, { got.status, got.out, got.err })
  end)

  it("before and after a run, or with signals = false, does what it always does", function()
    for _, text in ipairs {
      [[ready() while true do end]],
      [[tw.run() ready() while true do end]],
      [[tw.from_range(1, 1e12):tap(function(x) if x == 1e5 then ready() end end):sink(function() end)
        tw.run { signals = false }]],
    } do
      assert.equal(143, run(text, { "TERM" }).status)
    end
  end)

  it("leaves a clean line on a terminal, and says so when the end takes its time", function()
    if os.execute "script -qec true /dev/null > /dev/null 2>&1" ~= 0 then
      return pending "no script(1), or no terminals"
    end
    local path = command.file([[
      local tw = require "tideway"
      tw.spawn(function() print "ready" io.stdout:flush() end)
      tw.from_range(1, 3):delay("1ms"):sink(function(x)
        while not io.open(arg[1]) do tw.sleep "10ms" end
        print(x)
      end)
      tw.run()]], ".lua")
    --- What there is to see of a run that goes on once so many lines have been written.
    local function at_terminal(lines)
      local _, out = command.shell(([[
        log=$(mktemp)
        await() { i=0; until "$@" || [ $i -ge 3000 ]; do sleep 0.02; i=$((i + 1)); done; }
        written() { [ "$(wc -l < $log)" -ge $1 ]; }
        { await written 1; printf '\003'; await written %d; touch $log.go; await grep -q '^3' $log; sleep 0.1; } |
          script -qec "%s run %s $log.go" /dev/null > $log 2>&1
        cat $log; rm -f $log $log.go]]):format(lines, command.path, path))
      return (out:gsub("\r", ""))
    end
    -- a busy machine may take so long that it says so, too
    local out = at_terminal(2):gsub("tideway: stopping[^\n]*\n", "")
    assert.equal("ready\n^C\n1\n2\n3\n", out)
    assert.equal("ready\n^C\ntideway: stopping, what is in flight is delivered first (once more: at once)\n"
      .. "1\n2\n3\n", at_terminal(3))
    os.remove(path)
  end)

  it("ends a run in plain LuaJIT, too", function()
    complete(run(COUNTING .. [[
      source:buffer(20):sink_to_textfile(folder .. "/out")
      tw.run()
      print(n)]], { "INT" }, { program = "LUA_PATH='./lua/?.lua;;' luajit" }))
  end)
end)
