--- from_textfile{follow = true}: what is appended to files, whatever is done to them.
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, misuse, has = bb.append, bb.failure, bb.misuse, bb.has

local function sh(command, ...)
  command = command:format(...)
  assert(os.execute(command) == 0, command)
end

describe("following files", function()
  local clock, dir, log, position

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    sh("mkdir %s", dir)
    log, position = dir .. "/log", dir .. "/position"
    clock = tw.testing.clock()
  end)

  after_each(function()
    clock:restore()
    sh("rm -rf %s", dir)
  end)

  local function add(text, path)
    local file = assert(io.open(path or log, "ab"))
    file:write(text)
    file:close()
  end

  --- Follow, with the settings `opts`, into a list. Returns it, and the source.
  local function start(opts, pattern)
    local got = {}
    opts = opts or {}
    opts.follow = true
    local source = tw.from_textfile(pattern or log, opts)
    source:sink(append(got))
    source:start()
    clock:advance(0)
    return got, source
  end

  local function later() clock:advance "1s" end

  it("gives what is there, then what is appended; a line without its end waits for it", function()
    add "a\nb\nc"
    local got, source = start()
    assert.same({ "a", "b" }, got)
    add "d"
    later()
    assert.same({ "a", "b" }, got)
    add "\ne\n\n"
    later()
    assert.same({ "a", "b", "cd", "e", "" }, got)
    source:destroy()
  end)

  it("splits at any delimiter, also one that comes in two pieces", function()
    add "a--b-"
    local got, source = start { delimiter = "--" }
    add "-c"
    later()
    add "---"
    later()
    assert.same({ "a", "b", "c" }, got)
    source:destroy()
  end)

  it("gives lines longer than its buffer whole", function()
    add ""
    local got, source = start()
    local long = ("0123456789"):rep(100000)
    for _ = 1, 3 do
      add(long)
      later()
    end
    add "\nb\n"
    later()
    assert.equal(2, #got)
    assert.is_true(got[1] == long:rep(3))
    source:destroy()
  end)

  it("starts at the end with from_end, but files that come later at their beginning", function()
    add "old\n"
    local got, source = start({ from_end = true }, dir .. "/*")
    add "new\n"
    add("other\n", dir .. "/other")
    later()
    table.sort(got)
    assert.same({ "new", "other" }, got)
    source:destroy()
  end)

  it("reads on in a file that was renamed, then the one in its place", function()
    add "1\n2\n"
    local got, source = start()
    add "3\n"
    sh("mv %s %s.1", log, log)
    add("4\n", log .. ".1")
    add "6\n"
    add("5\n", log .. ".1")
    later()
    assert.same({ "1", "2", "3", "4", "5", "6" }, got)
    sh("mv %s.1 %s.2; mv %s %s.1", log, log, log, log)
    add "8\n"
    add("7\n", log .. ".1")
    later()
    add "9\n"
    later()
    assert.same({ "1", "2", "3", "4", "5", "6", "7", "8", "9" }, got)
    source:destroy()
  end)

  it("survives deletion, with what was written before, and a file made anew", function()
    add "1\n"
    local got, source = start()
    add "2\n"
    sh("rm %s", log)
    later()
    assert.same({ "1", "2" }, got)
    clock:advance "10m"
    add "3\n"
    later()
    assert.same({ "1", "2", "3" }, got)
    source:destroy()
  end)

  it("gives a last line without an end when its file has been left and is silent", function()
    add "1\n2"
    local got, source = start()
    local whole, other = start { partial = false }
    sh("mv %s %s.1", log, log)
    add "3\n"
    clock:advance "10s"
    assert.same({ "1", "3" }, got)
    clock:advance "2m"
    assert.same({ "1", "3", "2" }, got)
    assert.same({ "1", "3" }, whole)
    source:destroy()
    other:destroy()
  end)

  it("notices truncation, also when the file is longer than before by then", function()
    add "1\n2\n"
    local got, source = start()
    sh(": > %s", log)
    later()
    add "3\n"
    later()
    sh(": > %s", log)
    add(("4\n"):rep(10))
    later()
    assert.same({ "1", "2", "3", "4", "4" }, { unpack(got, 1, 5) })
    assert.equal(13, #got)
    source:destroy()
  end)

  it("reads the rest from the copy that was made before a truncation", function()
    add "1\n2\n"
    local got, source = start()
    add "3\n4\n"
    sh("cp %s %s.1 && : > %s", log, log, log)
    add "5\n6\n7\n8\n9\n"
    later()
    assert.equal("1 2 3 4 5 6 7 8 9", table.concat(got, " "))
    source:destroy()
  end)

  it("follows all files of a glob, those that appear included, and no archives", function()
    add("a1\n", dir .. "/a.log")
    add("packed\n", dir .. "/z.log.gz")
    local got, source = start({}, dir .. "/*.log*")
    add("b1\n", dir .. "/b.log")
    later()
    add("a2\n", dir .. "/a.log")
    add("b2\n", dir .. "/b.log")
    later()
    sh("mv %s/a.log %s/a.log.1", dir, dir) -- which matches, too
    add("a3\n", dir .. "/a.log")
    later()
    table.sort(got)
    assert.same({ "a1", "a2", "a3", "b1", "b2" }, got)
    source:destroy()
  end)

  it("does not read while the pipeline waits", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = i .. "\n" end
    add(table.concat(lines))
    local got = {}
    local source = tw.from_textfile(log, { follow = true })
    source:rate_limit("1s"):sink(append(got))
    source:start()
    clock:advance "3.5s"
    assert.is_true(#got <= 4)
    clock:advance "96s"
    assert.is_true(#got >= 99 and #got <= 101)
    source:destroy()
  end)

  it("ends in order when it is stopped, and goes on when it is started again", function()
    add "1\n2\n3\n"
    local got = {}
    local source = tw.from_textfile(log, { follow = true })
    source:sink(function(x)
      got[#got + 1] = x
      if x == "2" then source:stop() end
    end)
    tw.spawn(function() tw.sleep "1s" end)
    source:start()
    later()
    assert.same({ "1", "2" }, got)
    add "4\n"
    source:start()
    later()
    assert.same({ "1", "2", "3", "4" }, got)
    source:destroy()
  end)

  it("goes on after a restart where it was, with a position file", function()
    add "1\n2\n3"
    local got, source = start { position = position }
    source:destroy()
    add "\n4\n"
    local more, other = start { position = position }
    assert.same({ "1", "2" }, got)
    assert.same({ "3", "4" }, more)
    other:destroy()
  end)

  it("finds after a restart what was rotated meanwhile, more than once, too", function()
    add "1\n"
    local _, source = start { position = position }
    source:destroy()
    add "2\n"
    sh("mv %s %s.1; sleep 0.05", log, log)
    add "3\n"
    sh("mv %s.1 %s.2; mv %s %s.1; sleep 0.05", log, log, log, log)
    add "4\n"
    sh("cp %s %s.3; rm %s; mv %s.3 %s", log, log, log, log, log) -- not that file, only its like
    local got, other = start { position = position }
    assert.same({ "2", "3", "4" }, got)
    other:destroy()
    add "5\n"
    sh("cp %s %s.0; : > %s", log, log, log)
    add "6\n"
    got, other = start { position = position }
    assert.same({ "5", "6" }, got)
    other:destroy()
  end)

  it("does not take a new file for the old one when it has its inode", function()
    add "1\n2\n"
    local _, source = start { position = position }
    source:destroy()
    local file = assert(io.open(log, "r+b")) -- the same inode, other text
    file:write "7\n8\n9\n"
    file:close()
    local got, other = start { position = position }
    assert.same({ "7", "8", "9" }, got)
    other:destroy()
  end)

  it("stops exactly: nothing comes again, nothing is left out", function()
    for i = 1, 100 do add(i .. "\n") end
    local all = {}
    for _ = 1, 10 do
      local source = tw.from_textfile(log, { follow = true, position = position })
      source:sink(function(x)
        all[#all + 1] = x
        if #all % 10 == 0 then source:stop() end
      end)
      source:start()
      later()
      source:destroy()
    end
    local wanted = {}
    for i = 1, 100 do wanted[i] = tostring(i) end
    assert.same(wanted, all)
  end)

  it("saves the place of the oldest line that is not through", function()
    add "1\n2\n3\n"
    local source = tw.from_textfile(log, { follow = true, position = position })
    source:partition(2):sink(function() end)
    source:start()
    later()
    add "4\n5\n" -- 3 and 4 leave together; 5 is held
    later()
    source:stop()
    later()
    local other = os.tmpname()
    sh("cp %s %s", position, other)
    local got, again = start { position = other }
    assert.equal("5", got[#got])
    assert.is_true(#got <= 2) -- 4 shares its batch with 5
    again:destroy()
    source:destroy()
    os.remove(other)
  end)

  it("has a line come again that failed", function()
    add "1\n2\n3\n"
    local source = tw.from_textfile(log, { follow = true, position = position })
    source:sink(function(x) if x == "2" then error "no" end end)
    source:start()
    assert.is_true(has(failure(later), "no"))
    source:destroy()
    local got, other = start { position = position }
    assert.same({ "2", "3" }, got)
    other:destroy()
  end)

  it("never reads its own position file", function()
    add "1\n"
    local got, source = start({ position = position }, dir .. "/*")
    for i = 2, 5 do
      add(i .. "\n")
      clock:advance "3s"
    end
    assert.equal("1 2 3 4 5", table.concat(got, " "))
    source:destroy()
  end)

  it("looks every poll_interval where inotify tells nothing", function()
    local got, source = start({ poll_interval = "20s" }, dir .. "/*/log")
    sh("mkdir %s/sub", dir)
    add("1\n", dir .. "/sub/log")
    clock:advance "19s"
    assert.same({}, got)
    clock:advance "1s"
    assert.same({ "1" }, got)
    source:destroy()
  end)

  it("fails at a line longer than max_line, and says where", function()
    add "ok\nmuch too long\n"
    local got = {}
    local source = tw.from_textfile(log, { follow = true, max_line = 5 })
    source:sink(append(got))
    source:start()
    local err = failure(later)
    assert.is_true(has(err, "from_textfile: " .. log .. ": byte 3: a line of more than 5 bytes (max_line)"))
    assert.same({ "ok" }, got)
    source:destroy()
  end)

  it("names the byte and the file of an element that fails", function()
    add "1\n22\nthree\n"
    local source = tw.from_textfile(log, { follow = true })
    source:sink(function(x) if x == "three" then error "no" end end)
    source:start()
    assert.is_true(has(failure(later), "byte 5 of " .. log))
    source:destroy()
  end)

  it("refuses what is not there, is no file, or is damaged", function()
    local source = tw.from_textfile(log, { follow = true })
    assert.is_true(has(failure(function() source:start() end), log .. ": No such file or directory"))
    source:destroy()
    source = tw.from_textfile(dir, { follow = true })
    assert.is_true(has(failure(function() source:start() end), "directory"))
    source:destroy()
    add "1\n"
    add("something else", position)
    source = tw.from_textfile(log, { follow = true, position = position })
    assert.is_true(has(failure(function() source:start() end), "no position file"))
    source:destroy()
  end)

  it("refuses settings that do not go together", function()
    assert.equal("from_textfile: follow takes a path or a glob", misuse(function()
      local _ = tw.from_textfile("-", { follow = true })
    end))
    assert.equal("from_textfile: an archive cannot be followed", misuse(function()
      local _ = tw.from_textfile("a.gz", { follow = true })
    end))
    assert.equal("from_textfile: position needs follow = true", misuse(function()
      local _ = tw.from_textfile("a", { position = "b" })
    end))
    assert.equal("from_textfile: poll_interval must be more than 0", misuse(function()
      local _ = tw.from_textfile("a", { follow = true, poll_interval = 0 })
    end))
  end)
end)
