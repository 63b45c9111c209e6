/* crew.c -- copies of a program, each in a thread with a Lua state of its own.
 *
 * What they share is here, under one lock. A member that has ended keeps its state until all have,
 * as a process keeps what it has until its end: a cluster of Kafka's in memory, ports. A member that
 * has called os.exit is parked for good, and goes with the process.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "core/mem.h"
#include "loop/loop.h"
#include "sink/stdout.h"

enum { FAILED = 1, REASON = 16, POOL = 4 /* libuv's threads for files, at least */ };

/* What one has claimed (member), or all have agreed on (value). */
typedef struct note {
  struct note *next;
  int member;
  char *value;
  int64_t len;
  char key[];
} note;

/* How a member's loop hears that it is to stop. Freed when its handle has closed. */
typedef struct bell {
  tw__handle handle; /* first */
  uv_async_t wake;
  tw_member *member;
} bell;

struct tw_member {
  tw_crew *crew;
  int number, parked;
  pthread_t id;
  tw__stdout *out;
  bell *bell; /* under the crew's lock */
};

struct tw_crew {
  tw__handle handle; /* first; on the loop of who has opened it */
  uv_async_t wake;
  tw_crew_options options;
  pthread_mutex_t lock;
  pthread_cond_t all_ended;
  int members, aborted; /* how many have been started; the others could not be */
  int ended, status;
  char reason[REASON]; /* why to stop, for good once it is there; "" */
  int failed;          /* one has; that is a reason, too */
  note *notes;
  tw_metrics *metrics;
  tw_member member[];
};

/* ---- a member's thread ------------------------------------------------------------------- */

/* lock is held */
static void ring(tw_crew *crew) {
  for (int i = 0; i < crew->members; i++)
    if (crew->member[i].bell) uv_async_send(&crew->member[i].bell->wake);
}

