/* place.c -- where tideway's Lua modules are.
 *
 * First hit wins:
 *   root                  a prefix of an installation, or a source tree: lua/, bindings/ffi/, build/
 *   FOLDER/../../lua      the same, when this is a folder in its build/
 *   ABOVE/share/lua/5.1   installed, or a rock's tree; ABOVE is FOLDER or one above it
 *
 * `make` leaves the bytecode of the modules in build/lua/ (bindings/cli/precompile.lua), one
 * file a module; `root` beside them says which tree it was made for. `make install` puts what
 * was made for the installed modules into PREFIX/lib/tideway/lua/.
 */
#include "engine/place.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

/* A folder's parent: a new string on the stack. */
static const char *parent(lua_State *L, const char *folder) {
  const char *slash = strrchr(folder, '/');
  if (!slash) return lua_pushfstring(L, "%s/..", folder);
  lua_pushlstring(L, folder, (size_t)(slash - folder));
  return lua_tostring(L, -1);
}

/* Whether folder and name together are a file that can be read. */
static int readable(lua_State *L, const char *folder, const char *name) {
  int found = access(lua_pushfstring(L, "%s/%s", folder, name), R_OK) == 0;
  lua_pop(L, 1);
  return found;
}

/* Put the text on top of the stack before package[field]; pops it. */
static void prepend(lua_State *L, const char *field) {
  lua_getglobal(L, "package");
  lua_insert(L, -2);
  lua_getfield(L, -2, field);
  lua_concat(L, 2);
  lua_setfield(L, -2, field);
  lua_pop(L, 1);
}

/* Whether a's content is at least as new as b's; 0 when one is missing. */
static int not_older(const char *a, const char *b) {
  struct stat x, y;
  if (stat(a, &x) || stat(b, &y)) return 0;
  if (x.st_mtim.tv_sec != y.st_mtim.tv_sec) return x.st_mtim.tv_sec > y.st_mtim.tv_sec;
  return x.st_mtim.tv_nsec >= y.st_mtim.tv_nsec;
}

/* A searcher of package.loaders: the bytecode of a module. Upvalues: the folders of the sources,
 * of those in bindings/, and of the bytecode. */
static int search_bytecode(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "tideway", 7) != 0) return 0;
  const char *sources = lua_tostring(L, lua_upvalueindex(1));
  const char *further = lua_tostring(L, lua_upvalueindex(2));
  const char *code = lua_tostring(L, lua_upvalueindex(3));
  const char *file = luaL_gsub(L, name, ".", "/");
  const char *bytecode = lua_pushfstring(L, "%s/%s.luac", code, name);
  const char *source = lua_pushfstring(L, "%s/%s.lua", sources, file);
  const char *binding = lua_pushfstring(L, "%s/%s.lua", further, file);
  if (!not_older(bytecode, source) && !not_older(bytecode, binding)) return 0;
  return luaL_loadfile(L, bytecode) == 0; /* another LuaJIT's: on to the source */
}

/* Whether the bytecode was made for this tree, or these sources. */
static int made_for(lua_State *L, const char *code, const char *root) {
  char text[PATH_MAX] = "";
  FILE *file = fopen(lua_pushfstring(L, "%s/root", code), "r");
  lua_pop(L, 1);
  if (!file) return 0;
  size_t len = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  return len == strlen(root) && memcmp(text, root, len) == 0;
}

/* Put search_bytecode behind the first of package.loaders (package.preload). */
static void use_bytecode(lua_State *L, const char *sources, const char *further,
                         const char *code) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "insert");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaders");
  lua_remove(L, -2);
  lua_pushinteger(L, 2);
  lua_pushstring(L, sources);
  lua_pushstring(L, further);
  lua_pushstring(L, code);
  lua_pushcclosure(L, search_bytecode, 3);
  lua_call(L, 3, 0);
}

static void use_tree(lua_State *L, const char *root, const char *build) {
  lua_pushfstring(L, "%s/lua/?.lua;%s/bindings/ffi/?.lua;", root, root);
  prepend(L, "path");
  lua_pushfstring(L, "%s/?.so;", build);
  prepend(L, "cpath");
  const char *code = lua_pushfstring(L, "%s/lua", build);
  if (!made_for(L, code, root)) return;
  const char *sources = lua_pushfstring(L, "%s/lua", root);
  use_bytecode(L, sources, lua_pushfstring(L, "%s/bindings/ffi", root), code);
}

/* Whether modules are installed under this folder. */
static int use_installed(lua_State *L, const char *prefix) {
  if (!readable(L, prefix, "share/lua/5.1/tideway.lua")) return 0;
  lua_pushfstring(L, "%s/share/lua/5.1/?.lua;", prefix);
  prepend(L, "path");
  lua_pushfstring(L, "%s/lib/lua/5.1/?.so;", prefix);
  prepend(L, "cpath");
  const char *sources = lua_pushfstring(L, "%s/share/lua/5.1", prefix);
  const char *code = lua_pushfstring(L, "%s/lib/tideway/lua", prefix);
  if (made_for(L, code, sources)) use_bytecode(L, sources, sources, code);
  return 1;
}

enum { ABOVE = 4 }; /* of lib/lua/5.1/tideway */

void tw__place_modules(lua_State *L, const char *folder, const char *root) {
  const int top = lua_gettop(L);
  const char *above = parent(L, folder);
  const char *tree = parent(L, above);
  if (root && *root && use_installed(L, root)) {
    /* a prefix */
  } else if (root && *root) {
    int built = readable(L, above, "tideway/cdef.lua");
    use_tree(L, root, built ? above : lua_pushfstring(L, "%s/build", root));
  } else if (readable(L, tree, "lua/tideway.lua")) {
    use_tree(L, tree, above);
  } else {
    for (int i = 0; i <= ABOVE && !use_installed(L, folder); i++)
      folder = parent(L, folder);
  }
  lua_settop(L, top);
}
