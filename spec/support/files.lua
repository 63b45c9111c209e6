--- spec.support.files -- the repository's files, for the specs that look at its shape.
local files = {}

--- Paths that match a find expression, sorted.
function files.find(folders, pattern)
  local pipe = assert(io.popen(("find %s -type f -name '%s' 2> /dev/null | LC_ALL=C sort"):format(folders, pattern)))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

function files.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- Lua source without its comments, line by line as it was; strings are left as they are.
function files.lua_code(path)
  local text = files.read(path)
  text = text:gsub("%-%-%[(=*)%[.-%]%1%]", function() return "" end)
  return (("\n" .. text):gsub("(\n[^\n]-)%-%-[^\n]*", function(code)
    -- a comment sign within a string is no comment
    local _, quotes = code:gsub('[^\\]"', "")
    if quotes % 2 == 1 then return nil end
    return code
  end)):sub(2)
end

return files
