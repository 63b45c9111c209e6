local helper = require "helper"
local tw = helper.tw

--- What a script prints, in a process of its own.
local function output(script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write('package.path = "', package.path, '"\npackage.cpath = "', package.cpath, '"\n',
    'local tw = require "tideway"\n', script)
  file:close()
  local pipe = assert(io.popen("luajit " .. path .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return text
end

describe("print", function()
  it("has an example", function()
    assert.truthy(require("tideway.sink.print").example)
  end)

  it("prints one JSON line for each element", function()
    local text = output [[
      tw.from_iterable{1, "a\nb", true, false, tw.null, {1, 2}, {x = "y"}, 0.5}:print()
      tw.run()
    ]]
    assert.equal('1\n"a\\nb"\ntrue\nfalse\nnull\n[1,2]\n{"x":"y"}\n0.5\n', text)
  end)

  it("prints in order with what else the script prints, when emitted to by hand", function()
    local text = output [[
      local s = tw.stream()
      s:print()
      s:emit(1)
      s:emit(2)
    ]]
    assert.equal("1\n2\n", text)
  end)

  it("prints nothing for nothing", function()
    assert.equal("", output "tw.from_iterable{}:print() tw.run()")
  end)

  it("raises for what has no JSON, and goes on under skip", function()
    local text = output [[
      local s = tw.stream()
      s:on_error "skip":print()
      s:emit(1)
      s:emit(function() end)
      s:emit(2)
    ]]
    assert.equal("1\n2\n", text)
  end)

  it("writes null where JSON has no number", function()
    local text = output [[
      tw.from_iterable{1, 3}:sliding_window(2):var():print()
      tw.from_iterable{{1/0, x = 0/0}}:print()
      tw.run()
    ]]
    assert.equal('null\n2\n{"1":null,"x":null}\n', text)
  end)

  it("takes no arguments", function()
    helper.misuse(function() tw.stream():print(5) end, "print")
    helper.misuse_on_destroyed("print", function(s) s:print() end)
  end)
end)
