/* main.c -- the tideway command: a Lua state, the paths to its modules, tideway.cli.
 *
 * Where the Lua modules and the library are, first hit wins:
 *   TIDEWAY_ROOT          a source tree: lua/, bindings/ffi/, build/
 *   EXE/../../lua         the same, when this is build/bin/tideway
 *   EXE/../share/lua/5.1  installed; the library in EXE/../lib/lua/5.1/tideway/
 * EXE is the folder of /proc/self/exe. All else happens in lua/tideway/cli.lua.
 *
 * Parsing the modules takes half of a short run, so `make` leaves their bytecode in
 * build/lua/ (precompile.lua), one file a module. It is used while it is not older than
 * the source and was made for the same place (build/lua/root says which).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
  if (slash)
    *slash = '\0';
  else
    memcpy(folder, ".", 2);
}

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

/* A searcher of package.loaders: the bytecode of a module. Upvalues: root, build. */
static int search_bytecode(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "tideway", 7) != 0) return 0;
  const char *root = lua_tostring(L, lua_upvalueindex(1));
  const char *build = lua_tostring(L, lua_upvalueindex(2));
  const char *file = luaL_gsub(L, name, ".", "/");
  const char *bytecode = lua_pushfstring(L, "%s/lua/%s.luac", build, name);
  const char *source = lua_pushfstring(L, "%s/lua/%s.lua", root, file);
  const char *loader = lua_pushfstring(L, "%s/bindings/ffi/%s.lua", root, file);
  if (!not_older(bytecode, source) && !not_older(bytecode, loader)) return 0;
  return luaL_loadfile(L, bytecode) == 0; /* another LuaJIT's: on to the source */
}

/* Whether build/lua/ was made from the sources in root. */
static int made_for(lua_State *L, const char *build, const char *root) {
  char text[PATH_MAX] = "";
  FILE *file = fopen(lua_pushfstring(L, "%s/lua/root", build), "r");
  lua_pop(L, 1);
  if (!file) return 0;
  size_t len = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  return len == strlen(root) && memcmp(text, root, len) == 0;
}

/* Put search_bytecode behind the first of package.loaders (package.preload). */
static void use_bytecode(lua_State *L, const char *root, const char *build) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "insert");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaders");
  lua_remove(L, -2);
  lua_pushinteger(L, 2);
  lua_pushstring(L, root);
  lua_pushstring(L, build);
  lua_pushcclosure(L, search_bytecode, 2);
  lua_call(L, 3, 0);
}

static void use_tree(lua_State *L, const char *root, const char *build) {
  lua_pushfstring(L, "%s/lua/?.lua;%s/bindings/ffi/?.lua;", root, root);
  prepend(L, "path");
  lua_pushfstring(L, "%s/?.so;", build);
  prepend(L, "cpath");
  if (made_for(L, build, root)) use_bytecode(L, root, build);
}

static void use_installed(lua_State *L, const char *prefix) {
  lua_pushfstring(L, "%s/share/lua/5.1/?.lua;", prefix);
  prepend(L, "path");
  lua_pushfstring(L, "%s/lib/lua/5.1/?.so;", prefix);
  prepend(L, "cpath");
}

static void find_modules(lua_State *L) {
  char folder[PATH_MAX];
  exe_folder(folder);
  const char *root = getenv("TIDEWAY_ROOT");
  const char *above = parent(L, folder);
  const char *tree = parent(L, above);
  if (root && *root) {
    int built = readable(L, above, "tideway/cdef.lua");
    use_tree(L, root, built ? above : lua_pushfstring(L, "%s/build", root));
  } else if (readable(L, tree, "lua/tideway.lua")) {
    use_tree(L, tree, above);
  } else {
    use_installed(L, above);
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
    if (kept >= 0) dup2(nowhere, STDOUT_FILENO); /* else there would be no way back */
    close(nowhere);
  } else if (!lua_toboolean(L, 1) && kept >= 0) {
    dup2(kept, STDOUT_FILENO);
    close(kept);
    kept = -1;
  }
  return 0;
}

/* Push tideway.cli's main and its arguments: the words of the command line, mute, whether
 * errors go to a terminal. */
static int push_command(lua_State *L, int argc, char **argv) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tideway.cli");
  if (lua_pcall(L, 1, 1, 0)) {
    if (strstr(lua_tostring(L, -1), "module 'tideway.cli' not found"))
      lua_pushfstring(L,
                      "no Lua modules of tideway in %s (set TIDEWAY_ROOT to its tree)",
                      lua_tostring(L, -2));
    return FAILED;
  }
  lua_getfield(L, -1, "main");
  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_pushcfunction(L, mute);
  lua_pushboolean(L, isatty(STDERR_FILENO));
  return DONE;
}

static int run(lua_State *L, int argc, char **argv) {
  find_modules(L);
  if (push_command(L, argc, argv) || lua_pcall(L, 3, 1, 0)) {
    const char *text = lua_tostring(L, -1);
    if (!text) text = "failed with an error that is no text";
    int named = strncmp(text, "tideway: ", 9) == 0;
    fprintf(stderr, "%s%s\n", named ? "" : "tideway: ", text);
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

/* A standard stream that our parent has closed must not be taken over by the next file that
 * is opened. /dev/null stands in, opened the wrong way round: using it is an error. */
static void keep_standard_streams(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0)
      (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* gets fd */
}

int main(int argc, char **argv) {
  keep_standard_streams();
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
