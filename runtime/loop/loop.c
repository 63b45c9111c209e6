/* loop.c -- a uv loop as "poll -> list of ready handles".
 *
 * C never calls Lua: callbacks of libuv queue their handle, tw_loop_poll hands the ids
 * of the queued ones out. An id is not used again before 2^32 handles have been opened.
 */
#include "loop/loop.h"

#include "core/mem.h"

struct tw_loop {
  uv_loop_t uv;
  uv_timer_t limit; /* ends a wait in tw_loop_poll; does not keep the loop alive */
  tw__handle *handles;
  tw__handle *first, *last; /* ready, oldest first */
  uint32_t last_id;
};

tw_loop *tw_loop_open(void) {
  tw_loop *loop = tw__calloc(1, sizeof *loop);
  if (!loop) return NULL;
  if (uv_loop_init(&loop->uv)) {
    tw__free(loop);
    return NULL;
  }
  uv_timer_init(&loop->uv, &loop->limit);
  uv_unref((uv_handle_t *)&loop->limit);
  return loop;
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

void tw_loop_close(tw_loop *loop) {
  if (!loop) return;
  while (loop->handles) loop->handles->close(loop->handles);
  uv_close((uv_handle_t *)&loop->limit, NULL);
  while (uv_run(&loop->uv, UV_RUN_DEFAULT)) {
  }
  uv_loop_close(&loop->uv);
  tw__free(loop);
}

static void limit_passed(uv_timer_t *timer) {
  (void)timer;
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

int tw_loop_poll(tw_loop *loop, int64_t timeout_ms, uint32_t *ready, int max) {
  if (!loop || max < 0) return TW_EINVAL;
  if ((loop->first && max > 0) || timeout_ms == 0) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
  } else {
    if (timeout_ms > 0) {
      uv_update_time(&loop->uv);
      uv_timer_start(&loop->limit, limit_passed, (uint64_t)timeout_ms, 0);
      uv_ref((uv_handle_t *)&loop->limit);
    }
    uv_run(&loop->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&loop->limit);
    uv_timer_stop(&loop->limit);
  }
  return take_ready(loop, ready, max);
}

int tw_loop_fd(const tw_loop *loop) {
  return uv_backend_fd(&loop->uv);
}

int64_t tw_loop_timeout_ms(const tw_loop *loop) {
  return loop->first ? 0 : uv_backend_timeout(&loop->uv);
}

int64_t tw_loop_now_ns(void) {
  return (int64_t)uv_hrtime();
}

uv_loop_t *tw__loop_uv(tw_loop *loop) {
  return &loop->uv;
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
}
