--- tideway.script -- the text of a Lua script.
local script = {}

--- The text of a script and the name of its chunk; nil and why not.
-- path  "-": standard input. A byte order mark and a first line #!... are left out.
function script.read(path)
  if path == "-" then return io.read "*a", "=stdin" end
  local file, err = io.open(path, "rb")
  if not file then return nil, err end
  local text, why = file:read "*a"
  file:close()
  if not text then return nil, ("%s: %s"):format(path, why or "cannot be read") end
  return text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", ""), "@" .. path
end

return script
