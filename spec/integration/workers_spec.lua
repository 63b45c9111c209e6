--- tideway run --workers: the copies of a script together do what one does alone. Real processes.
local command = require "support.command"
local helper = require "helper"
local kafka = require "support.kafka"
local scratch = require "support.scratch"
local tw = helper.tw

local quote = command.quote

local folder

before_each(function() folder = scratch.folder() end)
after_each(function() scratch.remove_folder(folder) end)

local function write(name, text) return scratch.write(folder .. "/" .. name, text) end

--- Run a script by so many workers; further words, the last may be { stdin = text }.
-- Returns status, output, errors; the script is called script.lua in them, the folder DIR.
local function run(workers, text, ...)
  local words = { ... }
  local opts = type(words[#words]) == "table" and table.remove(words) or {}
  for i, word in ipairs(words) do words[i] = quote(word) end
  local script = write("script.lua", "local tw = require 'tideway'\n" .. text:gsub("FOLDER", folder))
  local status, out, err = command.shell(("timeout -s KILL 60 %s run --workers %s %s %s"):format(quote(command.path),
    workers, script, table.concat(words, " ")), opts.stdin)
  local here = folder:gsub("%p", "%%%0")
  local function tidy(s) return (s:gsub(here .. "/script", "script"):gsub(here, "DIR")) end
  return status, tidy(out), tidy(err)
end

--- The lines of a text, sorted.
local function lines(text)
  local list = {}
  for line in text:gmatch "([^\n]*)\n" do list[#list + 1] = line end
  table.sort(list)
  return list
end

--- By 2, 3 and 5 workers the script gives the lines that it gives alone. Returns these.
local function unites(text, ...)
  local status, out, err = run(1, text, ...)
  assert.same({ 0, "" }, { status, err })
  local alone = lines(out)
  for _, workers in ipairs { 2, 3, 5 } do
    status, out, err = run(workers, text, ...)
    assert.same({ 0, "" }, { status, err })
    local ok, why = pcall(helper.expect, alone, lines(out))
    if not ok then error(("%d workers: %s"):format(workers, why), 0) end
  end
  return alone
end

-- For scripts: show(x) prints x; stop_after(n) stops the copy once all of them have shown n, and have had the time
-- to show one more.
local SHOWN = [[
  local shown = "FOLDER/shown" .. tw.worker.count
  local function show(x)
    print(x)
    local file = io.open(shown, "a")
    file:write "x"
    file:close()
  end
  local function come()
    local file = io.open(shown)
    if not file then return 0 end
    local n = #file:read "*a"
    file:close()
    return n
  end
  local function stop_after(n)
    while come() < n do tw.sleep(0.01) end
    tw.sleep(0.2)
    tw.stop()
  end
]]

local function random_lines(rng, n)
  local list = {}
  for i = 1, n do list[i] = ("%d %s"):format(i, ("x"):rep(rng:int(0, 59))) end
  return list
end

describe("tw.worker", function()
  it("is the only one where there are no workers", function()
    assert.same({ 1, 1 }, { tw.worker.id, tw.worker.count })
    assert.is_true(tw.worker.owns "a")
    for _, n in ipairs { "1", "--workers=1" } do
      local option = n == "1" and "--workers 1" or n
      local path = write("alone.lua", "local w = require 'tideway'.worker print(w.id, w.count, ...)")
      assert.same({ 0, "1\t1\tx\n", "" }, { command.shell(("tideway run %s %s x"):format(option, path)) })
    end
  end)

  it("says which copy it is, with the command line's words in each", function()
    local status, out, err = run(3, "print(tw.worker.id, tw.worker.count, arg[1], arg[0] ~= nil, ...)", "a b", "c")
    assert.same({ 0, "" }, { status, err })
    assert.same({ "1\t3\ta b\ttrue\ta b\tc", "2\t3\ta b\ttrue\ta b\tc", "3\t3\ta b\ttrue\ta b\tc" }, lines(out))
  end)

  it("owns each key once: numbers by value, texts by bytes", function()
    assert.equal(2000, #unites [[
      for i = 1, 500 do
        if tw.worker.owns(i) then print("number", i) end
        if tw.worker.owns(i + 0.5) then print("broken", i) end
        if tw.worker.owns(tostring(i)) then print("text", i) end
        if tw.worker.owns(i + 0LL) ~= tw.worker.owns(i) then print("cdata differs", i) end
        local wide = 9007199254740993LL + 2 * i
        if tw.worker.owns(wide) then print("wide", tostring(wide)) end
        if tw.worker.owns(wide) ~= tw.worker.owns(wide + 0ULL) then print("unsigned differs", i) end
      end]])
    assert.same({ "false", "null", "true" }, unites [[
      for _, x in ipairs{true, false, tw.null} do
        if tw.worker.owns(x) then print(x == tw.null and "null" or x) end
      end]])
    for _, x in ipairs { "nil", "0/0", "{}", "print" } do
      local status, _, err = run(2, ("tw.worker.owns(%s)"):format(x))
      assert.equal(1, status)
      assert.matches("owns: ", err, 1, true)
    end
  end)

  it("divides what every copy has by its keys", function()
    assert.equal(1000, #unites "tw.from_range(1, 1000):filter(tw.worker.owns):print()")
  end)
end)

describe("files of several workers", function()
  it("are cut between lines when there is one", function()
    helper.seeded(function(rng)
      local list = random_lines(rng, 1 + rng:int(0, 2999))
      local path = write("one.txt", table.concat(list, "\n") .. (rng:int(0, 1) == 1 and "\n" or ""))
      assert.equal(#list, #unites("tw.from_textfile(arg[1]):sink_to_textfile(io.stdout)", path))
      local text = table.concat(list, "\r\n") .. "\r\n"
      assert.equal(#list, #unites("tw.from_textfile(arg[1], {delimiter = '\\r\\n'}):print()", write("crlf.txt", text)))
    end, 3)
  end)

  it("are cut also when they are short, empty, or one long line", function()
    for _, text in ipairs { "", "\n", "a", "a\n", "a\nb", "\n\n\n", ("x"):rep(300000), ("x"):rep(300000) .. "\ny" } do
      unites("tw.from_textfile(arg[1]):map(function(s) return #s end):print()", write("odd.txt", text))
    end
  end)

  it("go to one worker where they cannot be cut", function()
    unites("tw.from_textfile(arg[1], {delimiter = 'aa'}):print()", write("aa.txt", ("xaaaxaaaa"):rep(100)))
    local path = write("packed.txt", table.concat(random_lines(helper.random(7), 500), "\n"))
    os.execute("gzip " .. path)
    unites("tw.from_textfile(arg[1]):print()", path .. ".gz")
    unites("tw.from_textfile(arg[1]):print()", "-", { stdin = "a\nb\nc\n" })
    unites("tw.from_textfile(io.stdin):print()", { stdin = "a\nb\nc\n" })
  end)

  it("are divided when there are several, fewer or more than workers", function()
    helper.seeded(function(rng)
      os.execute("rm -f " .. folder .. "/part-*")
      local total, files = 0, 2 + rng:int(0, 6)
      for i = 1, files do
        local list = random_lines(rng, rng:int(0, 399))
        total = total + #list
        write(("part-%d.txt"):format(i), table.concat(list, "\n") .. (#list > 0 and "\n" or ""))
      end
      assert.equal(total, #unites("tw.from_textfile(arg[1]):print()", folder .. "/part-*.txt"))
    end, 3)
  end)

  it("are read whole by whom the rule says", function()
    for i = 1, 5 do write(("part-%d.txt"):format(i), i .. "\n") end
    local script = "tw.from_textfile(arg[1]):sink(function(x) print(tw.worker.id, x) end)"
    local _, out = run(2, script, folder .. "/part-*.txt")
    assert.same({ "1\t1", "1\t3", "1\t5", "2\t2", "2\t4" }, lines(out))
  end)

  it("are read by all with divide = false, and when each has opened its own", function()
    local path = write("all.txt", "a\nb\n")
    for _, source in ipairs { "from_textfile(arg[1], {divide = false})", "from_textfile(io.open(arg[1]))" } do
      local _, out = run(2, "tw." .. source .. ":print()", path)
      assert.same({ '"a"', '"a"', '"b"', '"b"' }, lines(out))
    end
  end)

  local rows = [[
    local function show(r)
      local list = {}
      for k, v in pairs(r) do list[#list + 1] = k .. "=" .. tostring(v) end
      table.sort(list)
      print(table.concat(list, " "))
    end
  ]]

  it("give the same rows as JSON, with the columns of the first ones", function()
    helper.seeded(function(rng)
      local list = {}
      for i = 1, 200 + rng:int(0, 1999) do
        list[i] = i < 20 and ('{"id":%d,"x":%d}'):format(i, rng:int(0, 8))
          or ('{"x":%d,"later":true,"id":%d}'):format(rng:int(0, 8), i)
      end
      local path = write("one.ndjson", table.concat(list, "\n"))
      assert.equal(#list, #unites(rows .. "tw.from_json(arg[1], {batch = 50, infer = 10}):flatten():sink(show)", path))
    end, 2)
  end)

  it("give the same rows as CSV", function()
    helper.seeded(function(rng)
      local list = {}
      for i = 1, 200 + rng:int(0, 1999) do
        list[i] = ("%d,%s,%d"):format(i, i < 50 and "1.5" or "text", rng:int(0, 8))
      end
      local path = write("one.csv", "id,name,x\n" .. table.concat(list, "\n") .. "\n")
      local script = rows .. [[
        local divide = load("return " .. arg[2])()
        tw.from_csv(arg[1], {batch = 50, divide = divide, schema = {name = "string"}}):flatten():sink(show)]]
      assert.equal(#list, #unites(script, path, "'lines'"))
      assert.equal(#list, #unites(script, path, "nil"))
      write("two.csv", "x,name,id\n" .. table.concat(list, "\n") .. "\n")
      write("tiny.csv", "x,name,id\n")
      assert.equal(2 * #list, #unites(script, folder .. "/*.csv", "nil"))
      assert.equal(2 * #list, #unites(script, folder .. "/*.csv", "'lines'"))
    end, 2)
  end)

  it("name where a wrong line is", function()
    local path = write("bad.csv", "id,x\n" .. ("1,2\n"):rep(500) .. "3,oops\n")
    local script = [[tw.from_csv(arg[1], {divide = "lines", schema = {x = "f64"}}):sink(function() end)]]
    local status, _, err = run(2, script, path)
    assert.equal(1, status)
    assert.matches('^worker 2: .*bad.csv from byte %d+ on, row %d+, column "x": "oops" is no f64', err)
    path = write("bad.txt", ("fine\n"):rep(1000) .. "bad\n")
    status, _, err = run(2, "tw.from_textfile(arg[1]):map(function(s) assert(s == 'fine') end):sink(print)", path)
    assert.equal(1, status)
    assert.matches("byte 5000 of DIR/bad.txt", err, 1, true)
  end)

  it("are listed and followed by one worker each", function()
    for i = 1, 9 do write(("log-%s.txt"):format(("abcdefghi"):sub(i, i)), "first " .. i .. "\n") end
    local function shown(n, source, ...)
      os.execute("rm -f " .. folder .. "/shown*")
      assert.equal(n, #unites(SHOWN .. source .. (":sink(show) tw.run(function() stop_after(%d) end)"):format(n), ...))
    end
    shown(9, "tw.filenames(arg[1])", folder .. "/log-*.txt")
    shown(9, "tw.from_textfile(arg[1], {follow = true, position = arg[2] .. tw.worker.count .. '-' .. tw.worker.id})",
      folder .. "/log-*.txt", folder .. "/position-")
    shown(1, "tw.from_textfile(arg[1], {follow = true, position = arg[2] .. tw.worker.count})",
      folder .. "/log-a.txt", folder .. "/one-")
  end)

  it("stay with their worker when they are rotated under names that are followed, too", function()
    for i = 1, 6 do write(("%d.log"):format(i), "first " .. i .. "\n") end
    local _, out = run(3, SHOWN .. [[
      tw.from_textfile(arg[1] .. "/*.log*", {follow = true, poll_interval = "20ms"}):sink(show)
      tw.run(function()
        while come() < 6 do tw.sleep(0.01) end
        for i = 1, tw.worker.id == 1 and 6 or 0 do
          local path = arg[1] .. "/" .. i .. ".log"
          os.rename(path, path .. ".1")
          local file = io.open(path, "w")
          file:write("second ", i, "\n")
          file:close()
        end
        stop_after(12)
      end)]], folder)
    assert.same({ "first 1", "first 2", "first 3", "first 4", "first 5", "first 6",
      "second 1", "second 2", "second 3", "second 4", "second 5", "second 6" }, lines(out))
  end)
end)

describe("standard output of several workers", function()
  it("has whole lines, whoever writes them", function()
    local status, out, err = run(4, [[
      local me = tostring(tw.worker.id)
      for i = 1, 3000 do
        io.write(me, me, me)
        print(me:rep(20), me)
        io.stdout:write(me)
        if i % 100 == 0 then io.flush() end
        io.stdout:write(me:rep(7), "\n")
      end
      tw.from_range(1, 3000):map(function() return me:rep(30) end):sink_to_textfile(io.stdout)
      tw.from_range(1, 3000):map(function() return tonumber(me:rep(9)) end):print()]])
    assert.same({ 0, "" }, { status, err })
    local n = 0
    for line in out:gmatch "([^\n]*)\n" do
      n = n + 1
      local digit = line:sub(1, 1)
      assert.equal("", (line:gsub("\t", ""):gsub(digit, "")), line)
    end
    assert.equal(4 * 12000, n)
  end)

  it("ends the last line of each", function()
    local _, out = run(3, "io.write('worker ', tw.worker.id)")
    assert.same({ "worker 1", "worker 2", "worker 3" }, lines(out))
  end)

  it("is a failure when it is lost", function()
    local path = write("loss.lua", "print(1)")
    local status, _, err = command.shell("tideway run --workers 2 " .. path .. " > /dev/full")
    assert.equal(1, status)
    assert.matches("worker 1: standard output: No space left on device", err, 1, true)
  end)
end)

describe("a failing worker", function()
  it("is named with its traceback, and the others stop in order", function()
    local status, out, err = run(3, [[
      tw.from_periodic(function() return "tick" end, "5ms"):sink_to_textfile(arg[1] .. tw.worker.id)
      tw.from_range(1, 3):map(function(x) if tw.worker.id == 2 and x == 3 then error "boom" end return x end):sink(type)
      print(tw.worker.id, tw.run())]], folder .. "/out")
    assert.equal(1, status)
    assert.same({ "1\tfailure", "3\tfailure" }, lines(out))
    assert.matches("^worker 2: script.lua:3: boom\n", err)
    assert.matches("in <map>, built at script.lua:3", err, 1, true)
  end)

  it("says what all say only once", function()
    local status, out, err = run(4, "error 'all alike'")
    assert.same({ 1, "" }, { status, out })
    assert.matches("^worker %d: script.lua:2: all alike\n  script.lua:2: in main chunk\n$", err)
    local _
    status, _, err = run(4, "print(")
    assert.equal(1, status)
    assert.matches("^DIR/script.lua:%d+: ", (err:gsub("^script", "DIR/script")))
  end)

  it("may end by os.exit, whose status counts", function()
    assert.same({ 7, "left\n", "" }, { run(3, "if tw.worker.id == 2 then print 'left' os.exit(7) end") })
    local status, out = run(3, "print(tw.worker.id) os.exit(0)")
    assert.same({ 0, { "1", "2", "3" } }, { status, lines(out) })
    assert.equal(1, (run(2, "os.exit(false)")))
    assert.equal(0, (run(2, "os.exit(true)")))
  end)
end)

describe("what only one can have", function()
  it("is refused to a second worker", function()
    local status, _, err = run(2, "tw.from_range(1, 3):sink_to_textfile(arg[1])", folder .. "/same.txt")
    assert.equal(1, status)
    assert.matches("^worker %d: script.lua:2: sink_to_textfile: DIR/same.txt: worker %d has it; .*tw.worker.id", err)
    status, _, err = run(2, [[
      local dir = tw.worker.id == 1 and arg[1] or arg[1] .. "/../" .. arg[1]:match "[^/]+$"
      tw.from_csv(arg[1] .. "/in.csv"):to_json(dir .. "/same.json")]], folder, { stdin = write("in.csv", "a\n1\n") })
    assert.equal(1, status)
    assert.matches("to_json: ", err, 1, true)
  end)

  it("can be made by its number, and used twice by one", function()
    local status, _, err = run(3, [[
      for _ = 1, 2 do tw.from_range(1, 3):sink_to_textfile(arg[1] .. tw.worker.id) end]], folder .. "/mine-")
    assert.same({ 0, "" }, { status, err })
    local _, count = command.shell("cat " .. folder .. "/mine-* | wc -l")
    assert.equal(18, tonumber(count))
  end)

  it("is an address, too", function()
    local status, _, err = run(2, [[
      tw.from_tcp(tonumber(arg[1]), {host = "127.0.0.1"}):sink(print)
      tw.run(function() tw.sleep(30) tw.stop() end)]], "48123")
    assert.equal(1, status)
    assert.matches("%-%-workers each copy of the script listens", err)
  end)
end)

describe("signals", function()
  --- Run by three workers, and send the signals once they are at work.
  local function signalled(text, ...)
    local script = write("script.lua", "local tw = require 'tideway'\n" .. text)
    local kills = {}
    -- the same one is not kept twice, and at once it counts once
    for i, name in ipairs { ... } do kills[i] = ("kill -%s $pid; taken; sleep 0.15"):format(name) end
    return command.shell(([[
      taken() { while grep -qs '^S[hi]*[gd]*Pnd:.*[1-9a-f]' /proc/$pid/status; do sleep 0.01; done; }
      %s run --workers 3 %s %s/ready & pid=$!
      { sleep 100; kill -KILL $pid; } > /dev/null 2>&1 & dog=$!
      i=0
      until [ "$(ls %s/ready* 2> /dev/null | wc -l)" -ge 3 ] || [ $i -ge 3000 ]; do sleep 0.02; i=$((i + 1)); done
      %s
      wait $pid 2> /dev/null; status=$?
      kill $dog 2> /dev/null
      exit $status]]):format(quote(command.path), script, folder, folder, table.concat(kills, "\n")))
  end

  local READY = "local function ready() io.open(arg[1] .. tw.worker.id, 'w'):close() end\n"

  for _, name in ipairs { "INT", "TERM" } do
    it("SIG" .. name .. " ends the runs of all in order", function()
      local status, out, err = signalled(READY .. [[
        local n = 0
        tw.from_periodic(function() n = n + 1 if n == 5 then ready() end return 1 end, "2ms")
          :timed_window("1h", {flush = true}):sink(function(w) print(tw.worker.id, #w == n) end)
        print("ended", tw.run())]], name)
      assert.same({ 0, "" }, { status, err })
      local ended = "ended\tSIG" .. name
      assert.same({ "1\ttrue", "2\ttrue", "3\ttrue", ended, ended, ended }, lines(out))
    end)
  end

  it("reach a worker that has not come to its run yet", function()
    local status, out = signalled(READY .. [[
      ready()
      local till = os.clock() + (tw.worker.id == 2 and 0.5 or 0)
      while os.clock() < till do end
      tw.from_periodic(function() return 1 end, "5ms"):sink(type)
      print(tw.run())]], "TERM")
    assert.same({ 0, { "SIGTERM", "SIGTERM", "SIGTERM" } }, { status, lines(out) })
  end)

  it("end the process at once the second time", function()
    local status = signalled(READY .. "ready() while true do end", "INT", "INT")
    assert.equal(130, status)
  end)

  it("are left alone by a worker that says so, not the failure of another", function()
    local status, out = signalled(READY .. [[
      ready()
      tw.from_periodic(function() return 1 end, "5ms"):sink(type)
      local function fail() if tw.worker.id == 1 then tw.sleep(1) error "enough" end end
      print(tw.run(fail, {signals = false}))]], "INT")
    assert.same({ 1, { "failure", "failure" } }, { status, lines(out) })
  end)
end)

describe("--workers", function()
  it("takes a number, or auto for one a core", function()
    local path = write("count.lua", "print(require 'tideway'.worker.count)")
    local _, cores = command.shell "nproc"
    for _, words in ipairs { "--workers auto", "--workers=auto", "--workers 0" } do
      local status, out = command.shell(("tideway run %s %s | sort -u"):format(words, path))
      assert.same({ 0, cores }, { status, out })
    end
    for _, words in ipairs { "--workers x", "--workers=-1", "--workers 1.5", "--workers 5000", "--workers" } do
      local status, _, err = command.shell(("tideway run %s %s"):format(words, words == "--workers" and "" or path))
      assert.equal(2, status)
      assert.matches("^tideway: run: %-%-workers takes a number of threads, 1 .. 1000, or auto, one a core; got ", err)
    end
  end)

  it("reads the script from standard input once for all", function()
    local status, out, err = command.shell("tideway run --workers 3 - a", "print(require 'tideway'.worker.id, ...)")
    assert.same({ 0, "" }, { status, err })
    assert.same({ "1\ta", "2\ta", "3\ta" }, lines(out))
  end)

  it("divides the partitions of the cluster in the process", function()
    if kafka.missing then return end
    local list = unites(SHOWN .. [[
      local topic = {topic = "numbers", brokers = "embedded", key = tostring}
      if tw.worker.id == 1 then tw.from_range(1, 200):map(tostring):to_kafka(topic) end
      tw.from_kafka{topics = "numbers", brokers = "embedded", group = "readers"}:sink(show)
      tw.run(function() stop_after(200) end)]])
    assert.equal(200, #list)
  end)
end)
