--- support.black_box -- what the specs of the contract share: failures, misuse, collections.
local assert = require "luassert"

local black_box = {}

--- Call fn, which must raise. Returns what it raised.
function black_box.failure(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "expected an error, there was none")
  return err
end

--- The text of an error up to its first line break.
function black_box.first_line(err)
  assert.equal("string", type(err))
  return (err:match "^[^\n]*")
end

--- Call fn, which must raise a string that starts with a line of fn's own body.
-- fn must not make the offending call in a `return` (a tail call has no line).
-- Returns the first line without its position.
function black_box.misuse(fn)
  local err = black_box.failure(fn)
  assert.equal("string", type(err))
  local info = debug.getinfo(fn, "S")
  local file, line, text = err:match "^([^\n:]*):(%d+): ([^\n]*)"
  assert.is_truthy(file, "no position first: " .. err)
  line = tonumber(line)
  local here = info.short_src:match "[^/]*$"
  assert.equal(here, file:match "[^/]*$", "not in the user's file: " .. err)
  if line < info.linedefined or line > info.lastlinedefined then
    error(("misuse at line %d, expected %d .. %d: %s")
      :format(line, info.linedefined, info.lastlinedefined, err), 2)
  end
  return text
end

--- A full collection; twice, so that what finalizers let go of is collected, too.
-- Compiled code holds on to the functions that it was made for, as long as LuaJIT keeps it.
function black_box.collect()
  jit.flush()
  collectgarbage()
  collectgarbage()
end

--- Call fn(...) on a stack of its own. What it leaves in slots there is not seen by the collector;
-- on ours a function that is called later, and runs for long, may cover such slots and keep them.
-- Returns what fn does, raises what it raises.
function black_box.apart(fn, ...)
  local function pass(ok, ...)
    if not ok then error((...), 0) end
    return ...
  end
  return pass(coroutine.resume(coroutine.create(fn), ...))
end

--- A sink that appends to the list.
function black_box.append(list)
  return function(x) list[#list + 1] = x end
end

--- Whether text contains part, plainly.
function black_box.has(text, part)
  return text:find(part, 1, true) ~= nil
end

--- A file of the given text, removed by the caller. Returns its path.
function black_box.file(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

return black_box