/* The member is done, but for its thread. With `stay` it waits until all are. */
static void end(tw_member *m, int status, int stay) {
  tw_crew *crew = m->crew;
  pthread_mutex_lock(&crew->lock);
  m->parked = !stay;
  if (status && !crew->status) crew->status = status;
  if (status) {
    crew->failed = 1;
    ring(crew);
  }
  if (++crew->ended == crew->members) pthread_cond_broadcast(&crew->all_ended);
  uv_async_send(&crew->wake);
  while (stay && crew->ended < crew->members)
    pthread_cond_wait(&crew->all_ended, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
}

static void complain(const tw_member *m, const char *text) {
  fprintf(stderr, "worker %d: %s\n", m->number, text);
}

/* Whole lines on standard output. Returns the exit status. */
static int finish_output(tw_member *m, int status) {
  char text[256];
  if (!m->out || tw__stdout_finish(m->out) == TW_OK) return status;
  snprintf(text, sizeof text, "standard output: %m");
  complain(m, text);
  return status ? status : FAILED;
}

/* Have io.stdout, and the default output, be this member's own. The only file that Lua makes
 * without a name of its own is one that was opened, so its FILE is exchanged. */
static void share_stdout(lua_State *L, tw_member *m) {
  lua_getglobal(L, "io");
  lua_getfield(L, -1, "open");
  lua_pushliteral(L, "/dev/null");
  lua_pushliteral(L, "w");
  lua_call(L, 2, 1);
  FILE **file =
      lua_touserdata(L, -1); /* where LuaJIT's IOFileUD has it, as Lua 5.1's */
  FILE *own = file && *file ? tw__stdout_open(&m->out) : NULL;
  if (!own) luaL_error(L, "no standard output for this copy");
  fclose(*file);
  *file = own;
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "stdout");
  lua_getfield(L, -2, "output");
  lua_insert(L, -2);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

typedef struct call {
  tw_member *member;
  int status;
} call;

static int do_run(lua_State *L) {
  call *c = lua_touserdata(L, 1);
  tw_member *m = c->member;
  const tw_crew_options *o = &m->crew->options;
  lua_CFunction furnish;
  memcpy(&furnish, &o->furnish, sizeof furnish);
  lua_pushcfunction(L, furnish);
  lua_call(L, 0, 0);
  share_stdout(L, m);
  lua_getglobal(L, "require");
  lua_pushstring(L, o->module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, o->function);
  lua_pushlightuserdata(L, m);
  lua_pushinteger(L, m->number);
  lua_pushinteger(L, m->crew->members);
  luaL_checkstack(L, o->word_count, "too many arguments");
  for (int i = 0; i < o->word_count; i++)
    lua_pushlstring(L, o->words[i].ptr, (size_t)o->words[i].len);
  lua_call(L, 3 + o->word_count, 1);
  c->status = (int)lua_tointeger(L, -1);
  return 0;
}

static void *work(void *arg) {
  tw_member *m = arg;
  tw_crew *crew = m->crew;
  pthread_mutex_lock(&crew->lock); /* until all have been started */
  const int aborted = crew->aborted;
  pthread_mutex_unlock(&crew->lock);
  if (aborted) return NULL;

  call c = {m, FAILED};
  lua_State *L = luaL_newstate();
  if (!L) {
    complain(m, "no memory");
  } else if (lua_cpcall(L, do_run, &c)) {
    const char *text = lua_tostring(L, -1);
    complain(m, text ? text : "failed with an error that is no text");
    c.status = FAILED;
  }
  end(m, finish_output(m, c.status), 1);
  if (L) lua_close(L);
  return NULL;
}

void tw_member_exit(tw_member *m, int status) {
  end(m, finish_output(m, status), 0);
  for (;;) pause();
}

/* ---- the crew ------------------------------------------------------------------------------ */

static void ended(uv_async_t *wake) {
  tw__loop_ready(wake->data);
}

static void free_crew(uv_handle_t *wake) {
  tw_crew *crew = wake->data;
  for (note *n = crew->notes, *next; n; n = next) {
    next = n->next;
    tw__free(n->value);
    tw__free(n);
  }
  tw_metrics_close(crew->metrics);
  pthread_mutex_destroy(&crew->lock);
  pthread_cond_destroy(&crew->all_ended);
  tw__free(crew);
}

static void close_handle(tw__handle *handle) {
  tw_crew_close((tw_crew *)handle);
}

/* Archives are unpacked on libuv's threads: as many as there are members. They are started with
 * the first job, so this has to come before. */
static void widen_pool(int count) {
  char text[16];
  snprintf(text, sizeof text, "%d", count > POOL ? count : POOL);
  setenv("UV_THREADPOOL_SIZE", text, 0);
}

tw_crew *tw_crew_open(tw_loop *loop, const tw_crew_options *o) {
  if (o->count < 1) return NULL;
  tw_crew *crew =
      tw__calloc(1, sizeof *crew + (size_t)o->count * sizeof crew->member[0]);
  if (!crew) return NULL;
  crew->options = *o;
  crew->metrics = tw_metrics_open();
  if (!crew->metrics || uv_async_init(tw__loop_uv(loop), &crew->wake, ended)) {
    tw_metrics_close(crew->metrics);
    tw__free(crew);
    return NULL;
  }
  if (o->counts) tw_metrics_want(crew->metrics);
  crew->wake.data = crew;
  pthread_mutex_init(&crew->lock, NULL);
  pthread_cond_init(&crew->all_ended, NULL);
  tw__loop_attach(loop, &crew->handle, close_handle);
  widen_pool(o->count);
  pthread_mutex_lock(&crew->lock);
  for (; crew->members < o->count; crew->members++) {
    tw_member *m = &crew->member[crew->members];
    m->crew = crew;
    m->number = crew->members + 1;
    if (pthread_create(&m->id, NULL, work, m)) break;
  }
  crew->aborted = crew->members < o->count;
  if (crew->aborted) crew->ended = crew->members;
  pthread_mutex_unlock(&crew->lock);
  if (!crew->aborted) return crew;
  tw_crew_close(crew);
  return NULL;
}

void tw_crew_close(tw_crew *crew) {
  if (!crew) return;
  tw__loop_detach(&crew->handle);
  pthread_mutex_lock(&crew->lock);
  while (crew->ended < crew->members) pthread_cond_wait(&crew->all_ended, &crew->lock);
  pthread_mutex_unlock(&crew->lock);
  for (int i = 0; i < crew->members; i++) {
    tw_member *m = &crew->member[i];
    if (m->parked) continue; /* its FILE may be used until the process ends */
    pthread_join(m->id, NULL);
    tw__stdout_free(m->out);
  }
  uv_close((uv_handle_t *)&crew->wake, free_crew);
}

uint32_t tw_crew_id(const tw_crew *crew) {
  return crew->handle.id;
}

int tw_crew_running(tw_crew *crew) {
  pthread_mutex_lock(&crew->lock);
  const int running = crew->members - crew->ended;
  pthread_mutex_unlock(&crew->lock);
  return running;
}

int tw_crew_status(tw_crew *crew) {
  pthread_mutex_lock(&crew->lock);
  const int status = crew->status;
  pthread_mutex_unlock(&crew->lock);
  return status;
}

void tw_crew_stop(tw_crew *crew, const char *reason) {
  pthread_mutex_lock(&crew->lock);
  if (!crew->reason[0]) snprintf(crew->reason, REASON, "%s", reason);
  ring(crew);
  pthread_mutex_unlock(&crew->lock);
}

tw_metrics *tw_crew_metrics(tw_crew *crew) {
  return crew->metrics;
}

tw_metrics *tw_member_metrics(tw_member *m) {
  return m->crew->metrics;
}

void tw_member_want(tw_member *m) {
  tw_metrics_want(m->crew->metrics);
  pthread_mutex_lock(&m->crew->lock);
  ring(m->crew);
  pthread_mutex_unlock(&m->crew->lock);
}

/* ---- what a member is told ----------------------------------------------------------------- */

static void rung(uv_async_t *wake) {
  bell *b = wake->data;
  tw__loop_ready(&b->handle);
}

static void free_bell(uv_handle_t *wake) {
  tw__free(wake->data);
}

static void close_bell(tw__handle *handle) {
  bell *b = (bell *)handle;
  tw_crew *crew = b->member->crew;
  pthread_mutex_lock(&crew->lock);
  b->member->bell = NULL;
  pthread_mutex_unlock(&crew->lock);
  tw__loop_detach(handle);
  uv_close((uv_handle_t *)&b->wake, free_bell);
}

uint32_t tw_member_attach(tw_member *m, tw_loop *loop) {
  bell *b = tw__calloc(1, sizeof *b);
  if (!b) return 0;
  if (uv_async_init(tw__loop_uv(loop), &b->wake, rung)) {
    tw__free(b);
    return 0;
  }
  uv_unref((uv_handle_t *)&b->wake);
  b->wake.data = b;
  b->member = m;
  tw__loop_attach(loop, &b->handle, close_bell);
  pthread_mutex_lock(&m->crew->lock);
  m->bell = b;
  pthread_mutex_unlock(&m->crew->lock);
  return b->handle.id;
}

void tw_member_watch(tw_member *m, int on) {
  bell *b = m->bell; /* this thread's own */
  if (!b) return;
  if (!on) {
    uv_unref((uv_handle_t *)&b->wake);
    return;
  }
  uv_ref((uv_handle_t *)&b->wake);
  if (tw_member_reason(m)) tw__loop_ready(&b->handle);
}

const char *tw_member_reason(tw_member *m) {
  pthread_mutex_lock(&m->crew->lock);
  const char *reason = m->crew->failed      ? "failure"
                       : m->crew->reason[0] ? m->crew->reason
                                            : NULL;
  pthread_mutex_unlock(&m->crew->lock);
  return reason;
}

/* ---- what members claim and agree on ------------------------------------------------------- */

/* The note of that key, a new one of this member's if there is none. NULL: no memory. */
static note *find(tw_member *m, const char *key, int *fresh) {
  note *n = m->crew->notes;
  while (n && strcmp(n->key, key) != 0) n = n->next;
  *fresh = !n;
  if (n) return n;
  const size_t size = strlen(key) + 1;
  n = tw__calloc(1, sizeof *n + size);
  if (!n) return NULL;
  memcpy(n->key, key, size);
  n->member = m->number;
  n->next = m->crew->notes;
  m->crew->notes = n;
  return n;
}

int tw_member_claim(tw_member *m, const char *name) {
  int fresh;
  pthread_mutex_lock(&m->crew->lock);
  const note *n = find(m, name, &fresh);
  pthread_mutex_unlock(&m->crew->lock);
  return n ? n->member : TW_ENOMEM;
}

int tw_member_claim_path(tw_member *m, const char *path) {
  struct stat st;
  char key[PATH_MAX + 256] = "path ", folder[PATH_MAX];
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  if (stat(path, &st) == 0) { /* a link leads to what it leads to */
    if (!S_ISREG(st.st_mode) || !realpath(path, key + 5)) return m->number;
    return tw_member_claim(m, key);
  }
  const size_t len = slash ? (size_t)(slash - path) : 0;
  if (len >= sizeof folder) return m->number; /* opening it will say so */
  snprintf(folder, sizeof folder, "%.*s", len ? (int)len : 1,
           len     ? path
           : slash ? "/"
                   : ".");
  if (!realpath(folder, key + 5)) return m->number;
  const size_t at = strlen(key);
  snprintf(key + at, sizeof key - at, "%s%s", key[at - 1] == '/' ? "" : "/", name);
  return tw_member_claim(m, key);
}

int tw_member_agree(tw_member *m, const char *key, const char *value, int64_t len,
                    tw_slice *agreed) {
  int fresh;
  pthread_mutex_lock(&m->crew->lock);
  note *n = find(m, key, &fresh);
  if (n && fresh) {
    n->value = tw__mem_copy(value, len);
    n->len = len;
  }
  const int status = n && n->value ? TW_OK : TW_ENOMEM;
  if (status == TW_OK) *agreed = (tw_slice){n->value, n->len};
  pthread_mutex_unlock(&m->crew->lock);
  return status;
}
