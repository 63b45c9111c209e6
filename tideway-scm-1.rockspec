-- luarocks --lua-version=5.1 make     (with LuaJIT as its interpreter)
rockspec_format = "3.0"
package = "tideway"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "A Lua-scriptable stream runtime: pipelines of Lua functions and native operators",
  license = "MIT",
}
dependencies = { "lua == 5.1", "luajit >= 2.1.0-beta3" }
external_dependencies = {
  UV = { header = "uv.h", library = "uv" },
  ZLIB = { header = "zlib.h", library = "z" },
  ZSTD = { header = "zstd.h", library = "zstd" },
}
build = {
  type = "make",
  build_target = "all",
  install_target = "rock-install",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
    UV_CFLAGS = "-I$(UV_INCDIR)",
    UV_LIBS = "-L$(UV_LIBDIR) -luv",
  },
  install_variables = {
    LUA_LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
    BINDIR = "$(BINDIR)",
  },
}
test = { type = "busted" }
