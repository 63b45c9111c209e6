local command = require "support.command"
local tideway, script, shell = command.tideway, command.script, command.shell

local function first_line(text) return text:match "^[^\n]*" end

describe("tideway", function()
  it("shows its usage on stderr and exits with 2 when it is given nothing", function()
    local status, out, err = tideway()
    assert.equal(2, status)
    assert.equal("", out)
    assert.matches("^usage: tideway", err)
  end)

  it("names the nearest command when it does not know one", function()
    local status, out, err = tideway("rnu", "x.lua")
    assert.equal(2, status)
    assert.equal("", out)
    assert.equal([[tideway: unknown command "rnu" (did you mean 'run'?) (tideway help)]], first_line(err))
  end)

  it("says how a script is run when it is given one as a command", function()
    local status, _, err = tideway "pipeline.lua"
    assert.equal(2, status)
    assert.matches("tideway run pipeline.lua", err, 1, true)
  end)

  it("refuses an unknown option, naming the nearest", function()
    local status, _, err = tideway "--versoin"
    assert.equal(2, status)
    assert.equal("tideway: unknown option --versoin (did you mean '--version'?) (tideway help)\n", err)
  end)

  it("says of the commands of later releases that they are not there yet", function()
    for _, name in ipairs { "graph", "repl", "bench", "new" } do
      local status, out, err = tideway(name, "x")
      assert.equal(2, status)
      assert.equal("", out)
      assert.equal("tideway: " .. name .. " is not there yet\n", err)
    end
    local status, _, err = tideway("run", "--state=dir", "x.lua")
    assert.equal(2, status)
    assert.equal("tideway: run: --state is not there yet\n", err)
  end)

  it("says in one line that its modules or its library are not where it looks", function()
    local status, _, err = shell("TIDEWAY_ROOT=/nowhere " .. command.path .. " version")
    assert.equal(1, status)
    assert.matches("^tideway: no Lua modules of tideway in /nowhere/[^\n]*TIDEWAY_ROOT[^\n]*\n$", err)
    status, _, err = shell("TIDEWAY_LIB=/nowhere/x.so " .. command.path .. " version")
    assert.equal(1, status)
    assert.equal("tideway: TIDEWAY_LIB: there is no library /nowhere/x.so\n", err)
  end)

  it("does not take a file for a standard stream that is closed", function()
    local path = os.tmpname()
    local status, out = shell(command.path .. " -e 'from_range(1, 2):sink_to_textfile(\"" .. path
      .. "\") print(7)' >&- 2>&-; echo $?")
    assert.equal(0, status)
    assert.equal("1\n", out) -- the print has failed
    local file = assert(io.open(path))
    assert.equal("1\n2\n", file:read "*a")
    file:close()
    os.remove(path)
    local failed, _, err = shell(command.path .. " -e 'stdin()' <&-")
    assert.equal(1, failed)
    assert.matches("standard input: byte 0: Bad file descriptor", err, 1, true)
  end)

  it("finds its modules from wherever it is called, also through a link", function()
    local link = os.tmpname()
    local status, out = shell(("ln -sf \"$(realpath %s)\" %s && cd / && %s version"):format(command.path, link, link))
    os.remove(link)
    assert.equal(0, status)
    assert.matches("^tideway %d", out)
  end)
end)

