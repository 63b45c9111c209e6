--- precompile -- writes the bytecode of Lua modules, for the tideway command (see main.c).
--
--     tideway run bindings/cli/precompile.lua ROOT FOLDER FILE ...
--     tideway run bindings/cli/precompile.lua --installed LUADIR FOLDER FILE ...
--
-- FILE lua/tideway/op/map.lua of the tree ROOT becomes FOLDER/tideway.op.map.luac, with the name
-- under which the source would be loaded: ROOT/lua/tideway/op/map.lua, or LUADIR/tideway/op/map.lua.
-- FOLDER/root, written last, says for which tree. A file with a syntax error is left to be
-- reported by whoever runs it.
local installed = arg[1] == "--installed"
if installed then table.remove(arg, 1) end
local root, folder = arg[1], arg[2]

local function write(path, text)
  local file = assert(io.open(path .. ".new", "wb"))
  assert(file:write(text))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

for i = 3, #arg do
  local path = arg[i]
  local inner = path:gsub("^lua/", ""):gsub("^bindings/%a+/", "")
  local module = inner:gsub("%.lua$", ""):gsub("/", ".")
  local file = assert(io.open(path, "rb"))
  local chunk, err = loadstring(file:read "*a", ("@%s/%s"):format(root, installed and inner or path))
  file:close()
  if chunk then
    write(("%s/%s.luac"):format(folder, module), string.dump(chunk))
  else
    io.stderr:write(err, "\n")
    os.remove(("%s/%s.luac"):format(folder, module))
  end
end
write(folder .. "/root", root)
