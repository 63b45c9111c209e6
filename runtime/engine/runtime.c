/* runtime.c -- a runtime for hosts in C: a Lua state with pipelines, stepped from outside.
 *
 * Whatever may raise an error of Lua's, no memory above all, happens in a function that enter()
 * calls protected. Those functions are here in C; what they call is lua/tideway/embed.lua.
 * Lua never calls the host (but for log lines): elements for it wait in mailboxes, which are
 * emptied after each turn.
 *
 * On a loop of the host's, a check handle makes a turn whenever the loop has polled, an idle
 * handle keeps it from waiting while there is something to do, a timer wakes it in time.
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "core/mem.h"
#include "engine/bytecode.h"
#include "engine/place.h"
#include "loop/loop.h"

static const int64_t MS = 1000000; /* in nanoseconds */

struct tw_input {
  tw_input *next;
  tw_runtime *rt;
  tw_mailbox *box; /* the state's */
  int flags;
  char name[];
};

typedef struct output {
  struct output *next;
  tw_mailbox *box; /* the state's */
  tw_output_fn *fn;
  void *ctx;
  const tw_view *records; /* taken, and from `at` on not delivered yet */
  int64_t at, count;
  char name[];
} output;

/* What drives a runtime on the host's loop. Freed when its three handles have closed. */
typedef struct driver {
  uv_check_t check;
  uv_idle_t idle;
  uv_timer_t timer;
  tw_runtime *rt;
  int open;
} driver;

/* LuaJIT crashes when there is no memory for what lua_newstate allocates second to seventh, or in
 * the middle of loading its FFI. (Without tideway: lua_newstate, luaL_openlibs and require "ffi"
 * in a lua_cpcall, with an allocator that refuses the n-th block; n = 2 .. 7 and 569 .. 573 of 640
 * end with signal 11 in 2.1-20230119, 2 .. 7 and 554 .. 558 of 625 in 2.1.0-beta3.) So what a
 * host's allocator is to give until then is had before, as one block, to which nothing goes back
 * before the end. */
typedef struct allocator {
  tw_alloc *fn;
  void *ctx;
  char *first; /* the block */
  size_t used;
  int begun; /* the block is not used any more, but for what it holds */
} allocator;

enum { FIRST_SIZE = 1 << 16 }; /* 53 KB are used */

struct tw_runtime {
  lua_State *L;
  int own_state;
  allocator allocator;
  int functions; /* reference to what embed.open has returned */
  tw_loop *loop; /* the state's */
  driver *driver;
  tw_input *inputs;
  output *outputs;
  tw_log_fn *log;
  void *log_ctx;
  int64_t due; /* when the next turn is, in ns; INT64_MAX: no deadline */
  pid_t pid;
  int usable; /* tw_open has succeeded */
  int busy;   /* in a turn */
  int doomed; /* tw_close was called in it */
  int failed; /* the last status below 0 */
  char *error;
};

/* ---- errors ---------------------------------------------------------------------------- */

static int fail(tw_runtime *rt, int status, const char *text) {
  tw__free(rt->error);
  rt->error = text ? tw__mem_copy(text, (int64_t)strlen(text)) : NULL;
  rt->failed = status;
  return status;
}

const char *tw_error(const tw_runtime *rt) {
  if (!rt) return "no memory";
  if (rt->error) return rt->error;
  return rt->failed ? tw_status_name(rt->failed) : NULL;
}

/* Call fn(request) protected. TW_OK, or what it has raised as a failure. */
static int enter(tw_runtime *rt, lua_CFunction fn, void *request) {
  lua_State *L = rt->L;
  const int top = lua_gettop(L);
  if (!lua_checkstack(L, LUA_MINSTACK)) return fail(rt, TW_ENOMEM, "no memory");
  const int code = lua_cpcall(L, fn, request);
  int status = TW_OK;
  if (code) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    status = fail(rt, code == LUA_ERRMEM ? TW_ENOMEM : TW_EFAILED,
                  code == LUA_ERRMEM ? "no memory"
                  : text             ? text
                                     : "failed with an error that is no text");
  }
  lua_settop(L, top);
  rt->due = 0; /* it may have made a task ready */
  return status;
}

/* May this runtime be called now? */
static int check(tw_runtime *rt, const char *who) {
  if (!rt) return TW_EINVAL;
  if (rt->pid != getpid()) return TW_EINVAL;
  if (!rt->usable) return TW_EINVAL; /* tw_error still says why */
  if (rt->busy && who) return fail(rt, TW_EINVAL, who);
  return TW_OK;
}