describe("tideway test", function()
  local folder

  --- Run it in a new folder that holds these files (name -> text).
  local function test_in(tree, words)
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/spec/deep") == 0)
    for name, text in pairs(tree) do
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    return shell(("bin=\"$(realpath %s)\"; cd %s && \"$bin\" test %s"):format(command.path, folder, words or ""))
  end

  after_each(function()
    if folder then os.execute("rm -rf " .. folder) end
    folder = nil
  end)

  local timed = [[
    local tw = require "tideway"
    it("lets an hour pass", function()
      local clock = tw.testing.clock()
      local out = tw.from_range(1, 3):start():delay(require "lag"):sink_to_list()
      clock:advance "1h"
      assert.same({ 1, 2, 3 }, out)
    end)]]
  local real = [[
    local tw = require "tideway"
    it("has the real clock", function()
      tw.run(function() tw.sleep "1ms" end)
    end)]]

  it("runs the specs of a folder and those in it, with the virtual clock and its modules", function()
    local status, out, err = test_in { ["spec/a_spec.lua"] = timed, ["spec/deep/b_spec.lua"] = real,
      ["spec/util.lua"] = "error 'no spec'", ["lag.lua"] = "return '59m'" }
    assert.equal("", err)
    assert.matches("2 successes / 0 failures / 0 errors", out, 1, true)
    assert.equal(0, status)
  end)

  it("exits with 1 when something fails, and hands busted what stands behind --", function()
    local tree = { ["spec/a_spec.lua"] = [[it("fails", function() assert.equal(1, 2) end)
      it("is fine", function() end)]] }
    local status, out, err = test_in(tree, "spec/a_spec.lua -- --output=TAP")
    assert.equal(1, status)
    assert.equal("", err)
    assert.matches("not ok %d %- fails", out)
    os.execute("rm -rf " .. folder)
    assert.equal(0, (test_in(tree, "-- --filter=fine")))
  end)

  it("says what is not there, and what to install", function()
    local status, out, err = test_in({}, "nowhere")
    assert.same({ 2, "", "tideway: test: there is no folder or file nowhere\n" }, { status, out, err })
    os.execute("rm -rf " .. folder)
    status, out, err = test_in {}
    assert.same({ 2, "", "tideway: test: no *_spec.lua in spec\n" }, { status, out, err })
    status, out, err = shell("LUA_PATH=/nowhere/?.lua tideway test spec")
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("^tideway: test: busted is not installed[^\n]*\n.*apt%-get install lua%-busted", err)
    status, out, err = tideway("test", "--verbose")
    assert.same({ 2, "", "tideway: test: unknown option --verbose (tideway help test)\n" }, { status, out, err })
  end)
end)

describe("tideway version", function()
  it("prints one line, in all its spellings", function()
    local status, out, err = tideway "version"
    assert.equal(0, status)
    assert.matches("^tideway %d+%.%d+%.%d+ %(ABI %d+, LuaJIT [^\n]*%)\n$", out)
    assert.equal("", err)
    assert.equal(out, select(2, tideway "--version"))
  end)
end)

