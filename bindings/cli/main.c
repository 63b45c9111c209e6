/* main.c -- the tideway command: a Lua state, the paths to its modules, tideway.cli.
 *
 * The modules are those that belong to the folder of /proc/self/exe (engine/place.h), or of
 * the tree TIDEWAY_ROOT. All else happens in lua/tideway/cli.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "engine/place.h"

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

/* Give a state its libraries and the paths to its modules. */
static int furnish(lua_State *L) {
  char folder[PATH_MAX];
  luaL_openlibs(L);
  exe_folder(folder);
  tw__place_modules(L, folder, getenv("TIDEWAY_ROOT"));
  return 0;
}

/* Push tideway.cli's main and its arguments: the words of the command line, mute, whether
 * errors go to a terminal, the address of furnish. */
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
  lua_pushlightuserdata(L, (void *)(uintptr_t)furnish);
  return DONE;
}

static int run(lua_State *L, int argc, char **argv) {
  furnish(L);
  if (push_command(L, argc, argv) || lua_pcall(L, 4, 1, 0)) {
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
  int status = run(L, argc, argv);
  status = finish_output(status);
  lua_close(L);
  return status;
}
