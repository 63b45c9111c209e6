--- to_process: elements to the standard input of real programs.
local command = require "support.command"
local files = require "support.files"
local helper = require "helper"
local tw = helper.tw

--- A shell whose output goes to a file, whose path is added to the script as $1.
local function into(script)
  local path = os.tmpname()
  return { "sh", "-c", script, "sh", path }, function()
    local text = files.read(path)
    os.remove(path)
    return text
  end
end

local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("to_process", function()
  it("does what its example says", function() helper.example("to_process", "sink") end)

  it("writes elements, and waits for the end of the program", function()
    local argv, text = into "cat > $1; sleep 0.1; echo done >> $1"
    tw.from_iterable { "a", "", 1.5, 3 }:to_process(argv, { delimiter = ";" })
    tw.run()
    assert.equal("a;;1.5;3;done\n", text())
  end)

  it("waits while the program does not read", function()
    local argv, text = into "sleep 0.2; wc -c > $1"
    tw.from_range(1, 300):map(function() return ("x"):rep(9999) end):to_process(argv)
    tw.run()
    assert.equal(3000000, tonumber(text()))
  end)

  it("has the environment and folder that it was told", function()
    local argv, text = into "cat > /dev/null; echo $A $(pwd) > $1"
    tw.from_iterable { "x" }:to_process(argv, { env = { A = "b" }, cwd = "/" })
    tw.run()
    assert.equal("b /\n", text())
  end)

  it("raises for a status other than 0 at the end, unless told", function()
    tw.from_iterable { "x" }:to_process { "sh", "-c", "cat > /dev/null; exit 3" }
    assert.matches("to_process: sh exited with status 3", raised(tw.run), 1, true)
    tw.from_iterable { "x" }:to_process({ "sh", "-c", "cat > /dev/null; exit 3" }, { check = false })
    tw.run()
  end)

  it("leaves elements that are not taken to the policy, and starts again", function()
    local argv, text = into "read x; echo $x >> $1; exec < /dev/null; sleep 0.05; exit 5"
    local source, letters = tw.from_iterable { "a", ("x"):rep(200000), "b" }, tw.stream()
    local dead = letters:sink_to_list()
    source:on_error(letters)
    source:to_process(argv, { check = false })
    tw.run()
    assert.equal("a\nb\n", text())
    assert.equal(1, #dead)
    assert.matches("to_process: sh exited with status 5", dead[1].error, 1, true)
    tw.from_iterable { "a" }:to_process { "no-such-program" }
    assert.matches("to_process: no-such-program: no such file or directory", raised(tw.run), 1, true)
    tw.from_iterable { {} }:to_process { "cat" }
    assert.matches("takes strings and numbers", raised(tw.run), 1, true)
  end)

  it("ends the input when it is destroyed, and of a script's end the program may finish", function()
    local argv, text = into "cat > $1; echo end >> $1"
    local stream = tw.stream()
    local sink = stream:to_process(argv)
    stream:emit "a"
    sink:destroy()
    tw.run()
    assert.equal("a\nend\n", text())
    local status, out = command.script [[
      local tw = require "tideway"
      local stream = tw.stream()
      stream:to_process { "sh", "-c", "cat; sleep 0.1; echo end" }
      stream:emit "a"
    ]]
    assert.same({ 0, "a\nend\n" }, { status, out })
  end)

  it("raises for misuse at the user's line", function()
    local s = tw.stream()
    helper.misuse(function() s:to_process() end, "to_process", "argv")
    helper.misuse(function() s:to_process "cat" end, "to_process", "argv")
    helper.misuse(function() s:to_process {} end, "to_process", "argv")
    helper.misuse(function() s:to_process({ "a" }, { shell = 1 }) end, "shell")
    helper.misuse_on_destroyed("to_process", function(x) x:to_process { "cat" } end)
  end)
end)
