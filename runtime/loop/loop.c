/* loop.c -- a uv loop as "poll -> list of ready handles".
 *
 * C never calls Lua: callbacks of libuv queue their handle, tw_loop_poll hands the ids
 * of the queued ones out. An id is not used again before 2^32 handles have been opened.
 */
#define _GNU_SOURCE /* ppoll */
#include "loop/loop.h"

#include <poll.h>
#include <time.h>

#include "core/mem.h"

static const int64_t MS = 1000000, S = 1000000000; /* in nanoseconds */

struct tw_loop {
  uv_loop_t *uv; /* own, or the host's */
  uv_loop_t own;
  uv_timer_t limit; /* ends a wait without ppoll; does not keep the loop alive */
  tw__handle *handles;
  tw__handle *first, *last; /* ready, oldest first */
  tw__spin spin;
  uint32_t last_id;
  int running; /* libuv, by us */
  int inside;  /* the host runs it, and is in a callback */
};

static tw_loop *begin(tw_loop *loop, uv_loop_t *uv) {
  loop->uv = uv;
  uv_timer_init(uv, &loop->limit);
  uv_unref((uv_handle_t *)&loop->limit);
  return loop;
}

tw_loop *tw_loop_open(void) {
  tw_loop *loop = tw__calloc(1, sizeof *loop);
  if (!loop) return NULL;
  if (uv_loop_init(&loop->own)) {
    tw__free(loop);
    return NULL;
  }
  return begin(loop, &loop->own);
}

tw_loop *tw_loop_adopt(void *uv) {
  tw_loop *loop = uv ? tw__calloc(1, sizeof *loop) : NULL;
  return loop ? begin(loop, uv) : NULL;
}

/* A handle that is nothing but a report still to be made. */
static void close_wake(tw__handle *handle) {
  tw__loop_detach(handle);
  tw__free(handle);
}

int tw_loop_wake(tw_loop *loop, uint32_t id) {
  tw__handle *handle = tw__calloc(1, sizeof *handle);
  if (!handle) return TW_ENOMEM;
  tw__loop_attach(loop, handle, close_wake);
  handle->id = id;
  tw__loop_ready(handle);
  return TW_OK;
}

static void free_loop(uv_handle_t *limit) {
  tw__free((char *)limit - offsetof(tw_loop, limit));
}

void tw_loop_close(tw_loop *loop) {
  if (!loop) return;
  while (loop->handles) loop->handles->close(loop->handles);
  if (loop->uv != &loop->own) {
    uv_close((uv_handle_t *)&loop->limit, free_loop);
    return;
  }
  uv_close((uv_handle_t *)&loop->limit, NULL);
  while (uv_run(loop->uv, UV_RUN_DEFAULT)) {
  }
  uv_loop_close(loop->uv);
  tw__free(loop);
}

static int take_ready(tw_loop *loop, uint32_t *ready, int max) {
  int n = 0;
  while (n < max && loop->first) {
    tw__handle *handle = loop->first;
    loop->first = handle->next_ready;
    handle->next_ready = NULL;
    handle->ready = 0;
    ready[n++] = handle->id;
    if (handle->close == close_wake) close_wake(handle);
  }
  if (!loop->first) loop->last = NULL;
  return n;
}

/* Timers fire before uv_run waits, too; what they have brought must not wait with it. uv_stop
 * lets it look, but not wait. */
static void limit_passed(uv_timer_t *timer) {
  uv_stop(timer->loop);
}

/* Runs the loop once, for up to so many ms, whatever is open on it. (With nothing that keeps
 * it alive libuv would not look at descriptors, nor tell epoll of new ones.) */
static void run_ms(tw_loop *loop, uint64_t limit_ms, uv_run_mode mode) {
  uv_update_time(loop->uv);
  uv_timer_start(&loop->limit, limit_passed, limit_ms, 0);
  uv_ref((uv_handle_t *)&loop->limit);
  uv_run(loop->uv, mode);
  uv_unref((uv_handle_t *)&loop->limit);
  uv_timer_stop(&loop->limit);
}

