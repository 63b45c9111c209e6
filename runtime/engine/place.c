/* place.c -- where tideway's Lua modules are.
 *
 * First hit wins:
 *   root                  a prefix of an installation, or a source tree: lua/, bindings/ffi/, build/
 *   FOLDER/../../lua      the same, when this is a folder in its build/
 *   ABOVE/share/lua/5.1   installed, or a rock's tree; ABOVE is FOLDER or one above it
 *
 * `make` leaves the bytecode of a tree's modules in build/tideway/bytecode, `make install` that of
 * the installed ones in PREFIX/lib/tideway/bytecode (engine/bytecode.h).
 */
#include "engine/place.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "engine/bytecode.h"

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

static void use_tree(lua_State *L, const char *root, const char *build) {
  lua_pushfstring(L, "%s/lua/?.lua;%s/bindings/ffi/?.lua;%s/?.lua;", root, root, build);
  prepend(L, "path");
  lua_pushfstring(L, "%s/?.so;", build);
  prepend(L, "cpath");
  const char *const folders[] = {lua_pushfstring(L, "%s/lua", root),
                                 lua_pushfstring(L, "%s/bindings/ffi", root), build,
                                 NULL};
  tw__bytecode_use(L, lua_pushfstring(L, "%s/tideway/bytecode", build), root, folders);
}

/* Whether modules are installed under this folder. */
static int use_installed(lua_State *L, const char *prefix) {
  if (!readable(L, prefix, "share/lua/5.1/tideway.lua")) return 0;
  lua_pushfstring(L, "%s/share/lua/5.1/?.lua;", prefix);
  prepend(L, "path");
  lua_pushfstring(L, "%s/lib/lua/5.1/?.so;", prefix);
  prepend(L, "cpath");
  const char *sources = lua_pushfstring(L, "%s/share/lua/5.1", prefix);
  const char *const folders[] = {sources, NULL};
  tw__bytecode_use(L, lua_pushfstring(L, "%s/lib/tideway/bytecode", prefix), sources,
                   folders);
  return 1;
}

/* Leave it for who opens further states (package.loaded["tideway.root"]). */
static void note_root(lua_State *L, const char *root) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushstring(L, root);
  lua_setfield(L, -2, "tideway.root");
  lua_pop(L, 1);
}

enum { ABOVE = 4 }; /* of lib/lua/5.1/tideway */

void tw__place_modules(lua_State *L, const char *folder, const char *root) {
  const int top = lua_gettop(L);
  const char *above = parent(L, folder);
  const char *tree = parent(L, above);
  char full[PATH_MAX]; /* as the bytecode has it */
  if (root && *root && realpath(root, full)) root = full;
  if (root && *root) note_root(L, root);
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
