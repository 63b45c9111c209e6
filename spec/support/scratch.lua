--- support.scratch -- files that specs write and read, and remove in the end.
local tw = require "tideway"

local scratch = {}

local paths = {}

--- A path that is free to use, with everything that a rotation puts beside it.
function scratch.path()
  local path = os.tmpname()
  paths[#paths + 1] = path
  return path
end

--- Have a path removed, too.
function scratch.also(path)
  paths[#paths + 1] = path
  return path
end

--- A new folder. Its files go with it, see scratch.remove_folder.
function scratch.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir " .. path) == 0)
  return path
end

function scratch.remove_folder(path) os.execute("rm -rf " .. path) end

--- A new file of this text; with a suffix behind its name when there is one.
function scratch.file(text, suffix)
  local path = scratch.path()
  if suffix then path = scratch.also(path .. suffix) end
  return scratch.write(path, text)
end

function scratch.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- The text of a file; nil when there is none.
function scratch.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- What a file holds after the elements have been written to it by a sink, and its path.
-- method  "to_csv" ...
function scratch.written(method, elements, opts, path)
  path = path or scratch.path()
  local source = tw.from_iterable(elements)
  local sink = source[method](source, path, opts)
  tw.run()
  sink:destroy()
  return scratch.read(path), path
end

--- The texts of path.1, path.2 ...
function scratch.rotated(path)
  local list = {}
  while true do
    local text = scratch.read(path .. "." .. #list + 1)
    if not text then return list end
    list[#list + 1] = text
    scratch.also(path .. "." .. #list)
  end
end

--- For teardown.
function scratch.remove()
  for _, path in ipairs(paths) do os.remove(path) end
  paths = {}
end

return scratch
