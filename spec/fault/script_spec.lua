--- Bad scripts through the tideway command: one line first that says where and what, an exit
-- status, and never a crash.
local bb = require "support.black_box"

local TIDEWAY = os.getenv "TIDEWAY" or "build/bin/tideway"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function quoted(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

--- Run the command. Returns its exit status (128 + n: signal n), stdout and stderr.
local function command(args, stdin)
  local out, err = os.tmpname(), os.tmpname()
  local line = ("timeout 60 %s %s >%s 2>%s <%s; echo $?")
    :format(TIDEWAY, args, out, err, stdin or "/dev/null")
  local pipe = assert(io.popen(line))
  local status = tonumber(pipe:read "*a")
  pipe:close()
  local stdout, stderr = read(out), read(err)
  os.remove(out)
  os.remove(err)
  return status, stdout, stderr
end

--- Run a script of the given text. Returns as command does, and the script's name.
local function script(text, args)
  local path = bb.file(text)
  local status, out, err = command("run " .. quoted(path) .. " " .. (args or ""))
  os.remove(path)
  return status, out, err, path:match "[^/]*$"
end

local function first_line(text) return (text:match "^[^\n]*") end

--- The script must fail: a status of 1 (or 2 for misuse), a first line with all of the parts.
local function fails(text, ...)
  local status, _, err, name = script(text)
  assert.is_true(status == 1 or status == 2, ("status %s, %s"):format(status, err))
  local line = first_line(err)
  for i = 1, select("#", ...) do
    local part = select(i, ...):gsub("NAME", function() return name end)
    assert.is_true(bb.has(line, part), ("%q has no %q"):format(line, part))
  end
  return status, err
end

describe("tideway run", function()
  it("runs a script and exits with 0", function()
    local status, out, err = script [[
      local tw = require "tideway"
      tw.from_range(1, 3):sink(print)
      tw.run()
    ]]
    assert.same({ 0, "1\n2\n3\n", "" }, { status, out, err })
  end)

  it("runs an empty script and one that only comments", function()
    assert.equal(0, (script ""))
    assert.equal(0, (script "-- nothing"))
    assert.equal(0, (script "#!/usr/bin/env tideway\nreturn"))
  end)

  it("gives the script its arguments and its own path", function()
    local status, out = script("print(#arg, arg[1], arg[2], (...)) print(arg[0] ~= nil)", "one 'two 2'")
    assert.equal(0, status)
    assert.equal("2\tone\ttwo 2\tone\ntrue\n", out)
  end)

  it("lets the script choose its exit status", function()
    assert.equal(3, (script "os.exit(3)"))
    assert.equal(0, (script "os.exit(0)"))
  end)

  it("reads standard input", function()
    local path = bb.file "a\nb\n"
    local code = bb.file [[for line in io.lines() do print("got " .. line) end]]
    local status, out = command("run " .. quoted(code), path)
    os.remove(path)
    os.remove(code)
    assert.equal(0, status)
    assert.equal("got a\ngot b\n", out)
  end)

  it("completes buffered output when the script ends", function()
    local status, out = script [[
      local tw = require "tideway"
      local source = tw.stream()
      source:print()
      source:emit(1)
      source:emit({ 1, 2 })
      source:emit("text")
    ]]
    assert.equal(0, status)
    assert.equal('1\n[1,2]\n"text"\n', out)
  end)
end)

describe("a script", function()
  it("with a syntax error is named with its line", function()
    fails("local x = 1\nlocal = 2\n", "NAME:2:", "expected near '='")
    fails("for i = 1, 2 do\n", "NAME:", "end")
  end)

  it("that does not exist is named", function()
    local status, out, err = command "run /nonexistent/pipeline.lua"
    assert.is_true(status == 1 or status == 2)
    assert.equal("", out)
    assert.is_true(bb.has(first_line(err), "/nonexistent/pipeline.lua"), err)
  end)

  it("that is a directory is named", function()
    local status, _, err = command "run /tmp"
    assert.is_true(status == 1 or status == 2)
    assert.is_true(bb.has(first_line(err), "/tmp"), err)
  end)

  it("of arbitrary bytes fails in one line", function()
    fails "\0\1\2\255\254 binary"
    fails(("\27LJ\2"):rep(3))
    fails(("("):rep(100000))
    fails("return " .. ("{"):rep(5000))
  end)

  it("that raises is named with its line, exit status 1", function()
    local status = fails("\n\nerror 'own text'", "NAME:3:", "own text")
    assert.equal(1, status)
    status = fails("local t = nil\nprint(t.x)", "NAME:2:", "attempt to index")
    assert.equal(1, status)
  end)

  it("that raises what is no string fails all the same", function()
    assert.equal(1, (fails "error({})"))
    assert.equal(1, (fails "error()"))
    assert.equal(1, (fails "error(setmetatable({}, {__tostring = function() error 'x' end}))"))
    local _, err = fails("error(setmetatable({}, {__tostring = function() return 'as text' end}))")
    assert.is_true(bb.has(err, "as text"), err)
  end)

  it("with an unknown operator is told the nearest one", function()
    fails([[
local tw = require "tideway"
tw.stream():fliter(print)
]], "NAME:2:", "fliter", "filter")
    fails([[
local tw = require "tideway"
tw.stream():slidingwindow(2)
]], "NAME:2:", "sliding_window")
  end)

  it("with an unknown source is told so", function()
    fails([[
local tw = require "tideway"
local s = tw.from_rnge(1, 2)
]], "NAME:2:", "from_rnge", "from_range")
  end)

  it("with an unknown setting is told the known ones", function()
    fails([[
local tw = require "tideway"
tw.stream():sliding_window(2, { partial = true })
]], "NAME:2:", "partial", "return_partial")
  end)

  it("with a wrong type is told what was expected", function()
    fails([[
local tw = require "tideway"
local s = tw.stream()
s:map("increment")
]], "NAME:3:", "map")
  end)

  it("whose missing input file is named", function()
    fails([[
local tw = require "tideway"
tw.from_textfile("/nonexistent/input.log"):sink(print)
tw.run()
]], "/nonexistent/input.log")
  end)

  it("whose function fails below a source exits with 1, own text first", function()
    local status, err = fails([[
local tw = require "tideway"
tw.from_range(1, 5):map(function(x)
  if x == 3 then error("three is bad", 0) end
  return x
end):named("check"):sink(print)
tw.run()
]], "three is bad")
    assert.equal(1, status)
    assert.is_true(bb.has(err, "<map: check>"), err)
    assert.is_true(err:find ":3:" ~= nil, err)
  end)

  it("whose output went before the error has it on stdout", function()
    local status, out = script [[
      local tw = require "tideway"
      tw.from_range(1, 5):map(function(x)
        if x == 3 then error("three", 0) end
        return x
      end):sink(print)
      tw.run()
    ]]
    assert.equal(1, status)
    assert.equal("1\n2\n", out)
  end)

  it("in endless recursion fails in one line", function()
    fails("local function f() return 1 + f() end\nf()", "stack overflow")
    fails([[
local tw = require "tideway"
local function f(x) return 1 + f(x) end
local s = tw.stream()
s:map(f):sink(print)
s:emit(1)
]], "stack overflow")
  end)

  it("whose finalizers and metamethods fail does not crash", function()
    local status = script [[
      local tw = require "tideway"
      local p = newproxy(true)
      getmetatable(p).__gc = function() error "in gc" end
      p = nil
      local t = setmetatable({}, {
        __tostring = function() error "in tostring" end,
        __eq = function() error "in eq" end,
        __index = function() error "in index" end,
      })
      local s = tw.stream()
      s:unique():sliding_window(2):sink(function() end)
      pcall(s.emit, s, t)
      pcall(tostring, t)
    ]]
    assert.is_true(status < 128, "status " .. status)
  end)

  it("that yields outside of any task does not crash", function()
    local status = script [[
      local tw = require "tideway"
      local s = tw.stream()
      s:map(function(x) return coroutine.yield(x) end):sink(print)
      pcall(s.emit, s, 1)
      local co = coroutine.wrap(function() s:emit(1) end)
      pcall(co)
      pcall(co)
    ]]
    assert.is_true(status < 124, "status " .. status)
  end)

  it("that emits from a coroutine of its own is served", function()
    local status, out = script [[
      local tw = require "tideway"
      local s = tw.stream()
      s:map(function(x) return x + 1 end):sink(print)
      local co = coroutine.wrap(function()
        for i = 1, 3 do
          s:emit(i)
          coroutine.yield()
        end
      end)
      co() co() co()
    ]]
    assert.equal(0, status)
    assert.equal("2\n3\n4\n", out)
  end)

  it("whose very deep data is refused or read, without a crash", function()
    local status = script [[
      local tw = require "tideway"
      local s = tw.stream()
      s:on_error("skip"):json():sink(function() end)
      s:emit(("["):rep(1e6))
      s:emit(("["):rep(1e5) .. ("]"):rep(1e5))
      s:emit('{"a":' .. ("{\"a\":"):rep(1e5))
      local t = {}
      for _ = 1, 1e5 do t = { t } end
      local u = tw.stream()
      u:on_error("skip"):encode("json"):sink(function() end)
      u:emit(t)
      local loop = {}
      loop[1] = loop
      u:emit(loop)
    ]]
    assert.equal(0, status)
  end)

  it("that holds elements which refer to their own graph ends", function()
    local status = script [[
      local tw = require "tideway"
      local s = tw.stream()
      s:sliding_window(3):sink(function() end)
      s:collect()
      for _ = 1, 10 do s:emit(s) end
    ]]
    assert.equal(0, status)
  end)

  it("that reaches into a used-up stream gets an error, no crash", function()
    local status = script [[
      local tw = require "tideway"
      local s = tw.stream()
      local w = s:sliding_window(3):sum()
      w:sink(function() w:destroy() s:destroy() end)
      pcall(s.emit, s, 1)
      pcall(s.emit, s, 2)
      pcall(w.emit, w, 3)
      pcall(function() w:sink(print) end)
    ]]
    assert.is_true(status == 0, "status " .. status)
  end)
end)

describe("limits", function()
  it("on instructions end an endless loop", function()
    fails([[
local tw = require "tideway"
tw.limits { instructions = 1e6 }
local s = tw.stream()
s:map(function(x) while true do x = x + 1 end end):sink(print)
s:emit(1)
]], "instructions")
  end)

  it("on instructions end an endless loop of the script itself", function()
    fails("require 'tideway'.limits { instructions = 1e6 }\nwhile true do end", "instructions")
  end)

  it("on time end an endless loop", function()
    fails("require 'tideway'.limits { time = '100ms' }\nwhile true do end", "time")
  end)

  it("on memory end a script that grows", function()
    fails([[
require "tideway".limits { memory = "32MB" }
local t = {}
for i = 1, 1e9 do t[i] = { i } end
]], "memory")
  end)

  it("end a script that catches their errors", function()
    fails([[
require "tideway".limits { time = "50ms" }
while true do pcall(function() while true do end end) end
]], "time")
  end)

  it("of a wrong type, without a value, or unknown raise at the script's line", function()
    for given, part in pairs {
      ["{ momery = '1MB' }"] = "memory", [""] = "limits", ["{ memory = 'much' }"] = "memory",
      ["{ instructions = -1 }"] = "instructions", ["{ time = 'soon' }"] = "time", ["1"] = "limits",
    } do
      fails("local tw = require 'tideway'\ntw.limits(" .. given .. ")\n", "NAME:2:", part)
    end
  end)

  it("leave a script that keeps to them alone", function()
    local status, out = script [[
      local tw = require "tideway"
      tw.limits { memory = "64MB", instructions = 1e8, time = "1m" }
      local s = tw.stream()
      s:map(function(x) return x + 1 end):sink(print)
      for i = 1, 3 do s:emit(i) end
    ]]
    assert.equal(0, status)
    assert.equal("2\n3\n4\n", out)
  end)
end)

describe("the command line", function()
  it("without arguments, with unknown commands or flags is misuse: status 2", function()
    for _, args in ipairs { "nosuchcommand", "run", "run --nosuchflag x.lua", "--nosuchflag" } do
      local status, out, err = command(args)
      assert.equal(2, status, args)
      assert.equal("", out, args)
      assert.is_true(#err > 0, args)
    end
  end)

  it("names the unknown command and flag", function()
    local _, _, err = command "nosuchcommand"
    assert.is_true(bb.has(first_line(err), "nosuchcommand"), err)
    _, _, err = command "run --nosuchflag x.lua"
    assert.is_true(bb.has(first_line(err), "nosuchflag"), err)
  end)

  it("has a version and help", function()
    local status, out = command "version"
    assert.equal(0, status)
    assert.is_truthy(out:match "%d+%.%d+" or out:match "scm", out)
    status, out = command "--help"
    assert.equal(0, status)
    assert.is_true(bb.has(out, "run") and bb.has(out, "eval"), out)
  end)

  it("evaluates an expression", function()
    local path = bb.file '{"status": 200}\n{"status": 503}\n'
    local status, out = command(
      "-e " .. quoted "stdin():json():filter(function(r) return r.status >= 500 end):pluck('status'):print()",
      path)
    os.remove(path)
    assert.equal(0, status)
    assert.equal("503\n", out)
  end)

  it("reports a broken expression in one line", function()
    local status, out, err = command("-e " .. quoted "stdin():json(")
    assert.is_true(status == 1 or status == 2)
    assert.equal("", out)
    assert.is_true(#first_line(err) > 0)
  end)

  it("checks a script without running it", function()
    local path = bb.file [[
      local tw = require "tideway"
      tw.from_range(1, 3):sink(print)
      tw.run()
    ]]
    local status, out = command("check " .. quoted(path))
    os.remove(path)
    assert.equal(0, status)
    assert.is_false(bb.has(out, "1\n2\n3"))
    path = bb.file "require 'tideway'.stream():map(1)\n"
    local _, err
    status, _, err = command("check " .. quoted(path))
    os.remove(path)
    assert.is_true(status == 1 or status == 2)
    assert.is_true(bb.has(first_line(err), ":1:"), err)
  end)
end)