/* Runs the loop for at most so long. libuv itself waits whole milliseconds. */
static void run_for(tw_loop *loop, int64_t timeout_ns) {
#ifdef __linux__
  const tw__handle *newest = loop->last;
  run_ms(loop, 1000, UV_RUN_NOWAIT);
  if (loop->last != newest) return;
  const int own = uv_loop_alive(loop->uv) ? uv_backend_timeout(loop->uv) : -1;
  if (own >= 0 && timeout_ns > own * MS) timeout_ns = own * MS;
  const struct timespec rest = {.tv_sec = timeout_ns / S, .tv_nsec = timeout_ns % S};
  struct pollfd backend = {.fd = uv_backend_fd(loop->uv), .events = POLLIN};
  if (ppoll(&backend, 1, &rest, NULL) != 0) run_ms(loop, 1000, UV_RUN_NOWAIT);
#else
  run_ms(loop, (uint64_t)((timeout_ns + MS - 1) / MS), UV_RUN_ONCE);
#endif
}

/* Runs it until something happens, for at most so long; below 0: without end. */
static void run_until(tw_loop *loop, int64_t timeout_ns) {
  if (timeout_ns < 0)
    uv_run(loop->uv, UV_RUN_ONCE);
  else
    run_for(loop, timeout_ns);
  tw__spin_after(&loop->spin);
}

int tw_loop_poll_ns(tw_loop *loop, int64_t timeout_ns, uint32_t *ready, int max) {
  if (!loop || max < 0) return TW_EINVAL;
  if (loop->inside) return take_ready(loop, ready, max);
  int look = (loop->first && max > 0) || timeout_ns == 0;
  if (!look) look = tw__spin_before(&loop->spin, timeout_ns);
  loop->running = 1; /* not before: a uv_stop would have uv_run look at nothing */
  if (look)
    run_ms(loop, 1000, UV_RUN_NOWAIT);
  else
    run_until(loop, timeout_ns);
  loop->running = 0;
  return take_ready(loop, ready, max);
}

int tw_loop_poll(tw_loop *loop, int64_t timeout_ms, uint32_t *ready, int max) {
  if (timeout_ms > INT64_MAX / MS) timeout_ms = -1;
  return tw_loop_poll_ns(loop, timeout_ms < 0 ? -1 : timeout_ms * MS, ready, max);
}

int tw_loop_fd(const tw_loop *loop) {
  return uv_backend_fd(loop->uv);
}

int64_t tw_loop_timeout_ms(const tw_loop *loop) {
  if (loop->first) return 0;
  if (loop->uv != &loop->own) return -1; /* the host looks after the rest */
  return uv_loop_alive(loop->uv) ? uv_backend_timeout(loop->uv) : -1;
}

int64_t tw_loop_now_ns(void) {
  return (int64_t)uv_hrtime();
}

uv_loop_t *tw__loop_uv(tw_loop *loop) {
  return loop->uv;
}

tw__spin *tw__loop_spin(tw_loop *loop) {
  return &loop->spin;
}

void tw__loop_inside(tw_loop *loop, int inside) {
  loop->inside = inside;
}

void tw__loop_attach(tw_loop *loop, tw__handle *handle,
                     void (*close)(tw__handle *handle)) {
  handle->loop = loop;
  handle->close = close;
  if (++loop->last_id == 0) loop->last_id = 1;
  handle->id = loop->last_id;
  handle->next = loop->handles;
  if (handle->next) handle->next->prev = handle;
  loop->handles = handle;
}

static void unqueue(tw_loop *loop, tw__handle *handle) {
  tw__handle *before = NULL;
  for (tw__handle *at = loop->first; at != handle; at = at->next_ready) before = at;
  if (before)
    before->next_ready = handle->next_ready;
  else
    loop->first = handle->next_ready;
  if (loop->last == handle) loop->last = before;
  handle->ready = 0;
}

void tw__loop_detach(tw__handle *handle) {
  tw_loop *loop = handle->loop;
  if (!loop) return;
  if (handle->ready) unqueue(loop, handle);
  if (handle->next) handle->next->prev = handle->prev;
  if (handle->prev)
    handle->prev->next = handle->next;
  else
    loop->handles = handle->next;
  handle->loop = NULL;
}

void tw__loop_ready(tw__handle *handle) {
  tw_loop *loop = handle->loop;
  if (!loop || handle->ready) return;
  handle->ready = 1;
  if (loop->last)
    loop->last->next_ready = handle;
  else
    loop->first = handle;
  loop->last = handle;
  if (loop->running) uv_stop(loop->uv);
}

int tw_processors(void) {
  return (int)uv_available_parallelism();
}
