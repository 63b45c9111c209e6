--- from_textfile: lines of files, pipes, archives and open files; what goes wrong with them.
local tw = require "tideway"
local bb = require "support.black_box"

local append, failure, first_line, misuse, has = bb.append, bb.failure, bb.first_line, bb.misuse, bb.has
local seed = tonumber(os.getenv "TW_SEED") or os.time() % 1000000

--- A path that a run of this spec may use; `suffix` decides the encoding.
local paths = {}
local function fresh(suffix)
  local path = os.tmpname()
  paths[#paths + 1] = path
  if suffix then
    path = path .. suffix
    paths[#paths + 1] = path
  end
  return path
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

local function file_of(text) return write(fresh(), text) end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function sh(command) assert(os.execute(command) == 0, command) end

--- The text packed by a command (gzip, zstd), as a path.
local function packed(tool, text, suffix)
  local plain, path = file_of(text), fresh(suffix)
  sh(("%s -c < %s > %s"):format(tool, plain, path))
  return path
end

--- All lines that a source gives.
local function drained(...)
  local got = {}
  tw.from_textfile(...):sink(append(got))
  tw.run()
  return got
end

--- The lines that arrive, and the first line of the error that ends the run.
local function broken(...)
  local got = {}
  local source = tw.from_textfile(...)
  source:sink(append(got))
  local err = failure(tw.run)
  source:destroy()
  return got, first_line(err)
end

--- The same as Lua would split it.
local function split(text, delim, partial)
  local list, at = {}, 1
  while true do
    local first, last = text:find(delim, at, true)
    if not first then break end
    list[#list + 1] = text:sub(at, first - 1)
    at = last + 1
  end
  if partial ~= false and at <= #text then list[#list + 1] = text:sub(at) end
  return list
end

describe("from_textfile (seed " .. seed .. ")", function()
  math.randomseed(seed)

  teardown(function()
    for _, path in ipairs(paths) do os.remove(path) end
  end)

  it("gives lines without the delimiter, empty ones too", function()
    assert.same({ "a", "", "b" }, drained(file_of "a\n\nb\n"))
    assert.same({}, drained(file_of ""))
    assert.same({ "" }, drained(file_of "\n"))
  end)

  it("gives a last line without delimiter unless partial is false", function()
    assert.same({ "a", "b" }, drained(file_of "a\nb"))
    assert.same({ "a" }, drained(file_of "a\nb", { partial = false }))
    assert.same({ "a", "b" }, drained(file_of "a\nb\n", { partial = false }))
  end)

  it("leaves bytes as they are: NUL, invalid UTF-8, carriage returns", function()
    assert.same({ "a\0b", "\255\254", "c\r", "\0" }, drained(file_of "a\0b\n\255\254\nc\r\n\0"))
    assert.same({ "a", "b" }, drained(file_of "a\r\nb\r\n", { delimiter = "\r\n" }))
  end)

  it("splits at any text", function()
    assert.same({ "a", "b", "", "c" }, drained(file_of "a--b----c", { delimiter = "--" }))
    assert.same({ "x", "y" }, drained(file_of "x\0y\0", { delimiter = "\0" }))
    assert.same({ "a", "b" }, drained(file_of "aaabb", { delimiter = "aab" }))
  end)

  it("agrees with splitting by hand, whatever the lengths and the delimiter", function()
    for _ = 1, 12 do
      local delim = ({ "\n", "\r\n", "ab", "aab" })[math.random(4)]
      local longest = ({ 3, 100, 5000, 300000 })[math.random(4)]
      local parts, size = {}, 0
      while size < 400000 and #parts < 5000 do
        local n = math.random(0, longest)
        parts[#parts + 1] = (("a"):rep(n % 3) .. ("xyz\n"):rep(math.ceil(n / 4))):sub(1, n)
        size = size + n
      end
      local text = table.concat(parts, delim)
      local path = file_of(text)
      assert.is_true(table.concat(split(text, delim), "\1") ==
        table.concat(drained(path, { delimiter = delim }), "\1"), delim .. " " .. longest)
    end
  end)

  it("gives a line of 20 MB whole", function()
    local long = ("0123456789"):rep(2e6)
    local got = drained(file_of("a\n" .. long .. "\nb\n"))
    assert.equal(3, #got)
    assert.is_true(got[2] == long)
    assert.equal("b", got[3])
  end)

  it("fails at a line longer than max_line, after those before it", function()
    local path = file_of("ok\nfine\n" .. ("x"):rep(11) .. "\nlost\n")
    local got, message = broken(path, { max_line = 10 })
    assert.same({ "ok", "fine" }, got)
    assert.equal("from_textfile: " .. path .. ": byte 8: a line of more than 10 bytes (max_line)",
      message)
    assert.same({ "0123456789" }, drained(file_of "0123456789\n", { max_line = 10 }))
    message = select(2, broken(file_of(("x"):rep(1e6)), { max_line = 1000 }))
    assert.is_true(has(message, "byte 0: a line of more than 1000 bytes"))
  end)

  it("gives views that say what the lines are, and raise when kept", function()
    local path = file_of "one\ntwo 2.5\nthree\n"
    local lengths, kept, number = {}, nil, nil
    tw.from_textfile(path, { view = true }):sink(function(v)
      lengths[#lengths + 1] = #v
      if v:starts "two" then number = v:number(5) end
      kept = v
    end)
    tw.run()
    assert.same({ 3, 7, 5 }, lengths)
    assert.equal(2.5, number)
    assert.is_true(has(failure(function() return kept:has "x" end), "view: no longer valid"))
  end)

  it("gives operators that hold elements a copy of a view", function()
    local path = file_of "b\na\nb\nc\n"
    local function strings(build)
      local list = {}
      build(tw.from_textfile(path, { view = true })):sink(append(list))
      tw.run()
      return list
    end
    assert.same({ { "b", "a" }, { "b", "c" } }, strings(function(s) return s:partition(2) end))
    assert.same({ "b", "a", "c" }, strings(function(s)
      return s:unique():map(function(v) return tostring(v) end)
    end))
  end)

  it("reads archives, by suffix or by encoding", function()
    local text = ("some line of text\n"):rep(50000) .. "last"
    for tool, suffix in pairs { gzip = ".gz", zstd = ".zst" } do
      local path = packed(tool, text, suffix)
      assert.equal(50001, #drained(path))
      local other = write(fresh(), read(path))
      assert.equal(50001, #drained(other, { encoding = tool }))
      assert.is_true(#drained(path, { encoding = "none" }) ~= 50001)
    end
  end)

  it("reads archives of several members through, lines across their borders too", function()
    for tool, suffix in pairs { gzip = ".gz", zstd = ".zst" } do
      local path = write(fresh(suffix), read(packed(tool, "a\nb", suffix))
        .. read(packed(tool, "", suffix)) .. read(packed(tool, "c\nd\n", suffix)))
      assert.same({ "a", "bc", "d" }, drained(path))
    end
  end)

  it("reads an empty archive, and one of nothing, as no lines", function()
    for tool, suffix in pairs { gzip = ".gz", zstd = ".zst" } do
      assert.same({}, drained(write(fresh(suffix), "")))
      assert.same({}, drained(packed(tool, "", suffix)))
    end
  end)

  it("names file and byte of a truncated archive, after the lines before", function()
    local lines = {}
    for i = 1, 100000 do lines[i] = ("line %d %x"):format(i, i * 2654435761 % 2 ^ 32) end
    for tool, suffix in pairs { gzip = ".gz", zstd = ".zst" } do
      local whole = read(packed(tool, table.concat(lines, "\n"), suffix))
      local cut = math.floor(#whole * 0.7)
      local path = write(fresh(suffix), whole:sub(1, cut))
      local got, message = broken(path)
      assert.equal(("from_textfile: %s: byte %d: the %s data ends in the middle")
        :format(path, cut, tool), message)
      assert.is_true(#got > 1000 and #got < #lines)
      for i = 1, #got do assert.equal(lines[i], got[i]) end
    end
  end)

  it("names file and byte of a corrupt archive", function()
    local lines = {}
    for i = 1, 100000 do lines[i] = ("line %d %x"):format(i, i * 2654435761 % 2 ^ 32) end
    local whole = read(packed("gzip", table.concat(lines, "\n"), ".gz"))
    local at = math.floor(#whole / 2)
    local path = write(fresh ".gz", whole:sub(1, at) .. ("\255"):rep(40) .. whole:sub(at + 41))
    local got, message = broken(path)
    local byte = tonumber(message:match("^from_textfile: " .. path:gsub("%p", "%%%0") .. ": byte (%d+): "))
    assert.is_truthy(byte, message)
    assert.is_true(byte >= at and byte <= #whole, message)
    assert.is_true(#got > 100)
    for i = 1, 100 do assert.equal(lines[i], got[i]) end

    path = write(fresh ".gz", "this is no archive\n")
    got, message = broken(path)
    assert.same({}, got)
    assert.is_true(has(message, path .. ": byte "), message)

    path = write(fresh ".gz", read(packed("gzip", "a\n", ".gz")) .. "garbage")
    got, message = broken(path)
    assert.same({ "a" }, got)
    assert.is_true(has(message, "bytes after the end of the gzip data"), message)

    path = write(fresh ".zst", read(packed("zstd", "a\n", ".zst")) .. "garbage")
    got, message = broken(path)
    assert.same({ "a" }, got)
    assert.is_true(has(message, path .. ": byte "), message)
  end)

  it("raises at start for a missing file, naming it", function()
    local source = tw.from_textfile "/no/such/file"
    source:sink(function() end)
    assert.equal("from_textfile: /no/such/file: No such file or directory", first_line(failure(tw.run)))
    source:destroy()
    assert.is_true(has(failure(tw.from_textfile, "/no/such", { start = true }), "/no/such"))
  end)

  it("raises for a directory and an unreadable file, naming them", function()
    local got, message = broken "/tmp"
    assert.same({}, got)
    assert.equal("from_textfile: /tmp: Is a directory", message)
    local path = file_of "secret\n"
    sh("chmod 000 " .. path)
    if io.open(path) then return end -- root reads everything
    assert.is_true(has(select(2, broken(path)), path .. ": Permission denied"))
  end)

  it("reads a file that shrinks meanwhile up to its new end", function()
    local path = file_of(("0123456789abcde\n"):rep(200000))
    local count, bad = 0, 0
    tw.from_textfile(path):sink(function(line)
      count = count + 1
      if line ~= "0123456789abcde" then bad = bad + 1 end
      if count == 10 then write(path, ("0123456789abcde\n"):rep(20)) end
    end)
    tw.run()
    assert.equal(0, bad)
    assert.is_true(count >= 20 and count < 200000, count)
  end)

  it("reads all files of a glob, sorted, each with its own last line", function()
    local base = fresh()
    write(base .. "-2.log", "c\nd")
    write(base .. "-1.log", "a\nb")
    write(base .. "-3.log.gz", read(packed("gzip", "e", ".gz")))
    for _, tail in ipairs { "-1.log", "-2.log", "-3.log.gz" } do paths[#paths + 1] = base .. tail end
    assert.same({ "a", "b", "c", "d", "e" }, drained(base .. "-*.log*"))
    assert.same({ "a", "b" }, drained(base .. "-[1].log"))
    local _, message = broken(base .. "*.none")
    assert.equal(("from_textfile: no file matches %s*.none"):format(base), message)
  end)

  it("takes a path that exists for itself, also with glob characters", function()
    local path = fresh() .. "[x]*"
    paths[#paths + 1] = path
    write(path, "literal\n")
    assert.same({ "literal" }, drained(path))
  end)

  it("reads an open file from where it stands, and leaves it open", function()
    local path = file_of "skip\na\nb\n"
    local file = assert(io.open(path))
    assert.equal("skip", file:read "*l")
    assert.same({ "a", "b" }, drained(file))
    assert.equal("file", io.type(file))
    assert.is_nil(file:read "*l")
    file:seek "set"
    assert.same({ "skip", "a", "b" }, drained(file))
    file:close()
    assert.is_true(has(misuse(function()
      tw.from_textfile(file)
    end), "closed file"))
  end)

  it("reads a pipe to its end, from where its reader stands", function()
    local pipe = assert(io.popen "echo first; echo second; sleep 0.05; printf third")
    assert.equal("first", pipe:read "*l")
    assert.same({ "second", "third" }, drained(pipe))
    pipe:close()
  end)

  it("reads a FIFO, also when its writer comes later", function()
    local path = fresh()
    os.remove(path)
    sh("mkfifo " .. path)
    sh(("(sleep 0.05; printf 'a\\nb' > %s) &"):format(path))
    assert.same({ "a", "b" }, drained(path))
  end)

  it("reads what has no size, /proc, and devices", function()
    assert.is_true(#drained "/proc/self/status" > 10)
    assert.same({}, drained "/dev/null")
  end)

  it("delivers the line on its way when it is stopped from below", function()
    local path = file_of(("stop here\n"):rep(5000))
    for _, stop in ipairs { function(s) s:stop() end, tw.stop, function(s) s:destroy() end } do
      local got = {}
      local source = tw.from_textfile(path, { view = true })
      source:tap(function() stop(source) end):map(tostring):sink(append(got))
      tw.run()
      assert.same({ "stop here" }, got)
    end
  end)

  it("goes on behind the line at which it was stopped, or that failed", function()
    local path = file_of "1\n2\n3\n4\n5\n6"
    for _, opts in ipairs { {}, { view = true } } do
      local got = {}
      local source = tw.from_textfile(path, opts)
      source:map(tostring):sink(function(line)
        got[#got + 1] = line
        if line == "2" then source:stop() end
        if line == "4" then error "fails" end
      end)
      tw.run()
      assert.same({ "1", "2" }, got)
      source:start()
      failure(tw.run)
      assert.same({ "1", "2", "3", "4" }, got)
      source:start()
      tw.run()
      assert.same({ "1", "2", "3", "4", "5", "6" }, got)
      source:start() -- it has ended: from the beginning
      source:destroy()
    end
  end)

  it("leaves an open file behind the last line that was delivered", function()
    local file = assert(io.open(file_of(("some line\n"):rep(3000) .. "last")))
    local got = tw.from_textfile(file):take(3):sink_to_list()
    tw.run()
    assert.equal(3, #got)
    assert.equal(30, file:seek())
    assert.equal("some line", file:read "*l")
    got = tw.from_textfile(file):take(2500):sink_to_list()
    tw.run()
    assert.equal(2500, #got)
    assert.equal(2504 * 10, file:seek())
    assert.equal(497, #drained(file))
    assert.equal(file:seek(), file:seek "end")
    file:close()
    local path = file_of "a\nb\nc\nd\n"
    local script = file_of(([[
      package.path = %q
      local tw = require "tideway"
      tw.from_textfile("-"):take(2):sink(print)
      tw.run()
    ]]):format(package.path))
    local pipe = assert(io.popen(("(luajit %s; cat) < %s"):format(script, path)))
    assert.equal("a\nb\nc\nd\n", pipe:read "*a")
    pipe:close()
  end)

  it("does not move an open archive to a place that its text has", function()
    local file = assert(io.open(packed("gzip", ("some line\n"):rep(3000), ".gz"), "rb"))
    assert.equal(3000, #drained(file, { encoding = "gzip" }))
    assert.equal(0, file:seek())
    assert.equal("\31\139", file:read(2))
    file:close()
  end)

  it("starts at the end with from_end", function()
    local path = file_of "old\n"
    local got = {}
    local source = tw.from_textfile(path, { from_end = true, start = true })
    source:sink(append(got))
    local file = assert(io.open(path, "ab"))
    file:write "new\n"
    file:close()
    tw.run()
    assert.same({ "new" }, got)
  end)

  it("reads several files at a time", function()
    local lines = {}
    for i = 1, 30 do
      local path = file_of((i .. "\n"):rep(3000))
      tw.from_textfile(path):sink(append(lines))
    end
    tw.run()
    assert.equal(90000, #lines)
  end)

  it("ends early when its only listener has had enough", function()
    local path = file_of(("x\n"):rep(1e6))
    local got = tw.from_textfile(path):take(3):sink_to_list()
    tw.run()
    assert.same({ "x", "x", "x" }, got)
  end)

  it("is stopped while it waits for a pipe", function()
    local pipe = assert(io.popen "echo a; exec sleep 5")
    local got, began = {}, os.time()
    local source = tw.from_textfile(pipe)
    source:sink(function(line)
      got[#got + 1] = line
      tw.from_range(1, 3):sink(function(i) if i == 3 then source:stop() end end):start()
    end)
    tw.run()
    assert.same({ "a" }, got)
    assert.is_true(os.time() - began < 4)
  end)

  it("refuses what it does not know", function()
    local path = file_of "a\n"
    assert.equal("from_textfile: file must be a path or an open file, got number",
      misuse(function() tw.from_textfile(12) end))
    assert.equal("from_textfile: delimiter must not be empty",
      misuse(function() tw.from_textfile(path, { delimiter = "" }) end))
    assert.is_true(has(misuse(function() tw.from_textfile(path, { delimeter = "x" }) end),
      "did you mean 'delimiter'"))
    assert.is_true(has(misuse(function() tw.from_textfile(path, { encoding = "bzip2" }) end), "encoding"))
    assert.is_true(has(misuse(function() tw.from_textfile("x.gz", { from_end = true }) end), "from_end"))
  end)

  it("says on which line of which file an element has failed, also after a stop", function()
    local lines = {}
    for i = 1, 9000 do lines[i] = i == 8123 and "bad" or tostring(i) end
    local one, two = file_of "1\n2\n3\n", file_of(table.concat(lines, "\n"))
    for _, pause in ipairs { false, 5, 4000 } do
      local source = tw.from_textfile(two)
      source:map(function(line)
        if line == tostring(pause) then source:stop() end
        return tonumber(line) or error "no number"
      end):sink(function() end)
      local _, err = pcall(tw.run)
      if pause then
        source:start()
        _, err = pcall(tw.run)
      end
      assert.is_true(has(err, ", line 8123 of " .. two))
      source:destroy()
    end
    tw.from_textfile(one):sink(function(line) return line ~= "2" or error "two" end)
    local _, err = pcall(tw.run)
    assert.is_true(has(err, ", line 2 of " .. one))
  end)
end)