/* Push one of the functions of tideway.embed. */
static void push_function(tw_runtime *rt, const char *name) {
  lua_rawgeti(rt->L, LUA_REGISTRYINDEX, rt->functions);
  lua_getfield(rt->L, -1, name);
  lua_remove(rt->L, -2);
}

/* ---- opening --------------------------------------------------------------------------- */

typedef struct open_request {
  tw_runtime *rt;
  const tw_options *options;
} open_request;

/* log(text): upvalue 1 is the runtime. */
static int log_line(lua_State *L) {
  const tw_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
  rt->log(rt->log_ctx, luaL_checkstring(L, 1));
  return 0;
}

/* Push what ffi.load is to be called with for the library that this is part of, or true when it
 * is part of the program (ffi.C). Its folder goes to `folder`. */
static void push_library(lua_State *L, char folder[PATH_MAX]) {
  Dl_info info;
  char path[PATH_MAX] = "";
  if (dladdr((void *)(uintptr_t)tw_open, &info) && info.dli_fname &&
      !realpath(info.dli_fname, path))
    path[0] = '\0';
  void *loaded = path[0] ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
  if (loaded) {
    dlclose(loaded);
    lua_pushstring(L, path);
  } else {
    lua_pushboolean(L, 1);
  }
  char *slash = strrchr(path, '/');
  if (slash) *slash = '\0';
  strcpy(folder, path);
}

