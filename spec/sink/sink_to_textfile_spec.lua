--- sink_to_textfile: what is written and when, numbers that read back, files that refuse.
local tw = require "tideway"
local ffi = require "ffi"
local view = require "tideway.view"
local bb = require "support.black_box"
local helper = require "helper"
local scratch = require "support.scratch"

local failure, first_line, misuse, has = bb.failure, bb.first_line, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local fresh, read = scratch.path, scratch.read

local function written(...) return (scratch.written("sink_to_textfile", ...)) end

describe("sink_to_textfile (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(scratch.remove)

  it("writes strings, each with the delimiter", function()
    assert.equal("a\n\nb\0c\n", written { "a", "", "b\0c" })
    assert.equal("a, b, ", written({ "a", "b" }, { delimiter = ", " }))
    assert.equal("ab", written({ "a", "b" }, { delimiter = "" }))
  end)

  it("writes numbers as tostring where that reads back the same", function()
    for _, x in ipairs { 0, -0, 1, -17, 2.5, 0.1, 1e14, 1e100, 1e-5, 12345678901234, 1 / 0, -1 / 0, 0.0001 } do
      assert.equal(tostring(x) .. "\n", written { x })
    end
    assert.equal("nan\n", written { 0 / 0 })
    assert.equal("9007199254740993\n18446744073709551615\n-5\n",
      written { 9007199254740993LL, 18446744073709551615ULL, -5LL })
  end)

  it("writes every number so that it reads back the same", function()
    local bits = ffi.new "union { double x; uint32_t half[2]; }"
    local numbers = {}
    while #numbers < 3000 do
      -- an exponent of less than 0x7ff: a NaN with bits of its own is no Lua value at all
      bits.half[0] = math.random(0, 2 ^ 32 - 1)
      bits.half[1] = math.random(0, 0x7fe) * 2 ^ 20 + math.random(0, 2 ^ 20 - 1)
      numbers[#numbers + 1] = math.random() < 0.5 and (math.random() < 0.5 and -bits.x or bits.x)
        or (math.random() - 0.5) * 10 ^ math.random(-8, 18)
    end
    local i = 0
    for line in written(numbers):gmatch "[^\n]+" do
      i = i + 1
      assert.equal(numbers[i], tonumber(line))
      if tonumber(tostring(numbers[i])) == numbers[i] then assert.equal(tostring(numbers[i]), line) end
    end
    assert.equal(#numbers, i)
  end)

  it("writes views, and copies a file line by line", function()
    local path, copy = fresh(), fresh()
    local lines = {}
    for i = 1, 30000 do lines[i] = ("x"):rep(math.random(0, 100)) end
    local file = assert(io.open(path, "wb"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    tw.from_textfile(path, { view = true }):sink_to_textfile(copy)
    tw.run()
    assert.is_true(read(path) == read(copy))
  end)

  it("writes elements larger than its buffer whole and in order", function()
    local big = ("0123456789"):rep(1e6)
    assert.is_true(written { "a", big, "b", big, "c" } == table.concat({ "a", big, "b", big, "c", "" }, "\n"))
  end)

  it("appends, or starts anew with mode w", function()
    local path = fresh()
    assert.equal("a\n", written({ "a" }, nil, path))
    assert.equal("a\nb\n", written({ "b" }, { mode = "a" }, path))
    assert.equal("c\n", written({ "c" }, { mode = "w" }, path))
    assert.equal("", written({}, { mode = "w" }, path))
  end)

  it("is complete after tw.run and after destroy", function()
    local path = fresh()
    local source = tw.stream()
    local sink = source:sink_to_textfile(path)
    source:emit "a"
    tw.run()
    assert.equal("a\n", read(path))
    source:emit "b"
    sink:destroy()
    assert.equal("a\nb\n", read(path))
  end)

  it("is complete when the process ends", function()
    local path = fresh()
    local script = fresh()
    local file = assert(io.open(script, "wb"))
    file:write(([[
      package.path = %q
      local tw = require "tideway"
      local s = tw.stream()
      s:sink_to_textfile(%q)
      s:emit "a"
      if arg[1] then error "fails" end
    ]]):format(package.path, path))
    file:close()
    os.execute("luajit " .. script)
    assert.equal("a\n", read(path))
    os.execute("luajit " .. script .. " x 2> /dev/null")
    assert.equal("a\na\n", read(path))
  end)

  it("touches nothing before the first element or the run", function()
    local path = fresh()
    written({ "keep" }, nil, path)
    local source = tw.stream()
    local sink = source:sink_to_textfile(path, { mode = "w" })
    assert.equal("keep\n", read(path))
    sink:destroy()
    assert.equal("", read(path))
  end)

  it("writes to an open file after what is there, and leaves it open", function()
    local path = fresh()
    local file = assert(io.open(path, "wb"))
    file:write "head\n"
    local source = tw.stream()
    local sink = source:sink_to_textfile(file)
    source:emit "a"
    tw.run()
    assert.equal("head\na\n", read(path))
    assert.equal("file", io.type(file))
    file:write "mine\n"
    file:flush()
    source:emit "b"
    sink:destroy()
    file:close()
    assert.equal("head\na\nmine\nb\n", read(path))
  end)

  it("refuses what is no text, and goes on", function()
    local path = fresh()
    local source = tw.stream()
    local sink = source:sink_to_textfile(path)
    for _, x in ipairs { {}, true, tw.null, print } do
      assert.is_true(has(failure(source.emit, source, x),
        "sink_to_textfile: takes strings and numbers, got a "))
    end
    local dead = view.new()
    assert.is_true(has(failure(source.emit, source, dead), "no longer valid"))
    source:emit "fine"
    sink:destroy()
    assert.equal("fine\n", read(path))
  end)

  it("names path and byte when the disk is full", function()
    local source = tw.from_iterable { "some text" }
    local sink = source:sink_to_textfile "/dev/full"
    assert.equal("sink_to_textfile: /dev/full: byte 0: No space left on device", first_line(failure(tw.run)))
    assert.is_true(has(failure(sink.destroy, sink), "No space left"))
    tw.run() -- destroyed: nothing is left to fail

    source = tw.stream()
    sink = source:sink_to_textfile "/dev/full"
    local err
    for _ = 1, 100 do
      local ok
      ok, err = pcall(source.emit, source, ("x"):rep(1000))
      if not ok then break end
    end
    assert.is_true(has(err, "/dev/full: byte 0: No space left on device"))
    failure(sink.destroy, sink)
  end)

  it("refuses at build time what cannot be written", function()
    local source = tw.stream()
    assert.equal("sink_to_textfile: /no/such/file: No such file or directory",
      misuse(function() source:sink_to_textfile "/no/such/file" end))
    assert.equal("sink_to_textfile: /tmp: Is a directory",
      misuse(function() source:sink_to_textfile "/tmp" end))
    assert.equal("sink_to_textfile: file must be a path or an open file, got number",
      misuse(function() source:sink_to_textfile(12) end))
    assert.is_true(has(misuse(function() source:sink_to_textfile("x", { mode = "r" }) end), "mode"))
    assert.is_true(has(misuse(function() source:sink_to_textfile("x", { flush_interval = "soon" }) end),
      "flush_interval"))
    for text, rotate in pairs {
      ["rotate: needs size or time"] = {}, ["rotate: unknown setting keep"] = { keep = 3 },
      ["rotate: size must be a whole number of bytes, got 0"] = { size = 0 }, ["rotate: time must be"] = { time = "x" },
    } do
      assert.is_true(has(misuse(function() source:sink_to_textfile("x", { rotate = rotate }) end), text))
    end
    assert.is_true(has(misuse(function() source:sink_to_textfile(io.stdout, { rotate = { size = 9 } }) end),
      "rotate: an open file has no name"))
  end)

  it("waits for the disk with fsync, and takes it for done on a pipe", function()
    assert.equal("a\nb\n", written({ "a", "b" }, { fsync = true }))
    local path = fresh()
    os.remove(path)
    assert.equal(0, os.execute("mkfifo " .. path))
    local pipe = assert(io.popen("cat " .. path))
    assert(scratch.written("sink_to_textfile", { "through" }, { fsync = true }, "/dev/null"))
    local sink = tw.from_iterable { "through" }:sink_to_textfile(path, { fsync = true })
    tw.run()
    sink:destroy()
    assert.equal("through\n", pipe:read "*a")
    pipe:close()
  end)

  describe("with rotate", function()
    it("begins a new file before one would be too large, the newest of the others is .1", function()
      local path = fresh()
      assert.equal("7\n8\n", written({ "1", "2", "3", "4", "5", "6", "7", "8" }, { rotate = { size = 7 } }, path))
      assert.same({ "4\n5\n6\n", "1\n2\n3\n" }, scratch.rotated(path))
    end)

    it("gives a record that is larger than a file may be a file of its own, and cuts none", function()
      local path = fresh()
      assert.equal("b\n", written({ "a", ("x"):rep(20), 17.25, "b" }, { rotate = { size = 5 } }, path))
      assert.same({ "17.25\n", ("x"):rep(20) .. "\n", "a\n" }, scratch.rotated(path))
    end)

    it("counts what was in the file before", function()
      local path = scratch.file "old\n"
      assert.equal("b\n", written({ "a", "b" }, { rotate = { size = 6 } }, path))
      assert.same({ "old\na\n" }, scratch.rotated(path))
    end)

    it("loses and tears nothing, whatever the sizes", function()
      for _ = 1, 10 do
        local path, elements, size = fresh(), {}, math.random(1, 300)
        for i = 1, math.random(0, 500) do elements[i] = i .. ("x"):rep(math.random(0, 20)) end
        local last = written(elements, { rotate = { size = size }, fsync = true }, path)
        local files = scratch.rotated(path)
        local all = { last }
        for _, text in ipairs(files) do
          table.insert(all, 1, text)
          assert.is_true(#text <= size or not text:find "\n.")
        end
        assert.equal(#elements > 0 and table.concat(elements, "\n") .. "\n" or "", table.concat(all))
      end
    end)

    it("begins a new file when one is old enough, but not behind an empty one", function()
      local clock, path, source = tw.testing.clock(), fresh(), tw.stream()
      local sink = source:sink_to_textfile(path, { rotate = { time = "1m" }, flush_interval = "1s" })
      source:emit "a"
      clock:advance "30s"
      source:emit "b"
      clock:advance "45s"
      assert.same({}, scratch.rotated(path))
      source:emit "c"
      source:emit "d"
      assert.same({ "a\nb\n" }, scratch.rotated(path))
      clock:advance "61s"
      source:emit "e"
      assert.same({ "c\nd\n", "a\nb\n" }, scratch.rotated(path))
      clock:advance "1s"
      assert.equal("e\n", read(path))
      sink:destroy()
      clock:advance "1h"
      helper.restore(clock)
    end)

    it("says what cannot be renamed, and goes on with the file", function()
      local folder = fresh()
      os.remove(folder)
      os.execute("mkdir " .. folder)
      local path, source = scratch.also(folder .. "/log"), tw.stream()
      local sink = source:sink_to_textfile(path, { rotate = { size = 4 } })
      source:emit "abc"
      os.rename(path, path .. "x")
      local err = failure(source.emit, source, "def")
      assert.is_true(has(err, "sink_to_textfile: " .. path .. ": No such file or directory"))
      os.rename(path .. "x", path)
      source:emit "def"
      sink:destroy()
      assert.equal("def\n", read(path))
      assert.same({ "abc\n" }, scratch.rotated(path))
      scratch.remove()
      os.remove(folder)
    end)

    it("refuses what is no regular file", function()
      local source = tw.stream()
      local sink = source:sink_to_textfile("/dev/null", { rotate = { size = 10 } })
      assert.is_true(has(failure(source.emit, source, "x"), "/dev/null: only regular files can be rotated"))
      failure(sink.destroy, sink)
    end)
  end)

  describe("with flush_interval", function()
    local clock
    before_each(function() clock = tw.testing.clock() end)
    after_each(function() helper.restore(clock) end)

    it("has an element in the file that long after it came, at the latest", function()
      local path, source = fresh(), tw.stream()
      local sink = source:sink_to_textfile(path, { flush_interval = "1s" })
      source:emit "a"
      clock:advance(0.9)
      source:emit "b"
      assert.equal("", read(path))
      clock:advance(0.1)
      assert.equal("a\nb\n", read(path))
      clock:advance(10)
      source:emit "c"
      clock:advance(0.999)
      assert.equal("a\nb\n", read(path))
      clock:advance(0.001)
      assert.equal("a\nb\nc\n", read(path))
      source:emit "d"
      sink:destroy()
      assert.equal("a\nb\nc\nd\n", read(path))
      clock:advance(10)
    end)

    it("writes through an open file, behind what is buffered there", function()
      local path = fresh()
      local file = assert(io.open(path, "w"))
      local source = tw.stream()
      source:sink_to_textfile(file, { flush_interval = 1 })
      file:write "x"
      source:emit "a"
      clock:advance(1)
      assert.equal("xa\n", read(path))
      file:close()
    end)

    it("keeps no run going, and leaves nothing behind", function()
      local path = fresh()
      tw.from_range(1, 3):sink_to_textfile(path, { flush_interval = "1h" })
      tw.run()
      assert.equal("1\n2\n3\n", read(path))
    end)

    it("fails the run when the file cannot take it, and tries again", function()
      local source = tw.stream()
      local sink = source:sink_to_textfile("/dev/full", { flush_interval = 1 })
      source:emit "a"
      assert.is_true(has(failure(clock.advance, clock, 2), "/dev/full: byte 0: No space left on device"))
      assert.is_true(has(failure(sink.destroy, sink), "No space left"))
      clock:advance(10)
    end)
  end)
end)
