--- tideway.ffi -- finds and loads libtideway, and declares its core (tideway.declare: the rest).
--
-- The library is looked for in this order: the one that this Lua state's C host is linked with
-- (package.loaded["tideway.library"]: its path; true: the symbols are the program's own), the
-- environment variable TIDEWAY_LIB, package.cpath (a rock's tree, or build/?.so), the build tree
-- that this file is part of, its soname. Returns the library's namespace.
local ffi = require "ffi"

local here = debug.getinfo(1, "S").source:match "^@(.*)bindings/ffi/tideway/ffi%.lua$"

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function locate()
  local path = package.loaded["tideway.library"]
  if path then return path end
  path = os.getenv "TIDEWAY_LIB"
  if path and path ~= "" then
    if path:find "/" and not exists(path) then
      error(("tideway: TIDEWAY_LIB: there is no library %s"):format(path), 0)
    end
    return path
  end
  path = package.searchpath and package.searchpath("tideway.libtideway", package.cpath)
  if path then return path end
  path = here and here .. "build/tideway/libtideway.so"
  if path and exists(path) then return path end
  return "libtideway.so.0"
end

--- The declarations, by part: those beside the library.
local function declarations(lib_path)
  local beside = (lib_path == true and here and here .. "build/tideway/" or tostring(lib_path):gsub("[^/]*$", ""))
    .. "cdef.lua"
  local found = package.searchpath and package.searchpath("tideway.cdef", package.path)
  if found ~= beside and exists(beside) then return dofile(beside) end
  local ok, parts = pcall(require, "tideway.cdef") -- there may be bytecode of it
  if ok then return parts end
  error(("tideway: the library's declarations, %s, are missing (run make, or set TIDEWAY_LIB)")
    :format(beside), 0)
end

local path = locate()
local parts = declarations(path)
ffi.cdef(parts.core)
package.loaded["tideway.cdef"] = parts
local ok, lib = true, ffi.C
if path ~= true then ok, lib = pcall(ffi.load, path) end
if not ok then
  error(("tideway: the library cannot be loaded: %s (run make, or set TIDEWAY_LIB)"):format(lib), 0)
end
local versioned, abi = pcall(function() return lib.tw_abi() end)
if not versioned then error(("tideway: %s is not the library of tideway"):format(tostring(path)), 0) end
if abi ~= lib.TW_ABI then
  error(("tideway: %s has ABI %d, the Lua modules expect %d; they come from different builds")
    :format(tostring(path), abi, tonumber(lib.TW_ABI)), 0)
end
return lib