static void set_field(lua_State *L, const char *name, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* Push the argument of embed.open. */
static void push_settings(tw_runtime *rt, const tw_options *o) {
  lua_State *L = rt->L;
  lua_createtable(L, 0, 8);
  set_field(L, "script", o->script);
  set_field(L, "code", o->code);
  set_field(L, "name", o->name);
  lua_pushboolean(L, rt->own_state);
  lua_setfield(L, -2, "own");
  lua_newtable(L);
  for (int i = 0; o->args && o->args[i]; i++) {
    lua_pushstring(L, o->args[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "args");
  if (o->loop) {
    lua_pushlightuserdata(L, o->loop);
    lua_setfield(L, -2, "loop");
  }
  if (o->log) {
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, log_line, 1);
    lua_setfield(L, -2, "log");
  }
}

/* The pointer in a cdata of pointer type. */
static void *pointer_at(lua_State *L, int index) {
  void *pointer;
  memcpy(&pointer, lua_topointer(L, index), sizeof pointer);
  return pointer;
}

static void require_embed(lua_State *L, const char *root) {
  char folder[PATH_MAX];
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "tideway.ffi");
  const int loaded = !lua_isnil(L, -1); /* the host's state has it already */
  lua_pop(L, 1);
  push_library(L, folder);
  if (loaded)
    lua_pop(L, 1);
  else
    lua_setfield(L, -2, "tideway.library");
  if (!loaded) tw__place_modules(L, folder, root);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tideway.embed");
  lua_call(L, 1, 1);
}

static int do_open(lua_State *L) {
  const open_request *q = lua_touserdata(L, 1);
  tw_runtime *rt = q->rt;
  if (rt->own_state) {
    lua_gc(L, LUA_GCSTOP, 0); /* next to nothing is garbage yet */
    luaL_openlibs(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "ffi");
    lua_call(L, 1, 0);
    rt->allocator.begun = 1;
  }
  require_embed(L, q->options->root);
  lua_getfield(L, -1, "open");
  push_settings(rt, q->options);
  lua_call(L, 1, 2);
  rt->loop = pointer_at(L, -1);
  lua_pop(L, 1);
  rt->functions = luaL_ref(L, LUA_REGISTRYINDEX);
  if (rt->own_state) lua_gc(L, LUA_GCRESTART, -1); /* once there is twice as much */
  return 0;
}

static int do_load(lua_State *L) {
  push_function(*(tw_runtime **)lua_touserdata(L, 1), "load");
  lua_call(L, 0, 0);
  return 0;
}

static int drive(tw_runtime *rt, uv_loop_t *uv);
static void wake(tw_runtime *rt);

static int begin(tw_runtime *rt, const tw_options *o) {
  open_request q = {rt, o};
  if (o->script && o->code)
    return fail(rt, TW_EINVAL, "script and code: give one of them");
  int status = enter(rt, do_open, &q);
  if (status) return status;
  if (o->loop && (status = drive(rt, o->loop))) return fail(rt, status, NULL);
  rt->busy = 1; /* the script may run the loop */
  status = enter(rt, do_load, &rt);
  rt->busy = 0;
  tw__bytecode_rest(rt->L);
  return status;
}

static void *allocate(void *ctx, void *ptr, size_t old_size, size_t size) {
  allocator *a = ctx;
  const uintptr_t in_first = (uintptr_t)ptr - (uintptr_t)a->first;
  void *block = NULL;
  if (!a->begun && size && a->used + size <= FIRST_SIZE) {
    block = a->first + a->used;
    a->used += (size + 15) & ~(size_t)15;
  } else if (ptr && in_first >= FIRST_SIZE) {
    return a->fn(a->ctx, ptr, old_size, size);
  } else if (size) {
    block = a->fn(a->ctx, NULL, 0, size);
  }
  if (block && ptr) memcpy(block, ptr, old_size < size ? old_size : size);
  return block;
}

static lua_State *new_state(tw_runtime *rt, const tw_options *o) {
  if (!o->alloc) return luaL_newstate();
  allocator *a = &rt->allocator;
  *a = (allocator){.fn = o->alloc, .ctx = o->alloc_ctx};
  a->first = a->fn(a->ctx, NULL, 0, FIRST_SIZE);
  lua_State *L = a->first ? lua_newstate(allocate, a) : NULL;
  return L;
}

static void free_first(tw_runtime *rt) {
  allocator *a = &rt->allocator;
  if (a->first) a->fn(a->ctx, a->first, FIRST_SIZE, 0);
}

tw_runtime *tw_open(const tw_options *options) {
  static const tw_options none;
  const tw_options *o = options ? options : &none;
  tw_runtime *rt = tw__calloc(1, sizeof *rt);
  if (!rt) return NULL;
  rt->functions = LUA_NOREF;
  rt->pid = getpid();
  rt->log = o->log;
  rt->log_ctx = o->log_ctx;
  rt->own_state = !o->state;
  rt->L = o->state ? o->state : new_state(rt, o);
  if (!rt->L) {
    free_first(rt);
    tw__free(rt);
    return NULL;
  }
  rt->usable = begin(rt, o) == TW_OK;
  if (rt->usable) wake(rt);
  return rt;
}

/* ---- turns ----------------------------------------------------------------------------- */

typedef struct step_request {
  tw_runtime *rt;
  int timeout_ms;
  int more;
  double rest; /* ns until the next turn; below 0: no deadline */
} step_request;

static int do_step(lua_State *L) {
  step_request *q = lua_touserdata(L, 1);
  push_function(q->rt, "step");
  lua_pushinteger(L, q->timeout_ms);
  lua_call(L, 1, 3);
  q->more = lua_toboolean(L, -3);
  q->rest = lua_tonumber(L, -2);
  if (!lua_isnil(L, -1)) lua_error(L);
  return 0;
}

/* Give a listener what is in its output. */
static void deliver(tw_runtime *rt, output *out) {
  while (out->fn && !rt->doomed) {
    if (out->at == out->count) {
      const int64_t count = tw_mailbox_take(out->box, &out->records);
      if (count <= 0) return;
      out->at = 0;
      out->count = count;
    }
    const tw_view *record = &out->records[out->at++];
    out->fn(out->ctx, record->ptr, (size_t)record->len);
  }
}

static void deliver_all(tw_runtime *rt) {
  for (output *out = rt->outputs; out; out = out->next) deliver(rt, out);
}

/* When the next turn is due, as far as libuv and the tasks know. */
static int64_t due_in(const tw_runtime *rt) {
  const int64_t native = tw_loop_timeout_ms(rt->loop);
  int64_t rest = rt->due == INT64_MAX ? INT64_MAX : rt->due - tw_loop_now_ns();
  if (native >= 0 && native * MS < rest) rest = native * MS;
  return rest < 0 ? 0 : rest;
}

static int turn(tw_runtime *rt, int timeout_ms) {
  step_request q = {.rt = rt, .timeout_ms = timeout_ms};
  rt->busy = 1;
  const int status = enter(rt, do_step, &q);
  rt->due = q.rest < 0 ? INT64_MAX : tw_loop_now_ns() + (int64_t)q.rest;
  deliver_all(rt);
  /* Who waits with our descriptor must be told of all that is open now. */
  if (due_in(rt) > 0) tw_loop_poll_ns(rt->loop, 0, NULL, 0);
  rt->busy = 0;
  return status ? status : q.more;
}

static int end(tw_runtime *rt);

int tw_step(tw_runtime *rt, int timeout_ms) {
  int status = check(rt, "tw_step: this runtime is in a turn");
  if (status) return status;
  status = turn(rt, timeout_ms < 0 ? -1 : timeout_ms);
  return rt->doomed ? end(rt) : status;
}

int tw_backend_fd(const tw_runtime *rt) {
  return rt && rt->usable ? tw_loop_fd(rt->loop) : -1;
}

int tw_next_deadline_ms(const tw_runtime *rt) {
  if (!rt || !rt->usable) return -1;
  const int64_t rest = due_in(rt);
  if (rest == INT64_MAX) return -1;
  const int64_t ms = (rest + MS - 1) / MS;
  return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* ---- on the host's loop -------------------------------------------------------------------- */

static void keep_awake(uv_idle_t *idle) {
  (void)idle;
}

static void look(uv_timer_t *timer) {
  (void)timer; /* the turn comes after the poll */
}

/* Have the loop come back when the next turn is due. */
static void wake(tw_runtime *rt) {
  driver *d = rt->driver;
  if (!d) return;
  const int64_t rest = due_in(rt);
  if (rest == 0) {
    uv_idle_start(&d->idle, keep_awake);
    return;
  }
  uv_idle_stop(&d->idle);
  if (rest == INT64_MAX) {
    uv_timer_stop(&d->timer);
    return;
  }
  uv_update_time(d->timer.loop);
  uv_timer_start(&d->timer, look, (uint64_t)((rest + MS - 1) / MS), 0);
}

static void polled(uv_check_t *check) {
  tw_runtime *rt = ((driver *)check->data)->rt;
  if (!rt || rt->busy || !rt->usable || due_in(rt) > 0) return;
  tw__loop_inside(rt->loop, 1);
  const int status = turn(rt, 0);
  tw__loop_inside(rt->loop, 0);
  if (status < 0 && rt->log) rt->log(rt->log_ctx, tw_error(rt));
  if (rt->doomed)
    end(rt);
  else
    wake(rt);
}

static int drive(tw_runtime *rt, uv_loop_t *uv) {
  driver *d = tw__calloc(1, sizeof *d);
  if (!d) return TW_ENOMEM;
  d->rt = rt;
  d->check.data = d->idle.data = d->timer.data = d;
  uv_check_init(uv, &d->check);
  uv_idle_init(uv, &d->idle);
  uv_timer_init(uv, &d->timer);
  d->open = 3;
  uv_unref((uv_handle_t *)&d->check);
  uv_check_start(&d->check, polled);
  rt->driver = d;
  return TW_OK;
}

static void driver_closed(uv_handle_t *handle) {
  driver *d = handle->data;
  if (--d->open == 0) tw__free(d);
}

static void stop_driving(tw_runtime *rt) {
  driver *d = rt->driver;
  if (!d) return;
  d->rt = NULL;
  uv_close((uv_handle_t *)&d->check, driver_closed);
  uv_close((uv_handle_t *)&d->idle, driver_closed);
  uv_close((uv_handle_t *)&d->timer, driver_closed);
}

/* ---- inputs and outputs -------------------------------------------------------------------- */

typedef struct box_request {
  tw_runtime *rt;
  const char *function, *name;
  int flags;
  tw_mailbox *box;
} box_request;

static int do_box(lua_State *L) {
  box_request *q = lua_touserdata(L, 1);
  push_function(q->rt, q->function);
  lua_pushstring(L, q->name);
  lua_pushboolean(L, q->flags & TW_SHARED);
  lua_call(L, 2, 1);
  q->box = pointer_at(L, -1);
  return 0;
}

/* The mailbox of an input or output, from Lua. */
static tw_mailbox *find_box(tw_runtime *rt, const char *function, const char *name,
                            int flags) {
  box_request q = {rt, function, name, flags, NULL};
  if (!name) {
    fail(rt, TW_EINVAL, "the name is missing");
    return NULL;
  }
  return enter(rt, do_box, &q) ? NULL : q.box;
}

tw_input *tw_input_open_flags(tw_runtime *rt, const char *name, int flags) {
  if (check(rt, NULL)) return NULL;
  for (tw_input *in = rt->inputs; in && name; in = in->next)
    if (!strcmp(in->name, name)) {
      if (in->flags == flags) return in;
      fail(rt, TW_EINVAL, "tw_input_open: the input is open with other flags");
      return NULL;
    }
  tw_mailbox *box = find_box(rt, "input", name, flags);
  if (!box) return NULL;
  const size_t size = strlen(name) + 1;
  tw_input *in = tw__calloc(1, sizeof *in + size);
  if (!in) {
    fail(rt, TW_ENOMEM, "no memory");
    return NULL;
  }
  memcpy(in->name, name, size);
  in->rt = rt;
  in->box = box;
  in->flags = flags;
  in->next = rt->inputs;
  rt->inputs = in;
  return in;
}

tw_input *(tw_input_open)(tw_runtime *rt, const char *name) {
  return tw_input_open_flags(rt, name, 0);
}

int tw_push(tw_input *in, const void *data, size_t len) {
  if (!in || (!data && len)) return TW_EINVAL;
  const int status = tw_mailbox_put(in->box, data, len);
  if (in->rt->driver && !(in->flags & TW_SHARED)) wake(in->rt);
  return status;
}

void tw_input_close(tw_input *in) {
  if (!in) return;
  tw_mailbox_end(in->box);
  if (in->rt->driver && !(in->flags & TW_SHARED)) wake(in->rt);
}

static output *find_output(tw_runtime *rt, const char *name) {
  output *out = rt->outputs;
  while (out && name && strcmp(out->name, name) != 0) out = out->next;
  if (out) return out;
  tw_mailbox *box = find_box(rt, "output", name, 0);
  const size_t size = box ? strlen(name) + 1 : 0;
  out = box ? tw__calloc(1, sizeof *out + size) : NULL;
  if (!out) {
    if (box) fail(rt, TW_ENOMEM, "no memory");
    return NULL;
  }
  memcpy(out->name, name, size);
  out->box = box;
  out->next = rt->outputs;
  rt->outputs = out;
  return out;
}

int tw_output_listen(tw_runtime *rt, const char *name, tw_output_fn *fn, void *ctx) {
  const int status = check(rt, NULL);
  if (status) return status;
  output *out = find_output(rt, name);
  if (!out) return rt->failed;
  out->fn = fn;
  out->ctx = ctx;
  rt->due = 0; /* what has waited for a listener */
  wake(rt);
  return TW_OK;
}

/* ---- the end ------------------------------------------------------------------------------- */

static int do_stop(lua_State *L) {
  push_function(*(tw_runtime **)lua_touserdata(L, 1), "stop");
  lua_call(L, 0, 0);
  return 0;
}

static int do_close(lua_State *L) {
  tw_runtime *rt = *(tw_runtime **)lua_touserdata(L, 1);
  push_function(rt, "close");
  lua_call(L, 0, 0);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->functions);
  return 0;
}

static int do_flush(lua_State *L) {
  push_function(*(tw_runtime **)lua_touserdata(L, 1), "flush");
  lua_call(L, 0, 0);
  return 0;
}

int tw_stop(tw_runtime *rt) {
  int status = check(rt, NULL);
  if (status) return status;
  status = enter(rt, do_stop, &rt);
  wake(rt);
  return status;
}

int tw_finish(tw_runtime *rt, int timeout_ms) {
  int status = check(rt, "tw_finish: this runtime is in a turn");
  if (status || (status = tw_stop(rt))) return status;
  const int64_t till = tw_loop_now_ns() + timeout_ms * MS;
  int first = TW_OK, more = 1;
  while (more && !rt->doomed) {
    const int64_t rest = timeout_ms < 0 ? -1 : (till - tw_loop_now_ns()) / MS;
    if (timeout_ms >= 0 && rest <= 0) break;
    const int result = turn(rt, (int)rest);
    if (result < 0 && !first) first = result;
    more = result != 0;
  }
  if (rt->doomed) return end(rt);
  status = enter(rt, do_flush, &rt);
  return first ? first : status ? status : more ? TW_AGAIN : TW_OK;
}

/* What is left of a failed or finished one. */
static int end(tw_runtime *rt) {
  int status = TW_OK;
  rt->doomed = 0;
  if (rt->pid != getpid()) return TW_EINVAL;
  if (rt->functions != LUA_NOREF) {
    rt->busy = 1;
    status = enter(rt, do_close, &rt);
    deliver_all(rt);
  }
  stop_driving(rt);
  if (rt->own_state) lua_close(rt->L);
  free_first(rt);
  for (tw_input *in = rt->inputs, *next; in; in = next) {
    next = in->next;
    tw__free(in);
  }
  for (output *out = rt->outputs, *next; out; out = next) {
    next = out->next;
    tw__free(out);
  }
  tw__free(rt->error);
  tw__free(rt);
  return status;
}

int tw_close(tw_runtime *rt) {
  if (!rt) return TW_OK;
  if (!rt->busy || rt->pid != getpid()) return end(rt);
  rt->doomed = 1;
  return TW_OK;
}
