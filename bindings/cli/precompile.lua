--- precompile -- writes the bytecode of Lua modules into one file (see runtime/engine/bytecode.c).
--
--     tideway run bindings/cli/precompile.lua ROOT OUT FILE ...
--     tideway run bindings/cli/precompile.lua --installed LUADIR OUT FILE ...
--
-- FILE lua/tideway/op/map.lua of the tree ROOT becomes tideway.op.map, with the name under which
-- the source would be loaded: ROOT/lua/tideway/op/map.lua, or LUADIR/tideway/op/map.lua. A file
-- with a syntax error is left to be reported by whoever runs it.
local installed = arg[1] == "--installed"
if installed then table.remove(arg, 1) end
local root, out = arg[1], arg[2]

--- A file's path below the folder that require looks in.
local function inner_path(path)
  return path:match "^lua/(.*)" or path:match "^bindings/%a+/(.*)" or path:match "[^/]+/[^/]+$"
end

--- Its module, and what that becomes; nil where it cannot be compiled.
local function compile(path)
  local inner = inner_path(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  local chunk, err = loadstring(text, ("@%s/%s"):format(root, installed and inner or path))
  if not chunk then
    io.stderr:write(err, "\n")
    return nil
  end
  local module = inner:gsub("%.lua$", ""):gsub("/", ".")
  return module, string.dump(chunk), text
end

local code, needs, list = {}, {}, {}
for i = 3, #arg do
  local module, bytes, text = compile(arg[i])
  if module then
    list[#list + 1] = module
    code[module], needs[module] = bytes, {}
    for needed in ("\n" .. text):gmatch "\n[^\n ][^\n]-require *%(?\"([%w_.]+)\"" do
      table.insert(needs[module], needed)
    end
  end
end
table.sort(list)

-- What is loaded together stands together: first what every run needs.
local index, parts, at, placed = {}, {}, 0, {}
local function place(module)
  if placed[module] or not code[module] then return end
  placed[module] = true
  for _, needed in ipairs(needs[module]) do place(needed) end
  index[#index + 1] = ("%s %d %d\n"):format(module, at, #code[module])
  parts[#parts + 1] = code[module]
  at = at + #code[module]
end
place "tideway.embed"
place "tideway"
for _, module in ipairs(list) do place(module) end

local file = assert(io.open(out .. ".new", "wb"))
assert(file:write(root, "\n", table.concat(index), "\n", table.concat(parts)))
assert(file:close())
assert(os.rename(out .. ".new", out))
