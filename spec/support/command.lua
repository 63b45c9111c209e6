--- spec.support.command -- runs the tideway command for real, as a user's shell would.
local command = {}

command.path = os.getenv "TIDEWAY_BIN" or "build/bin/tideway"

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
command.quote = quote

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  os.remove(path)
  return text
end

--- A new temporary file that holds text. Returns its path.
function command.file(text, suffix)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (suffix or "")
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- Run a line of shell; `tideway` in it is the command. stdin: text, default nothing.
-- Returns exit status, standard output, standard error.
function command.shell(line, stdin)
  local input = stdin and command.file(stdin)
  local out, err = os.tmpname(), os.tmpname()
  local status = os.execute(("tideway() { %s \"$@\"; }; { %s\n} < %s > %s 2> %s"):format(
    quote(command.path), line, input or "/dev/null", out, err))
  if input then os.remove(input) end
  if type(status) == "number" and status > 255 then status = math.floor(status / 256) end
  return status, read(out), read(err)
end

--- Run `tideway ARG ...`; a table as the last argument: { stdin = text }.
function command.tideway(...)
  local words, opts = { ... }, {}
  if type(words[#words]) == "table" then opts = table.remove(words) end
  for i, word in ipairs(words) do words[i] = quote(word) end
  return command.shell("tideway " .. table.concat(words, " "), opts.stdin)
end

--- Run a script given as text, with further words. Returns as tideway does, and its path.
function command.script(text, ...)
  local path = command.file(text, ".lua")
  local status, out, err = command.tideway("run", path, ...)
  os.remove(path)
  return status, out, (err:gsub(path:gsub("%p", "%%%0"), "script.lua"))
end

return command
