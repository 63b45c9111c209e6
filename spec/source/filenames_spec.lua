--- filenames: paths as they appear, in a directory or by a glob.
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, misuse, has = bb.append, bb.failure, bb.misuse, bb.has

local function sh(command) assert(os.execute(command) == 0, command) end

describe("filenames", function()
  local clock, dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    sh("mkdir " .. dir)
    clock = tw.testing.clock()
  end)

  after_each(function()
    clock:restore()
    sh("rm -rf " .. dir)
  end)

  local function touch(name) sh(("touch '%s/%s'"):format(dir, name)) end

  --- What a running source gives, without the directory.
  local function start(pattern, opts)
    local got = {}
    local source = tw.filenames(pattern, opts)
    source:map(function(path) return (path:gsub("^.*/", "")) end):sink(append(got))
    source:start()
    return got, source
  end

  it("gives the files that are there, sorted, then those that appear, each once", function()
    touch "b"
    touch "a"
    touch ".hidden"
    local got, source = start(dir)
    clock:advance "1s"
    assert.same({ "a", "b" }, got)
    touch "d"
    touch "c"
    clock:advance "1s"
    assert.same({ "a", "b", "c", "d" }, got)
    sh(("rm %s/a"):format(dir))
    clock:advance "1s"
    touch "a"
    clock:advance "10s"
    assert.same({ "a", "b", "c", "d" }, got)
    source:destroy()
  end)

  it("gives whole paths, with the directory as it was named", function()
    touch "a"
    local got = {}
    local source = tw.filenames(dir .. "/")
    source:sink(append(got))
    source:start()
    clock:advance(0)
    assert.same({ dir .. "/a" }, got)
    source:destroy()
  end)

  it("gives with again = true what was gone and comes back", function()
    touch "a"
    local got, source = start(dir, { again = true })
    clock:advance "1s"
    sh(("rm %s/a"):format(dir))
    clock:advance "1s"
    touch "a"
    clock:advance "1s"
    assert.same({ "a", "a" }, got)
    source:destroy()
  end)

  it("takes a glob, also one that nothing matches yet, and odd names of directories", function()
    local odd = dir .. "/x[1]*?"
    sh(("mkdir '%s'"):format(odd))
    local got, source = start(dir .. "/*.log")
    local inside, other = start(odd)
    clock:advance "1s"
    assert.same({}, got)
    touch "a.txt"
    touch "b.log"
    touch "x[1]*?/c"
    clock:advance "1s"
    assert.same({ "b.log" }, got)
    assert.same({ "c" }, inside)
    source:destroy()
    other:destroy()
  end)

  it("goes on after a stop with what is new since", function()
    touch "a"
    local got, source = start(dir)
    clock:advance "1s"
    source:stop()
    touch "b"
    clock:advance "5s"
    assert.same({ "a" }, got)
    source:start()
    clock:advance "1s"
    assert.same({ "a", "b" }, got)
    source:destroy()
  end)

  it("looks every poll_interval", function()
    local got, source = start(dir .. "/*/x", { poll_interval = "20s" })
    clock:advance "1s"
    sh(("mkdir %s/d && touch %s/d/x"):format(dir, dir))
    clock:advance "18s"
    assert.same({}, got)
    clock:advance "2s"
    assert.same({ "x" }, got)
    source:destroy()
  end)

  it("waits while the pipeline waits", function()
    for i = 1, 9 do touch(tostring(i)) end
    local got = {}
    local source = tw.filenames(dir)
    source:rate_limit("1s"):sink(append(got))
    source:start()
    clock:advance "3.5s"
    assert.is_true(#got >= 3 and #got <= 4)
    clock:advance "10s"
    assert.equal(9, #got)
    source:destroy()
  end)

  it("refuses a directory that is not there, and an interval of nothing", function()
    local source = tw.filenames(dir .. "/nowhere")
    local err = failure(function() source:start() end)
    assert.is_true(has(err, "filenames: " .. dir .. "/nowhere: no such directory"))
    source:destroy()
    local message = misuse(function()
      local _ = tw.filenames(dir, { poll_interval = 0 })
    end)
    assert.equal("filenames: poll_interval must be more than 0", message)
  end)
end)