describe("tideway help", function()
  it("lists the commands and every name of the catalog", function()
    local status, out = tideway "--help"
    assert.equal(0, status)
    local catalog = require "tideway.catalog"
    for _, kind in ipairs { "op", "source", "sink", "codec", "agg" } do
      for _, name in ipairs(catalog[kind]) do assert.matches("%f[%w_]" .. name .. "%f[^%w_]", out) end
    end
    assert.not_matches("tideway repl", out, 1, true)
    assert.equal(out, select(2, tideway "help"))
  end)

  it("explains an operator from its descriptor", function()
    local status, out = tideway("help", "filter")
    assert.equal(0, status)
    assert.matches("stream:filter(pred?, ...)", out, 1, true)
    assert.matches(require "tideway.op.filter".doc, out, 1, true)
    assert.matches("--> 2, 4", out, 1, true)
    assert.equal(out, select(2, tideway("filter", "--help")))
  end)

  it("explains scatter and gather, as the reference does", function()
    local page = require("support.files").read "lua/tideway/op/README.md"
    for _, name in ipairs { "scatter", "gather" } do
      local status, out = tideway("help", name)
      local doc = require("tideway.op." .. name).doc
      assert.equal(0, status)
      assert.matches(("stream:%s({settings})"):format(name), out, 1, true)
      assert.matches(doc, out, 1, true)
      assert.matches("## " .. name .. "\n", page, 1, true)
      assert.matches(doc, page, 1, true)
    end
    local _, out = tideway("help", "scatter")
    assert.matches("workers count%?%s+how many threads", out)
    assert.matches("key function|string%?%s+of the element", out)
  end)

  it("explains every name it lists", function()
    local catalog = require "tideway.catalog"
    local lines = {}
    for _, kind in ipairs { "op", "source", "sink", "codec", "agg" } do
      for _, name in ipairs(catalog[kind]) do
        lines[#lines + 1] = ("tideway help %s > /dev/null || echo %s"):format(name, name)
      end
    end
    local _, out = shell(table.concat(lines, "\n"))
    assert.equal("", out)
  end)

  it("explains what is no operator: stdin, on_error, connect and the like", function()
    for _, name in ipairs {
      "stdin", "stream", "emit", "try_emit", "disconnect", "on_error", "null", "tw.run", "spawn", "sleep",
      "channel", "step", "metadata", "ref_counter", "tw.testing.clock",
    } do
      local status, out, err = tideway("help", name)
      assert.equal(0, status)
      assert.equal("", err)
      assert.matches(name:gsub("^tw%.", ""), out, 1, true)
    end
  end)

  it("explains commands", function()
    local status, out = tideway("help", "run")
    assert.equal(0, status)
    assert.matches("^tideway run %[%-%-workers N%] SCRIPT", out)
    assert.equal(out, select(2, tideway("run", "--help")))
  end)

  it("names the nearest when it does not know one", function()
    local status, _, err = tideway("help", "fliter")
    assert.equal(2, status)
    assert.equal([[tideway: help: nothing is called "fliter" (did you mean 'filter'?)]] .. "\n", err)
  end)
end)

describe("tideway run", function()
  it("runs a script with arg as luajit has it, and the further words as ...", function()
    local status, out = script("print(arg[1], arg[2], #arg, arg[0]:match '[^/]*$' ~= nil, arg[-1], ...)", "a", "b c")
    assert.equal(0, status)
    assert.equal("a\tb c\t2\ttrue\trun\ta\tb c\n", out)
  end)

  it("runs sources that the script never started", function()
    local status, out = script [[
      local tw = require "tideway"
      tw.from_range(1, 3):map(function(x) return x * 10 end):sink(print)
      print "built"
    ]]
    assert.equal(0, status)
    assert.equal("built\n10\n20\n30\n", out)
  end)

  it("does not run again what the script has run", function()
    local status, out = script [[
      local tw = require "tideway"
      tw.from_range(1, 2):sink(print)
      tw.run()
      print "after"
    ]]
    assert.equal(0, status)
    assert.equal("1\n2\nafter\n", out)
  end)

  it("runs scripts that use no tideway, and lines that begin with #!", function()
    local status, out = script("#!/usr/bin/env -S tideway run\nprint(1 + 1)")
    assert.equal(0, status)
    assert.equal("2\n", out)
  end)

  it("reads the script from standard input when it is called -", function()
    local status, out = tideway("run", "-", "x", { stdin = "print(arg[0], arg[1])" })
    assert.equal(0, status)
    assert.equal("-\tx\n", out)
  end)

  it("ends quietly when the reader of its output goes away", function()
    local _, out, err = shell [[tideway -e 'from_range(1, 1e8):sink(print)' | head -n 2]]
    assert.equal("1\n2\n", out)
    assert.equal("", err)
  end)

  it("fails when its output cannot be written", function()
    local status, _, err = shell "tideway -e 'from_range(1, 10):sink(print)' > /dev/full"
    assert.equal(1, status)
    assert.matches("^tideway: standard output: [^\n]+\n$", err)
  end)

  it("hands on the exit status of os.exit", function()
    assert.equal(7, (script "os.exit(7)"))
  end)
end)

describe("tideway run of a script that is wrong", function()
  it("is misuse when no script is named or it cannot be read", function()
    local status, _, err = tideway "run"
    assert.equal(2, status)
    assert.equal("tideway: run: which script? (tideway help run)\n", err)
    status, _, err = tideway("run", "/no/such.lua")
    assert.equal(2, status)
    assert.equal("tideway: /no/such.lua: No such file or directory\n", err)
    status, _, err = tideway("run", "/tmp")
    assert.equal(2, status)
    assert.equal("tideway: /tmp: Is a directory\n", err)
    status, _, err = tideway("run", "--fast", "x.lua")
    assert.equal(2, status)
    assert.equal("tideway: run: unknown option --fast (tideway help run)\n", err)
  end)

  it("says where the syntax is wrong, in one line", function()
    local status, out, err = script "local x = 1\nlocal = 2"
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("^script%.lua:2: [^\n]+ near '='\n$", err)
  end)

  it("gives the line of a failing statement first, then the indented traceback", function()
    local status, _, err = script "local t\nlocal function f() return t.x end\nprint((f()))"
    assert.equal(1, status)
    assert.matches("^script%.lua:2: attempt to index upvalue 't' %(a nil value%)\n  script%.lua:2: ", err)
    for line in err:gmatch "\n([^\n]+)" do assert.matches("^%s", line) end
  end)

  it("says where the user's function has failed, and in which operator", function()
    local status, out, err = script [[
local tw = require "tideway"
tw.from_iterable { 1, 2, "x", 4 }
  :map(function(x) return x + 1 end)
  :sink(print)
]]
    assert.equal(1, status)
    assert.equal("2\n3\n", out)
    assert.matches("^script%.lua:3: attempt to perform arithmetic on [^\n]*\n", err)
    assert.matches("<map>", err, 1, true)
    for line in err:gmatch "\n([^\n]+)" do assert.matches("^%s", line) end
  end)

  it("shows error objects by their tostring", function()
    local status, _, err = script "error(setmetatable({}, {__tostring = function() return 'odd' end}))"
    assert.equal(1, status)
    assert.matches("odd", first_line(err))
    status, _, err = script "error({})"
    assert.equal(1, status)
    assert.matches("error object is a table", first_line(err))
  end)

  it("names the nearest operator, source and setting, at the script's line", function()
    local status, _, err = script "local tw = require 'tideway'\ntw.from_range(1, 2):mpa(print)"
    assert.equal(1, status)
    assert.matches("^script%.lua:2: [^\n]*mpa[^\n]*did you mean 'map'", err)
    _, _, err = script "local tw = require 'tideway'\ntw.from_rnage(1, 2)"
    assert.matches("^script%.lua:2: [^\n]*from_rnage[^\n]*did you mean 'from_range'", err)
    _, _, err = script "local tw = require 'tideway'\ntw.from_range(1, 2):unique{maxsise = 3}"
    assert.matches("^script%.lua:2: unique: unknown setting \"maxsise\" %(did you mean 'maxsize'", err)
  end)

  it("names the file that a source cannot open", function()
    local status, _, err = script "local tw = require 'tideway'\ntw.from_textfile('/no/such.txt'):sink(print)"
    assert.equal(1, status)
    assert.matches("^script%.lua[^\n]*: from_textfile: /no/such%.txt: ", err)
  end)
end)

describe("tideway eval", function()
  it("has every function of tideway as a global, and stdin()", function()
    local status, out = tideway("eval", "from_range(1, 4):filter(function(x) return x % 2 == 0 end):sink(print)")
    assert.equal(0, status)
    assert.equal("2\n4\n", out)
    status, out = tideway("-e", "stdin():map(string.upper):sink(print)", { stdin = "a\nb\n" })
    assert.equal(0, status)
    assert.equal("A\nB\n", out)
  end)

  it("prints what comes out of a pipeline without a sink, and plain values", function()
    assert.equal("1\n2\n", select(2, tideway("-e", "from_range(1, 2)")))
    assert.equal("3\n", select(2, tideway("-e", "1 + 2")))
    assert.equal("[2,3]\n", select(2, tideway("-e", "from_range(2, 3):sink_to_list()")))
    assert.equal("null\n", select(2, tideway("-e", "null")))
    assert.equal("<task: done>\n", select(2, tideway("-e", "spawn(function() sleep('1ms') end)")))
  end)

  it("takes several expressions and whole chunks", function()
    local status, out = tideway("-e", "s = stream(); s:sink(print); s:emit(5)")
    assert.equal(0, status)
    assert.equal("5\n", out)
    status, out = tideway("-e", "local n = 3\nfor i = 1, n do io.write(i, ' ') end\nfrom_range(7, 8):sink(print)")
    assert.equal(0, status)
    assert.equal("1 2 3 7\n8\n", out)
  end)

  it("reads JSON lines into a filter", function()
    local status, out = tideway("-e", "stdin():json():filter(function(r) return r.status >= 500 end):print()",
      { stdin = '{"status":200}\n{"status":503}\n' })
    assert.equal(0, status)
    assert.equal('{"status":503}\n', out)
  end)

  it("says where the expression is wrong, in one line", function()
    local status, _, err = tideway("-e", "from_range(1, 2")
    assert.equal(1, status)
    assert.matches("^eval:1: [^\n]+\n$", err)
    status, _, err = tideway("-e", "\nfrom_range(1, 2):mpa()")
    assert.equal(1, status)
    assert.matches("^eval:2: [^\n]*did you mean 'map'", err)
    status, _, err = tideway("-e", "from_range(1, 2):slice(0)")
    assert.equal(1, status)
    assert.matches("^eval:1: slice: ", err)
    status, _, err = tideway("-e", "from_range(1, 2):map(function(x) return x.y.z end); -- fails")
    assert.equal(1, status)
    assert.matches("^eval:1: attempt to index [^\n]*\n.*<map>, built at eval:1\n", err)
    status, _, err = tideway("-e", "stdn():print()")
    assert.equal(1, status)
    assert.matches("^eval:1: [^\n]*did you mean 'stdin'", err)
  end)

  it("is misuse without an expression, or with two", function()
    local status, _, err = tideway "-e"
    assert.equal(2, status)
    assert.equal("tideway: eval: which expression? (tideway help eval)\n", err)
    status, _, err = tideway("-e", "1", "2")
    assert.equal(2, status)
    assert.equal("tideway: eval: one expression, in quotes; \"2\" is a second\n", err)
  end)
end)

describe("tideway check", function()
  local function check(text)
    local path = command.file(text, ".lua")
    local status, out, err = tideway("check", path)
    os.remove(path)
    local name = path:gsub("%p", "%%%0")
    return status, (out:gsub(name, "script.lua")), (err:gsub(name, "script.lua"))
  end

  it("builds the graph, runs nothing and says how large it is", function()
    local marker = os.tmpname()
    os.remove(marker)
    local status, out, err = check(([[
      local tw = require "tideway"
      local total = 0
      local s = tw.stream()
      s:sink(function() io.open(%q, "w"):close() end)
      s:emit(1)
      tw.from_range(1, 3):map(function(x) return x end):sink(function() io.open(%q, "w"):close() end)
      print "dropped"
      tw.run()
      os.exit(3)
    ]]):format(marker, marker))
    assert.equal("", err)
    assert.equal(0, status)
    assert.equal("script.lua: ok: 2 entries, 1 operator, 2 sinks\n", out)
    assert.is_nil(io.open(marker))
  end)

  it("reports syntax errors, misuse and unknown operators with status 1", function()
    local status, out, err = check "local = 1"
    assert.equal(1, status)
    assert.equal("", out)
    assert.matches("^script%.lua:1: [^\n]+\n$", err)
    local _
    status, _, err = check "local tw = require 'tideway'\ntw.stream():slice(0)"
    assert.equal(1, status)
    assert.matches("^script%.lua:2: slice: ", err)
    status, _, err = check "local tw = require 'tideway'\ntw.stream():fliter(print)"
    assert.equal(1, status)
    assert.matches("^script%.lua:2: [^\n]*did you mean 'filter'", err)
  end)

  it("reports mistakes behind a run, but not results that are missing because nothing ran", function()
    local status, _, err = check [[
local tw = require "tideway"
local list = tw.from_range(1, 3):sink_to_list()
tw.run()
print(list[1] + 1)
]]
    assert.equal("script.lua:4: note: checked up to here, what follows needs results\n", err)
    assert.equal(0, status)
    status, _, err = check [[
local tw = require "tideway"
tw.from_range(1, 3):sink_to_list()
tw.run()
tw.stream():map(3)
]]
    assert.equal(1, status)
    assert.matches("^script%.lua:4: map: ", err)
  end)

  it("notes streams that lead to no sink", function()
    local status, out, err = check [[
local tw = require "tideway"
for i = 1, 100 do
  tw.from_range(1, 3):map(function(x) return x + i end)
  collectgarbage()
end
]]
    assert.equal(0, status)
    assert.equal("script.lua: ok: 100 entries, 100 operators, 0 sinks\n", out)
    assert.matches("^script%.lua:3: note: <map> leads to no sink\n", err)
  end)

  it("is misuse when no script is named or it cannot be read", function()
    assert.equal(2, (tideway "check"))
    assert.equal(2, (tideway("check", "/no/such.lua")))
  end)
end)
