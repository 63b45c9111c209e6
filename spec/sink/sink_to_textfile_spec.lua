--- sink_to_textfile: what is written and when, numbers that read back, files that refuse.
local tw = require "tideway"
local ffi = require "ffi"
local view = require "tideway.view"
local bb = require "support.black_box"
local helper = require "helper"

local failure, first_line, misuse, has = bb.failure, bb.first_line, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

local paths = {}
local function fresh()
  local path = os.tmpname()
  paths[#paths + 1] = path
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- What a file holds after the elements have been written to it.
local function written(elements, opts, path)
  path = path or fresh()
  local source = tw.from_iterable(elements)
  local sink = source:sink_to_textfile(path, opts)
  tw.run()
  sink:destroy()
  return read(path)
end

describe("sink_to_textfile (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(function()
    for _, path in ipairs(paths) do os.remove(path) end
  end)

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
    for name, value in pairs { fsync = true, rotate = { size = 10 } } do
      assert.is_true(has(misuse(function() source:sink_to_textfile("x", { [name] = value }) end),
        name .. " is not there yet"))
    end
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
