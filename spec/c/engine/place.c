/* place -- where the modules are, for a library or command in a tree, installed, or in a rock. */
#include "engine/place.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "../check.h"

static char base[] = "/tmp/tideway-place-XXXXXX";

/* Makes base/path, an empty file, and the folders that it is in. */
static void make(const char *path) {
  char full[PATH_MAX];
  snprintf(full, sizeof full, "%s/%s", base, path);
  for (char *slash = full + strlen(base) + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = '\0';
    mkdir(full, 0700);
    *slash = '/';
  }
  fclose(fopen(full, "w"));
}

/* What is put before package[field] for this folder; "" for nothing. */
static const char *before(const char *field, const char *folder, const char *root) {
  static char text[2 * PATH_MAX];
  char full[PATH_MAX];
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_pushliteral(L, "|");
  lua_setfield(L, -2, field);
  snprintf(full, sizeof full, "%s/%s", base, folder);
  tw__place_modules(L, full, root);
  CHECK(lua_gettop(L) == 1);
  lua_getfield(L, -1, field);
  const char *path = lua_tostring(L, -1);
  snprintf(text, sizeof text, "%.*s", (int)strcspn(path, "|"), path);
  lua_close(L);
  return text;
}

/* Does it begin with base/path? */
static int begins(const char *got, const char *path) {
  char text[PATH_MAX];
  const int n = snprintf(text, sizeof text, "%s/%s", base, path);
  return !strncmp(got, text, (size_t)n);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(base) != NULL);
  make("tree/lua/tideway.lua");
  make("tree/build/tideway/cdef.lua");
  CHECK(begins(before("path", "tree/build/tideway", NULL), "tree/lua/?.lua;"));
  CHECK(begins(before("path", "tree/build/bin", NULL), "tree/lua/?.lua;"));
  CHECK(begins(before("cpath", "tree/build/bin", NULL), "tree/build/?.so;"));

  make("usr/share/lua/5.1/tideway.lua");
  static const char *const folders[] = {
      "usr/lib", "usr/bin", "usr/lib/x86_64-linux-gnu", "usr/lib/lua/5.1/tideway"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    CHECK(begins(before("path", folders[i], NULL), "usr/share/lua/5.1/?.lua;"));
    CHECK(begins(before("cpath", folders[i], NULL), "usr/lib/lua/5.1/?.so;"));
  }

  CHECK(!*before("path", "elsewhere", NULL));
  char root[PATH_MAX];
  snprintf(root, sizeof root, "%s/tree", base);
  CHECK(begins(before("path", "usr/bin", root), "tree/lua/?.lua;"));
  CHECK(begins(before("cpath", "usr/bin", root), "tree/build/?.so;"));
  CHECK(begins(before("path", "usr/bin", ""), "usr/share/lua/5.1/?.lua;"));

  snprintf(root, sizeof root, "%s/usr", base);
  CHECK(begins(before("path", "elsewhere", root), "usr/share/lua/5.1/?.lua;"));

  char command[PATH_MAX];
  snprintf(command, sizeof command, "rm -r '%s'", base);
  CHECK(system(command) == 0);
  return check_close();
}
