/* embed.c -- what a host in C pays: opening a runtime, and a push through a Lua filter to a listener.
 *
 *     embed open N            opens and closes N runtimes: median us to open, KB of each while 100 are open
 *     embed push BATCH        10^6 pushes (10^5 with 1) of 100 bytes, a step after each BATCH: ns each
 *     embed shared BATCH      the same into a shared input
 *     embed view BATCH        the same, the filter gets views instead of strings
 *     embed call              10^6 calls of a Lua function with 100 bytes by the C API: ns each
 *     embed bare N            N bare Lua states with their libraries: median us
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "tideway.h"

#define FILTER "function(s) return #s > 50 end"

enum { PUSHES = 1000000, LENGTH = 100, OPEN = 100 };

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *list, int n) {
  qsort(list, (size_t)n, sizeof *list, compare);
  return list[n / 2];
}

static long resident_kb(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static tw_runtime *open_one(int view) {
  static const char *const code[] = {
      "require('tideway').input('in'):filter(" FILTER "):output('out')",
      "require('tideway').input('in', {view = true}):filter(" FILTER "):output('out')",
  };
  tw_runtime *rt = tw_open(&(tw_options){.code = code[view]});
  if (!tw_error(rt)) return rt;
  fprintf(stderr, "%s\n", tw_error(rt));
  exit(1);
}

static void opens(int n) {
  double *took = malloc((size_t)n * sizeof *took);
  tw_runtime *kept[OPEN];
  for (int i = 0; i < n; i++) {
    const double began = now_us();
    tw_runtime *rt = open_one(0);
    took[i] = now_us() - began;
    tw_close(rt);
  }
  const long before = resident_kb();
  for (int i = 0; i < OPEN; i++) kept[i] = open_one(0);
  const long after = resident_kb();
  for (int i = 0; i < OPEN; i++) tw_close(kept[i]);
  printf("%g %g\n", median(took, n), (double)(after - before) / OPEN);
  free(took);
}

static void bare(int n) {
  double *took = malloc((size_t)n * sizeof *took);
  for (int i = 0; i < n; i++) {
    const double began = now_us();
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    took[i] = now_us() - began;
    lua_close(L);
  }
  printf("%g\n", median(took, n));
  free(took);
}

static long heard;

static void hear(void *ctx, const char *data, size_t len) {
  (void)ctx, (void)data;
  heard += len == LENGTH;
}

static void pushes(int batch, int flags, int view) {
  char record[LENGTH];
  memset(record, 'x', sizeof record);
  tw_runtime *rt = open_one(view);
  tw_input *in = tw_input_open(rt, "in", flags);
  tw_output_listen(rt, "out", hear, NULL);
  const int total = batch > 1 ? PUSHES : PUSHES / 10;
  const double began = now_us();
  for (int i = 0; i < total; i++) {
    memcpy(record, &i, sizeof i); /* no two strings are the same */
    while (tw_push(in, record, LENGTH) == TW_AGAIN) tw_step(rt, 0);
    if ((i + 1) % batch == 0) tw_step(rt, 0);
  }
  while (heard < total && tw_step(rt, 0) > 0) {
  }
  printf("%g\n", (now_us() - began) * 1e3 / total);
  if (heard != total) exit(1);
  tw_close(rt);
}

static void calls(void) {
  char record[LENGTH];
  memset(record, 'x', sizeof record);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_dostring(L, "return " FILTER)) exit(1);
  const double began = now_us();
  for (int i = 0; i < PUSHES; i++) {
    memcpy(record, &i, sizeof i);
    lua_pushvalue(L, -1);
    lua_pushlstring(L, record, LENGTH);
    if (lua_pcall(L, 1, 1, 0)) exit(1);
    if (lua_toboolean(L, -1)) hear(NULL, record, LENGTH);
    lua_pop(L, 1);
  }
  printf("%g\n", (now_us() - began) * 1e3 / PUSHES);
  lua_close(L);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  const int n = argc > 2 ? atoi(argv[2]) : 1;
  if (!strcmp(what, "open")) opens(n);
  if (!strcmp(what, "push")) pushes(n, 0, 0);
  if (!strcmp(what, "shared")) pushes(n, TW_SHARED, 0);
  if (!strcmp(what, "view")) pushes(n, 0, 1);
  if (!strcmp(what, "call")) calls();
  if (!strcmp(what, "bare")) bare(n);
  return 0;
}
