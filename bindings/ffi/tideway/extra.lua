--- tideway.extra -- finds and loads the libraries beside the core, each when it is first used.
--
-- They need what a machine may not have, so make builds those whose headers it finds. Each
-- stands beside libtideway, has a part of tideway.h by its own name, and finds the core,
-- which is loaded already, by its soname.
local C = require "tideway.ffi"
local declare = require "tideway.declare"
local ffi = require "ffi"

local extra = {}

-- name -> who needs it, what it needs, Debian's name for that
local libraries = {
  http = { "tw.http", "libcurl", "libcurl4-openssl-dev" },
  kafka = { "Kafka", "librdkafka", "librdkafka-dev" },
  ws = { "WebSockets", "wslay, llhttp and OpenSSL",
    "libwslay-dev, libssl-dev and node-llhttp (libllhttp-dev from Debian 13 on)" },
  tls = { "TLS on a server", "OpenSSL", "libssl-dev" },
  mqtt = { "MQTT", "OpenSSL", "libssl-dev" },
  httpd = { "from_http_server", "llhttp", "node-llhttp (libllhttp-dev from Debian 13 on)" },
}
local loaded = {}

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- The places where it may be, the first that has it; else its soname.
local function locate(name)
  local file = "libtideway-" .. name
  local core = package.loaded["tideway.library"] or os.getenv "TIDEWAY_LIB"
  if type(core) == "string" and core:find "/" then
    local path = core:gsub("[^/]*$", "") .. file .. ".so"
    if exists(path) then return path end
  end
  local path = package.searchpath and package.searchpath("tideway." .. file, package.cpath)
  if path then return path end
  local here = debug.getinfo(1, "S").source:match "^@(.*)bindings/ffi/tideway/extra%.lua$"
  path = here and here .. "build/tideway/" .. file .. ".so"
  if path and exists(path) then return path end
  return file .. ".so.0"
end

--- The namespace of a library; raises, with what to install, where it is missing.
function extra.load(name)
  if loaded[name] then return loaded[name] end
  local who, needs, package_name = unpack(libraries[name])
  declare(name)
  local path = locate(name)
  local ok, lib = pcall(ffi.load, path)
  if not ok then
    error(("tideway: %s needs %s, with which this tideway was not built: install Debian's %s and "
      .. "build again (%s)"):format(who, needs, package_name, lib), 0)
  end
  if lib[("tw_%s_abi"):format(name)]() ~= C.TW_ABI then
    error(("tideway: %s comes from another build than libtideway"):format(path), 0)
  end
  loaded[name] = lib
  return lib
end

return extra
