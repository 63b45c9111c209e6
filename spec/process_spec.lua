--- tw.process.run: real programs, run to their end.
local ffi = require "ffi"
local helper = require "helper"
local serving = require "support.serving"
local tw = helper.tw

ffi.cdef "int getpid(void);"

local function sh(script, opts) return tw.process.run({ "sh", "-c", script }, opts) end

--- The message that fn(...) raises.
local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return tostring(err)
end

describe("process.run", function()
  it("gives output, errors and status", function()
    assert.same({ status = 3, stdout = "out\n", stderr = "err\n" }, sh "echo out; echo err >&2; exit 3")
    assert.same({ status = 0, stdout = "", stderr = "" }, sh "true")
    assert.equal(15, sh("kill $$").signal)
    assert.equal("a\0b", sh("printf 'a\\0b'").stdout)
  end)

  it("passes input, environment and folder on", function()
    local text = ("x"):rep(500000)
    assert.equal(text, tw.process.run({ "cat" }, { stdin = text }).stdout)
    assert.equal("", tw.process.run({ "cat" }).stdout)
    assert.equal(0, tw.process.run({ "true" }, { stdin = text }).status)
    assert.equal("b none /\n", sh("echo $A ${HOME-none} $(pwd)",
      { env = { A = "b", HOME = false }, cwd = "/" }).stdout)
    assert.equal("ab", sh("printf a; printf b >&2", { stderr = "stdout" }).stdout)
  end)

  it("suspends its task only", function()
    local log = {}
    tw.run(function()
      local path = os.tmpname()
      local slow = tw.spawn(function()
        sh("while [ -e " .. path .. " ]; do sleep 0.01; done")
        log[#log + 1] = "slow"
      end)
      local fast = tw.spawn(function()
        sh "true"
        log[#log + 1] = "fast"
        os.remove(path)
      end)
      slow:wait()
      fast:wait()
    end)
    assert.same({ "fast", "slow" }, log)
    local out = tw.from_range(1, 20):map_async(function(i) return sh("echo " .. i).stdout end,
      { parallelism = 5 }):sink_to_list()
    tw.run()
    for i = 1, 20 do assert.equal(i .. "\n", out[i]) end
  end)

  it("raises what went wrong", function()
    assert.matches("process.run: no-such-program: no such file or directory",
      raised(tw.process.run, { "no-such-program" }), 1, true)
    assert.matches("process.run: sh exited with status 2: oh",
      raised(sh, "echo oh >&2; exit 2", { check = true }), 1, true)
    assert.matches("process.run: sh: timeout", raised(sh, "sleep 5432", { timeout = "20ms" }), 1, true)
    assert.matches("more than 1000 bytes of output",
      raised(tw.process.run, { "yes" }, { max_output = 1000 }), 1, true)
  end)

  it("ends the child when its task is cancelled or times out", function()
    local nap = "leep 54321." .. ffi.C.getpid() -- no other's
    local function running()
      local pipe = io.popen(("pgrep -f '[s]%s'"):format(nap))
      local text = pipe:read "*a"
      pipe:close()
      return text ~= ""
    end
    tw.run(function()
      local task = tw.spawn(sh, "exec s" .. nap)
      serving.eventually(running)
      task:cancel()
      serving.eventually(function() return not running() end)
    end)
  end)

  it("raises for misuse at the user's line", function()
    helper.misuse(function() tw.process.run() end, "process.run", "argv")
    helper.misuse(function() tw.process.run "ls" end, "process.run", "argv")
    helper.misuse(function() tw.process.run {} end, "process.run", "argv")
    helper.misuse(function() tw.process.run({ "a" }, { stdn = "x" }) end, "stdin")
    helper.misuse(function() tw.process.run({ "a" }, { timeout = 0 }) end, "timeout")
  end)
end)
