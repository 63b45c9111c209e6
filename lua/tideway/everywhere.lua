--- tideway.everywhere -- what every Lua state has, by name: Lua's own functions, modules and their fields.
--
-- A name is { module, key }: the module itself where there is no key. "_G" stands for the globals,
-- "=file" for the metatable of files. Looked for once for each value that is shipped somewhere
-- (tideway.ship), so nothing is kept: a map is made, used and dropped.
jit.off(true, true) -- never hot

local errors = require "tideway.errors"

local everywhere = {}

local FUNCTIONS = {
  "assert", "collectgarbage", "dofile", "error", "gcinfo", "getfenv", "getmetatable", "ipairs", "load",
  "loadfile", "loadstring", "module", "newproxy", "next", "pairs", "pcall", "print", "rawequal", "rawget",
  "rawlen", "rawset", "require", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type",
  "unpack", "xpcall",
}
local LIBRARIES = {
  "bit", "coroutine", "debug", "ffi", "io", "jit", "math", "os", "package", "string", "table",
}
for _, name in ipairs(LIBRARIES) do LIBRARIES[name] = true end

local function is_library(module) return LIBRARIES[module] or module == "_G" or module == "=file" end
local function is_own(module) return module == "tideway" or module:sub(1, 8) == "tideway." end

--- Is this function Lua's own: in C, or in the bytecode that LuaJIT brings along?
local function is_builtin(fn)
  local info = debug.getinfo(fn, "S")
  return info.what == "C" or info.short_src:sub(1, 9) == "[builtin:"
end
everywhere.is_builtin = is_builtin

--- The file that `require` would load a module of Lua from.
local function file_of(module) return package.searchpath(module, package.path) end

--- Will `require` find this module in another state that has our paths?
local function can_be_found(module)
  if is_library(module) or is_own(module) then return true end
  local preload = package.preload[module]
  return preload and is_builtin(preload) or file_of(module)
    or package.searchpath(module, package.cpath)
    or package.searchpath(module:match "^[^.]*", package.cpath)
end

local Names = {}
Names.__index = Names

--- The files of all modules that are loaded.
local function loaded_files(self)
  if not self.files then
    self.files = {}
    for module in pairs(package.loaded) do
      local file = type(module) == "string" and file_of(module)
      if file then self.files["@" .. file] = true end
    end
  end
  return self.files
end

--- Has this field been given its value by the modules themselves? Not so a function that a
-- script has added to a module, which nobody else's copy of the module has.
local function is_original(self, module, x)
  if type(x) == "table" then return not LIBRARIES[module] or module == "package" or module == "jit" end
  if type(x) ~= "function" or is_builtin(x) then return true end
  if LIBRARIES[module] then return false end
  local source = debug.getinfo(x, "S").source
  if is_own(module) then return errors.internal(source) end
  return source:sub(1, 1) ~= "@" or loaded_files(self)[source] ~= nil
end

--- The module and the key under which x can be found in any state; nil: under none.
function Names:of(x)
  local name = self.map[x]
  if not name then return nil end
  local module, key = name[1], name[2]
  if self.found[module] == nil then self.found[module] = can_be_found(module) and true or false end
  if not self.found[module] or key ~= nil and not is_original(self, module, x) then return nil end
  return module, key
end

--- Is x what a state that is new has under this global name?
function Names:is_standard(global, x)
  local module, key = self:of(x)
  return module == "_G" and (key == global or key == nil and global == "_G")
    or module == global and key == nil and LIBRARIES[module] ~= nil
end

local nameable = { table = true, ["function"] = true, userdata = true, cdata = true }

local function rank(module) return LIBRARIES[module] and 1 or is_own(module) and 2 or 3 end

--- The names that values have now; of several, Lua's own, then ours, then the first.
function everywhere.names()
  local map = { [_G] = { "_G" } }
  local function name(x, module, key)
    if nameable[type(x)] and map[x] == nil then map[x] = { module, key } end
  end
  for _, global in ipairs(FUNCTIONS) do
    local fn = rawget(_G, global)
    if type(fn) == "function" and is_builtin(fn) then name(fn, "_G", global) end
  end
  local modules = {}
  for module, x in pairs(package.loaded) do
    if type(module) == "string" and module ~= "_G" and nameable[type(x)] then
      modules[#modules + 1] = module
    end
  end
  table.sort(modules, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    return a < b
  end)
  for _, module in ipairs(modules) do name(package.loaded[module], module) end
  for _, module in ipairs(modules) do
    local fields = package.loaded[module]
    if type(fields) == "table" then
      for key, x in next, fields do
        if type(key) == "string" then name(x, module, key) end
      end
    end
  end
  local files = debug.getmetatable(io.stdout)
  name(files, "=file")
  for key, x in next, files do name(x, "=file", key) end
  return setmetatable({ map = map, found = {} }, Names)
end

--- The value of a name in this state. Raises a text when it has none.
function everywhere.find(module, key)
  local x
  if module == "_G" then
    x = _G
  elseif module == "=file" then
    x = debug.getmetatable(io.stdout)
  else
    local ok, loaded = pcall(require, module)
    if not ok then
      error(("the module '%s' cannot be loaded in another thread: %s"):format(module, tostring(loaded)), 0)
    end
    x = loaded
  end
  if key == nil then return x end
  x = x[key]
  if type(x) == "nil" then
    error(("the module '%s' has no '%s' in another thread"):format(module, key), 0)
  end
  return x
end

return everywhere
