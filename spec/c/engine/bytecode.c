/* bytecode -- modules come from the file of bytecode, while it is theirs and not older. */
#include "engine/bytecode.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "../check.h"

static char base[] = "/tmp/tideway-bytecode-XXXXXX";

static const char *path_of(const char *name) {
  static char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", base, name);
  return path;
}

static void write_file(const char *name, const void *text, size_t len) {
  FILE *file = fopen(path_of(name), "w");
  CHECK(file && fwrite(text, 1, len, file) == len);
  if (file) fclose(file);
}

static void write_text(const char *name, const char *text) {
  write_file(name, text, strlen(text));
}

/* Sets the time of a file, in seconds from now. */
static void age(const char *name, int seconds) {
  struct timespec now, times[2];
  clock_gettime(CLOCK_REALTIME, &now);
  times[0] = times[1] = (struct timespec){.tv_sec = now.tv_sec + seconds};
  CHECK(utimensat(AT_FDCWD, path_of(name), times, 0) == 0);
}

static int append(lua_State *L, const void *p, size_t size, void *ud) {
  (void)L;
  luaL_addlstring(ud, p, size);
  return 0;
}

/* Writes a file of bytecode of three modules: two that say where they come from, and one that no
 * LuaJIT takes. */
static void write_bytecode(const char *root) {
  static const char *const modules[] = {"tideway.one", "tideway.deep.two"};
  char text[4096], data[8192];
  size_t at = 0;
  int len = snprintf(text, sizeof text, "%s\n", root);
  lua_State *L = luaL_newstate();
  for (int i = 0; i < 2; i++) {
    luaL_Buffer buffer;
    CHECK(luaL_loadstring(L, "return (...) .. ' in bytecode'") == 0);
    luaL_buffinit(L, &buffer);
    /* lua_dump takes the function on top, so the buffer must hold nothing on the stack */
    lua_dump(L, append, &buffer);
    luaL_pushresult(&buffer);
    size_t size;
    const char *code = lua_tolstring(L, -1, &size);
    memcpy(data + at, code, size);
    len += snprintf(text + len, sizeof text - (size_t)len, "%s %zu %zu\n", modules[i],
                    at, size);
    at += size;
    lua_settop(L, 0);
  }
  memcpy(data + at, "\033LJ\177", 4);
  len += snprintf(text + len, sizeof text - (size_t)len, "tideway.odd %zu 4\n", at);
  len +=
      snprintf(text + len, sizeof text - (size_t)len, "tideway.cut %zu 9999\n\n", at);
  memcpy(text + len, data, at + 4);
  write_file("bytecode", text, (size_t)len + at + 4);
  lua_close(L);
}

/* What requiring a module gives, in a new state. */
static const char *gives(const char *module) {
  static char text[PATH_MAX];
  char code[2 * PATH_MAX], folders[2][PATH_MAX];
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  snprintf(code, sizeof code, "package.path = '%s/a/?.lua;%s/b/?.lua'", base, base);
  CHECK(luaL_dostring(L, code) == 0);
  snprintf(folders[0], PATH_MAX, "%s/a", base);
  snprintf(folders[1], PATH_MAX, "%s/b", base);
  tw__bytecode_use(L, path_of("bytecode"), base,
                   (const char *const[]){folders[0], folders[1], NULL});
  CHECK(lua_gettop(L) == 0);
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  lua_pcall(L, 1, 1, 0);
  snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
  lua_settop(L, 0);
  tw__bytecode_rest(L);
  CHECK(lua_gettop(L) == 0);
  lua_close(L);
  return text;
}

static int is(const char *got, const char *text) {
  return !strcmp(got, text);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(base) != NULL);
  static const char *const folders[] = {"a", "a/tideway", "b", "b/tideway",
                                        "b/tideway/deep"};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
    mkdir(path_of(folders[i]), 0700);
  static const char *const sources[] = {"a/tideway/one.lua", "b/tideway/deep/two.lua",
                                        "a/tideway/odd.lua", "a/tideway/cut.lua"};
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    write_text(sources[i], "return (...) .. ' in source'");
    age(sources[i], -10);
  }

  CHECK(is(gives("tideway.one"), "tideway.one in source")); /* there is no bytecode */
  write_bytecode(base);
  CHECKF(is(gives("tideway.one"), "tideway.one in bytecode"), "%s",
         gives("tideway.one"));
  CHECK(is(gives("tideway.deep.two"), "tideway.deep.two in bytecode"));
  CHECK(is(gives("tideway.odd"), "tideway.odd in source"));
  CHECK(is(gives("tideway.cut"), "tideway.cut in source"));
  CHECK(strstr(gives("tideway.on"), "not found") != NULL);
  age("a/tideway/one.lua", 10); /* edited since */
  CHECK(is(gives("tideway.one"), "tideway.one in source"));
  unlink(path_of("b/tideway/deep/two.lua")); /* removed since */
  CHECK(strstr(gives("tideway.deep.two"), "not found") != NULL);
  age("a/tideway/one.lua", -10);
  write_bytecode("/another/tree");
  CHECK(is(gives("tideway.one"), "tideway.one in source"));
  write_text("bytecode", base); /* cut short */
  CHECK(is(gives("tideway.one"), "tideway.one in source"));
  write_text("bytecode", "");
  CHECK(is(gives("tideway.one"), "tideway.one in source"));

  char command[PATH_MAX];
  snprintf(command, sizeof command, "rm -r '%s'", base);
  CHECK(system(command) == 0);
  return check_close();
}
