/* main.c -- the tideway command: a Lua state, the paths to its modules, tideway.cli.
 *
 * Where the Lua modules and the library are, first hit wins:
 *   TIDEWAY_ROOT          a source tree: lua/, bindings/ffi/, build/
 *   EXE/../../lua         the same, when this is build/bin/tideway
 *   EXE/../share/lua/5.1  installed; the library in EXE/../lib/lua/5.1/tideway/
 * EXE is the folder of /proc/self/exe. All else happens in lua/tideway/cli.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { DONE = 0, FAILED = 1 };

/* The folder of the running program, with its links resolved; "." when unknown. */
static void exe_folder(char folder[PATH_MAX]) {
  ssize_t len = readlink("/proc/self/exe", folder, PATH_MAX - 1);
  folder[len > 0 ? len : 0] = '\0';
  char *slash = strrchr(folder, '/');
  if (!slash) {
    memcpy(folder, ".", 2);
    return;
  }
  *slash = '\0';
}

/* Whether pattern, with folder in place of its %s, is a file that can be read. */
static int readable(lua_State *L, const char *pattern, const char *folder) {
  int found = access(lua_pushfstring(L, pattern, folder), R_OK) == 0;
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
  lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua;%s/bindings/ffi/?.lua;", root,
                  root, root);
  prepend(L, "path");
  lua_pushfstring(L, "%s/?.so;", build);
  prepend(L, "cpath");
}

static void use_installed(lua_State *L, const char *folder) {
  lua_pushfstring(L, "%s/../share/lua/5.1/?.lua;%s/../share/lua/5.1/?/init.lua;",
                  folder, folder);
  prepend(L, "path");
  lua_pushfstring(L, "%s/../lib/lua/5.1/?.so;", folder);
  prepend(L, "cpath");
}

static void find_modules(lua_State *L) {
  char folder[PATH_MAX];
  const char *root = getenv("TIDEWAY_ROOT");
  exe_folder(folder);
  const char *beside = lua_pushfstring(L, "%s/..", folder);
  int built = readable(L, "%s/tideway/cdef.lua", beside);
  if (root && *root) {
    const char *build = built ? beside : lua_pushfstring(L, "%s/build", root);
    use_tree(L, root, build);
  } else if (readable(L, "%s/../../lua/tideway.lua", folder)) {
    use_tree(L, lua_pushfstring(L, "%s/../..", folder), beside);
  } else {
    use_installed(L, folder);
  }
  lua_settop(L, 0);
}

/* mute(on): standard output goes nowhere while on, for `tideway check`. */
static int mute(lua_State *L) {
  static int kept = -1;
  fflush(stdout);
  if (lua_toboolean(L, 1) && kept < 0) {
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere < 0) return luaL_error(L, "/dev/null: %s", strerror(errno));
    kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
  } else if (!lua_toboolean(L, 1) && kept >= 0) {
    dup2(kept, STDOUT_FILENO);
    close(kept);
    kept = -1;
  }
  return 0;
}

/* Push tideway.cli's main and its arguments: the words of the command line, mute. */
static int push_command(lua_State *L, int argc, char **argv) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tideway.cli");
  if (lua_pcall(L, 1, 1, 0)) return FAILED;
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_pushcfunction(L, mute);
  return DONE;
}

static int run(lua_State *L, int argc, char **argv) {
  find_modules(L);
  if (push_command(L, argc, argv) || lua_pcall(L, 2, 1, 0)) {
    const char *text = lua_tostring(L, -1);
    fprintf(stderr, "tideway: %s\n",
            text ? text : "failed with an error that is no text");
    return FAILED;
  }
  return (int)lua_tointeger(L, -1);
}

/* Output that was lost is a failure, as everywhere. */
static int finish_output(int status) {
  int before = ferror(stdout);
  if (fflush(stdout) == 0 && !before) return status;
  fprintf(stderr, "tideway: standard output: %s\n",
          before ? "a write has failed" : strerror(errno));
  return status ? status : FAILED;
}

int main(int argc, char **argv) {
  /* `tideway ... | head` ends like any filter, also when our parent ignores SIGPIPE. */
  signal(SIGPIPE, SIG_DFL);

  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("tideway: no memory\n", stderr);
    return FAILED;
  }
  luaL_openlibs(L);
  int status = run(L, argc, argv);
  status = finish_output(status);
  lua_close(L);
  return status;
}
