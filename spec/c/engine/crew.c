/* crew -- members run, agree, claim, are told to stop, and end together. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "../check.h"
#include "tideway.h"

enum { MEMBERS = 5 };

static char path[] = "/tmp/tideway-crew-XXXXXX", folder[] = "/tmp/tideway-crewd-XXXXXX";
static int agreed[MEMBERS + 1], owner[MEMBERS + 1], file_owner[MEMBERS + 1];
static int stopped[MEMBERS + 1];

static int wrong[MEMBERS + 1]; /* each member's own */

/* CHECK is the first thread's. */
#define HOLDS(cond) (wrong[n] += !(cond))

/* What members do: function(member, number, count, how) -> status. */
static int work(lua_State *L) {
  tw_member *m = lua_touserdata(L, 1);
  const int n = (int)lua_tointeger(L, 2);
  const char *how = lua_tostring(L, 4);
  char text[8], name[PATH_MAX];
  tw_slice value;
  HOLDS(lua_tointeger(L, 3) == MEMBERS);
  if (!strcmp(how, "share")) {
    snprintf(text, sizeof text, "%d", n);
    HOLDS(tw_member_agree(m, "first", text, 1, &value) == TW_OK && value.len == 1);
    agreed[n] = value.ptr[0] - '0';
    owner[n] = tw_member_claim(m, "the broker");
    snprintf(text, sizeof text, "own %d", n);
    HOLDS(tw_member_claim(m, text) == n && tw_member_claim(m, text) == n);
    file_owner[n] = tw_member_claim_path(m, path);
    snprintf(name, sizeof name, "%s/../%s/new", folder, strrchr(folder, '/') + 1);
    const int by = tw_member_claim_path(m, name);
    snprintf(name, sizeof name, "%s/new", folder);
    HOLDS(tw_member_claim_path(m, name) == by);
    HOLDS(tw_member_claim_path(m, "/dev/null") == n);
    HOLDS(tw_member_reason(m) == NULL);
    HOLDS(tw_metrics_wanted(tw_member_metrics(m)) == 0 || n != 1);
    if (n == 1) tw_member_want(m);
  } else {
    tw_loop *loop = tw_loop_open();
    const uint32_t id = tw_member_attach(m, loop);
    uint32_t ready = 0;
    if (!strcmp(how, "fail") && n == 2) {
      tw_loop_close(loop);
      return luaL_error(L, "as it was told");
    }
    if (!strcmp(how, "exit") && n == 3) tw_member_exit(m, 7);
    tw_member_watch(m, 1);
    while (ready != id) tw_loop_poll(loop, -1, &ready, 1);
    HOLDS(tw_member_reason(m) != NULL);
    stopped[n] = !strcmp(tw_member_reason(m), "SIGTERM") ? 1 : 2;
    tw_member_watch(m, 0);
    tw_loop_close(loop);
  }
  lua_pushinteger(L, 0);
  return 1;
}

static int furnish(lua_State *L) {
  luaL_openlibs(L);
  lua_newtable(L);
  lua_pushcfunction(L, work);
  lua_setfield(L, -2, "work");
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "program");
  return 0;
}

static int run(const char *how, const char *signal) {
  tw_loop *loop = tw_loop_open();
  const tw_slice word = {how, (int64_t)strlen(how)};
  int (*function)(lua_State *) = furnish;
  tw_crew_options o = {.count = MEMBERS,
                       .module = "program",
                       .function = "work",
                       .words = &word,
                       .word_count = 1};
  memcpy(&o.furnish, &function, sizeof o.furnish);
  memset(stopped, 0, sizeof stopped);
  tw_crew *crew = tw_crew_open(loop, &o);
  CHECK(crew != NULL && tw_crew_id(crew) > 0);
  if (signal) tw_crew_stop(crew, signal);
  if (signal) tw_crew_stop(crew, "another");
  while (tw_crew_running(crew) > 0) {
    uint32_t ready;
    tw_loop_poll(loop, 100, &ready, 1);
  }
  const int status = tw_crew_status(crew);
  tw_crew_close(crew);
  tw_loop_close(loop);
  for (int i = 1; i <= MEMBERS; i++) CHECKF(wrong[i] == 0, "%s: member %d", how, i);
  return status;
}

static void share_what_is_everybodys(void) {
  CHECK(run("share", NULL) == 0);
  for (int i = 2; i <= MEMBERS; i++) {
    CHECKF(agreed[i] == agreed[1], "%d", agreed[i]);
    CHECKF(owner[i] == owner[1] && owner[i] > 0, "%d", owner[i]);
    CHECKF(file_owner[i] == file_owner[1] && file_owner[i] > 0, "%d", file_owner[i]);
  }
}

static int sum(void) {
  int n = 0;
  for (int i = 1; i <= MEMBERS; i++) n += stopped[i];
  return n;
}

static void stop_when_they_are_told(void) {
  CHECK(run("wait", "SIGTERM") == 0);
  CHECKF(sum() == MEMBERS, "%d", sum());
}

static void stop_when_one_has_failed(void) {
  const int kept = dup(2), nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, 2); /* it says why */
  const int status = run("fail", NULL);
  dup2(kept, 2);
  close(kept);
  close(nowhere);
  CHECKF(status == 1 && stopped[2] == 0 && sum() == 2 * (MEMBERS - 1), "%d %d", status,
         sum());
}

static void stop_when_one_has_exited(void) {
  const int status = run("exit", NULL);
  CHECKF(status == 7 && stopped[3] == 0 && sum() == 2 * (MEMBERS - 1), "%d %d", status,
         sum());
}

/* libuv closes by a bare system call, which ThreadSanitizer does not see: to it, who is given
 * the descriptor's number next races. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race:epoll_create1\nrace:eventfd\nrace:pipe2\nrace:fopen64\n";
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  close(mkstemp(path));
  CHECK(mkdtemp(folder) != NULL);
  CHECK(tw_crew_open(NULL, &(tw_crew_options){.count = 0}) == NULL);
  tw_crew_close(NULL);
  share_what_is_everybodys();
  stop_when_they_are_told();
  stop_when_one_has_failed();
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  stop_when_one_has_exited(); /* keeps its state */
  unlink(path);
  rmdir(folder);
  const int status = check_close();
  fflush(stdout);
  _exit(status); /* that member's state is still there */
}
