/* bytecode.c -- Lua modules as bytecode, all in one file.
 *
 * Parsing the modules takes several times as long as loading their bytecode, and one file that
 * is mapped spares opening and reading forty. It belongs to the Lua state as a userdata whose
 * finalizer unmaps it, and begins with text:
 *
 *     /home/me/tideway          the tree that it was made for
 *     tideway.agg.count 0 513   module, offset from behind the empty line, bytes
 *     tideway.op.map 513 1210
 *                               an empty line; then bytecode
 *
 * Whoever writes it anew puts another file in its place, so that what is mapped stays.
 */
#define _GNU_SOURCE /* memmem */
#include "engine/bytecode.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

typedef struct bytecode {
  char *map;
  size_t size;
  size_t index,
      data; /* where the modules are listed, from the newline before; and are */
  struct timespec made;
} bytecode;

enum { MAX_FOLDERS = 4 };

static const char key[] = "tideway.bytecode"; /* its address, in the registry */

static int unmap(lua_State *L) {
  const bytecode *b = lua_touserdata(L, 1);
  if (b->map) munmap(b->map, b->size);
  return 0;
}

static void map(bytecode *b, const char *path) {
  struct stat st;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (fstat(fd, &st) == 0 && st.st_size > 0) {
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) b->map = at;
    b->size = (size_t)st.st_size;
    b->made = st.st_mtim;
  }
  close(fd);
}

/* Whether it was made for this tree. Finds the index. */
static int made_for(bytecode *b, const char *root) {
  const size_t len = strlen(root);
  if (!b->map || b->size <= len || memcmp(b->map, root, len) != 0) return 0;
  const char *end = memmem(b->map + len, b->size - len, "\n\n", 2);
  if (b->map[len] != '\n' || !end) return 0;
  b->index = len;
  b->data = (size_t)(end - b->map) + 2;
  return 1;
}

/* A module's bytecode; NULL: there is none. */
static const char *find(lua_State *L, const bytecode *b, const char *name,
                        size_t *size) {
  const char *line = lua_pushfstring(L, "\n%s ", name);
  const size_t len = strlen(line);
  const char *at = memmem(b->map + b->index, b->data - b->index, line, len);
  lua_pop(L, 1);
  if (!at) return NULL;
  char *rest; /* the text ends before the data, so strtoul does */
  const size_t offset = strtoul(at + len, &rest, 10);
  *size = strtoul(rest, NULL, 10);
  const size_t room = b->size - b->data;
  return offset <= room && *size <= room - offset ? b->map + b->data + offset : NULL;
}

static int is_newer(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* A searcher of package.loaders. Upvalues: the bytecode, the folders up to nil. */
static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const bytecode *b = lua_touserdata(L, lua_upvalueindex(1));
  size_t size;
  const char *code = find(L, b, name, &size);
  if (!code) return 0;
  struct stat source;
  const char *path = luaL_gsub(L, name, ".", "/");
  for (int i = 2;; i++) {
    const char *folder = lua_tostring(L, lua_upvalueindex(i));
    if (!folder) return 0;
    if (stat(lua_pushfstring(L, "%s/%s.lua", folder, path), &source) == 0) break;
  }
  if (is_newer(&source.st_mtim, &b->made)) return 0;
  return luaL_loadbuffer(L, code, size, name) ==
         0; /* another LuaJIT's: on to the source */
}

void tw__bytecode_use(lua_State *L, const char *file, const char *root,
                      const char *const folders[]) {
  const int top = lua_gettop(L);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "insert");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaders");
  lua_remove(L, -2);
  lua_pushinteger(L, 2); /* behind package.preload */
  bytecode *b = lua_newuserdata(L, sizeof *b);
  memset(b, 0, sizeof *b);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, unmap);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  map(b, file);
  if (made_for(b, root)) {
    for (int i = 0; i < MAX_FOLDERS; i++) {
      if (!*folders) break;
      lua_pushstring(L, *folders++);
    }
    lua_pushnil(L);
    lua_pushcclosure(L, search, lua_gettop(L) - top - 4);
    lua_call(L, 3, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
    lua_pushlightuserdata(L, b);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_settop(L, top);
}

void tw__bytecode_rest(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  const bytecode *b = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (b) madvise(b->map, b->size, MADV_DONTNEED);
}
