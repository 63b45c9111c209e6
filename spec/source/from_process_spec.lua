--- from_process: lines of real programs.
local command = require "support.command"
local ffi = require "ffi"
local helper = require "helper"
local process = require "support.process"
local tw = helper.tw

local function lines(argv, opts)
  local out = tw.from_process(argv, opts):sink_to_list()
  tw.run()
  return out
end

local function sh(script, opts) return lines({ "sh", "-c", script }, opts) end

--- A command that no other run of this spec gives.
local function own(command_line) return command_line .. ffi.C.getpid() end

--- The processes whose command line contains `mark`.
local function running(mark)
  local pipe = io.popen("pgrep -f -- '[" .. mark:sub(1, 1) .. "]" .. mark:sub(2) .. "'")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

describe("from_process", function()
  it("does what its example says", function() helper.example("from_process", "source") end)

  it("gives all lines, the last one without delimiter, too", function()
    assert.same({ "a", "", "b c", "end" }, sh "printf 'a\\n\\nb c\\nend'")
    assert.same({ "a" }, sh("printf 'a\\nb'", { partial = false }))
    assert.same({ "a", "b" }, sh("printf 'a;b;'", { delimiter = ";" }))
    assert.same({}, lines { "true" })
  end)

  it("gives all lines although the child has ended long since", function()
    local source = tw.from_process { "seq", "1", "2000" }
    local out = {}
    source:sink(function(x)
      if #out < 20 then tw.sleep "2ms" end
      out[#out + 1] = x
    end)
    tw.run()
    assert.equal(2000, #out)
    assert.equal("2000", out[2000])
  end)

  it("gives lines of any length", function()
    local out = sh "head -c 300000 /dev/zero | tr '\\0' x; echo; echo short"
    assert.same({ 300000, 5 }, { #out[1], #out[2] })
  end)

  it("passes arguments on as they are, without a shell", function()
    assert.same({ "a b", "$HOME", "*", "", "5" },
      lines { "printf", "%s\\n", "a b", "$HOME", "*", "", 5 })
  end)

  it("has the environment and folder that it was told", function()
    local out = sh("echo $A; echo ${HOME-none}; pwd", { env = { A = "x y", HOME = false }, cwd = "/" })
    assert.same({ "x y", "none", "/" }, out)
  end)

  it("reads nothing from our input", function() assert.same({ "0" }, sh "wc -c") end)

  it("gives its errors a place", function()
    assert.same({ "err" }, sh("echo err >&2", { stderr = "stdout" }))
    assert.same({ "out" }, sh("echo out; echo err >&2", { stderr = "ignore" }))
    local _, out, err = command.script [[
      local tw = require "tideway"
      tw.from_process({ "sh", "-c", "echo out; echo err >&2" }):print()
      tw.run()
    ]]
    assert.same({ '"out"\n', "err\n" }, { out, err })
  end)

  describe("an exit status other than 0", function()
    it("raises at the end, after all lines", function()
      local out = tw.from_process({ "sh", "-c", "echo a; exit 3" }):sink_to_list()
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.matches("from_process: sh exited with status 3", tostring(err), 1, true)
      assert.same({ "a" }, out)
      tw.from_process { "sh", "-c", "kill -9 $$" }:sink(function() end)
      ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.matches("from_process: sh was ended by signal 9", tostring(err), 1, true)
    end)

    it("does not matter with check = false", function()
      local ended = false
      local source = tw.from_process({ "sh", "-c", "echo a; exit 3" }, { check = false })
      local out = source:sink_to_list()
      source:on_end(function() ended = true end)
      tw.run()
      assert.same({ "a" }, out)
      assert.is_true(ended)
    end)

    it("goes by the policy", function()
      local source, letters = tw.from_process { "sh", "-c", "exit 3" }, tw.stream()
      local dead, ended = letters:sink_to_list(), false
      source:on_error(letters)
      source:sink(function() end)
      source:on_end(function() ended = true end)
      tw.run()
      assert.matches("exited with status 3", dead[1].error)
      assert.is_true(ended)
    end)
  end)

  it("raises at the start for what cannot be run", function()
    for _, argv in ipairs { { "no-such-program" }, { "/tmp" } } do
      tw.from_process(argv):sink(function() end)
      local ok, err = pcall(tw.run)
      assert.is_false(ok)
      assert.matches("from_process: " .. argv[1] .. ": ", tostring(err), 1, true)
    end
    local ok, err = pcall(sh, "true", { cwd = "/nonexistent" })
    assert.is_false(ok)
    assert.matches("/nonexistent", tostring(err), 1, true)
  end)

  it("ends the child, and what that has started, at stop", function()
    local nap = own "sleep 7654."
    local source = tw.from_process { "sh", "-c", ("echo a; %s & %s"):format(nap, nap) }
    source:sink(function() source:stop() end)
    tw.run()
    assert.equal("", running(nap))
  end)

  it("delivers what the child still writes when it is stopped", function()
    local source = tw.from_process { "sh", "-c",
      "trap 'echo last; exit' TERM; echo a; sleep 0.01; while :; do sleep 0.01; done" }
    local out, ended = {}, nil
    source:sink(function(x)
      out[#out + 1] = x
      if x == "a" then tw.spawn(function() tw.sleep "30ms" tw.stop() end) end
    end)
    source:on_end(function() ended = #out end)
    tw.run()
    assert.same({ "a", "last" }, out)
    assert.equal(2, ended)
  end)

  it("kills a child that ignores SIGTERM after 5 s", function()
    local clock = tw.testing.clock()
    local ok, err = pcall(function()
      local nap = own "sleep 0.0765"
      local source = tw.from_process { "sh", "-c", ("trap '' TERM; echo a; while :; do %s; done"):format(nap) }
      local seen = 0
      source:sink(function() seen = seen + 1 end)
      source:start()
      process.eventually("its line", function() clock:advance(0) return seen == 1 end)
      source:stop()
      clock:advance "4s"
      assert.is_not.equal("", running(nap))
      clock:advance "1s"
      process.eventually("its end", function() clock:advance(0) return running(nap) == "" end)
    end)
    clock:restore()
    if not ok then error(err, 0) end
  end)

  it("ends a child that nobody listens to any more", function()
    local yes = own "yes "
    local out = tw.from_process { "sh", "-c", "sleep 0; " .. yes }:take(3):sink_to_list()
    tw.run()
    assert.equal(3, #out)
    process.eventually("its end", function() return running(yes) == "" end)
  end)

  it("holds the child back while the pipeline waits", function()
    local path = os.tmpname()
    local source = tw.from_process { "sh", "-c",
      ("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf '%%01000d\\n' $i; echo $i > %s; done"):format(path) }
    local held, seen = nil, 0
    source:sink(function()
      seen = seen + 1
      if seen > 1 then return end
      local before
      repeat -- until it stands still
        before = held
        tw.sleep "100ms"
        local file = io.open(path)
        held = tonumber(file:read "*l") or held
        file:close()
      until held == before and held
    end)
    tw.run()
    os.remove(path)
    assert.is_true(held < 1500)
    assert.equal(3000, seen)
  end)

  it("can be started again", function()
    local source = tw.from_process { "echo", "a" }
    local out = source:sink_to_list()
    tw.run()
    source:start()
    tw.run()
    assert.same({ "a", "a" }, out)
  end)

  it("raises for misuse at the user's line", function()
    helper.misuse(function() tw.from_process() end, "from_process", "argv")
    helper.misuse(function() tw.from_process "ls -l" end, "from_process", "argv")
    helper.misuse(function() tw.from_process {} end, "from_process", "argv")
    helper.misuse(function() tw.from_process { "a", {} } end, "from_process", "argument 2")
    helper.misuse(function() tw.from_process { "a\0b" } end, "from_process", "byte 0")
    helper.misuse(function() tw.from_process({ "a" }, { shell = true }) end, "from_process", "shell")
    helper.misuse(function() tw.from_process({ "a" }, { env = { ["A=B"] = "x" } }) end, "env")
    helper.misuse(function() tw.from_process({ "a" }, { env = { A = {} } }) end, "env.A")
    helper.misuse(function() tw.from_process({ "a" }, { stderr = "x" }) end, "stderr")
    helper.misuse(function() tw.from_process({ "a" }, { delimiter = "" }) end, "delimiter")
  end)
end)
