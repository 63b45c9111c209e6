--- from_unix: records of the clients of a Unix socket, with nc. What it shares with from_tcp is
-- in from_tcp_spec and in spec/c/source/listener.c.
local files = require "support.files"
local helper = require "helper"
local tw = helper.tw

local function free_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

describe("from_unix", function()
  it("does what its example says", function() helper.example("from_unix", "source") end)

  it("gives the records of every client and removes its socket", function()
    local path = free_path()
    local source = tw.from_unix(path, { delimiter = ";" })
    local out = source:take(6):sink_to_list()
    source:start()
    os.execute(("(for i in 1 2; do printf 'a;b;c' | nc -N -U %s; done) &"):format(path))
    tw.run()
    assert.same({ "a", "b", "c", "a", "b", "c" }, out)
    assert.is_false(files.exists(path))
  end)

  it("says what is in the way, and leaves it", function()
    local path = os.tmpname()
    local source = tw.from_unix(path)
    source:sink(function() end)
    local ok, err = pcall(source.start, source)
    assert.is_false(ok)
    assert.matches(("from_unix: %s: Address already in use"):format(path), tostring(err), 1, true)
    assert.is_true(files.exists(path))
    os.remove(path)
    source:start()
    ok, err = pcall(function() tw.from_unix(path):start() end)
    assert.is_false(ok)
    assert.matches("already in use", tostring(err))
    source:stop()
    tw.run()
  end)

  it("raises for misuse at the user's line", function()
    helper.misuse(function() tw.from_unix(5) end, "from_unix", "path")
    helper.misuse(function() tw.from_unix "" end, "from_unix", "path")
    helper.misuse(function() tw.from_unix("/x", { host = "127.0.0.1" }) end, "from_unix", "host")
    helper.misuse(function() tw.stream():from_unix("/x") end)
    local ok, err = pcall(function() tw.from_unix("/tmp/" .. ("x"):rep(200)):start() end)
    assert.is_false(ok)
    assert.matches("107 bytes", tostring(err))
  end)
end)
