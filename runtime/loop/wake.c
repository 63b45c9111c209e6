/* wake.c -- has a handle of a loop reported from another thread; see wake.h.
 *
 * No uv_async_t: who is woken by one spins until the waker has come out of uv_async_send, and
 * that waits for its processor when the two share it. A round trip took 57 us, not 7 (two
 * busy processors, libuv 1.44).
 */
#include "loop/wake.h"

#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

void tw__wake_init(tw__wake *wake) {
  pthread_mutex_init(&wake->lock, NULL);
}

void tw__wake_fini(tw__wake *wake) {
  pthread_mutex_destroy(&wake->lock);
}

static int open_ends(tw__wake *wake) {
#ifdef __linux__
  wake->reads = wake->writes = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return wake->reads < 0 ? TW_EIO : TW_OK;
#else
  int ends[2];
  if (uv_pipe(ends, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE)) return TW_EIO;
  wake->reads = ends[0];
  wake->writes = ends[1];
  return TW_OK;
#endif
}

static void close_ends(tw__wake *wake) {
  if (wake->writes != wake->reads) close(wake->writes);
  close(wake->reads);
}

static void woken(uv_poll_t *poll, int status, int events) {
  tw__wake *wake = poll->data;
  uint64_t count[8];
  (void)status, (void)events;
  while (read(wake->reads, count, sizeof count) == sizeof count) {
  }
  tw__loop_ready(wake->handle); /* also when nothing was there: it looks again */
  if (wake->spin) wake->spin->woken = 1;
}

int tw__wake_open(tw__wake *wake, tw_loop *loop, tw__handle *handle) {
  if (open_ends(wake)) return TW_EIO;
  if (uv_poll_init(tw__loop_uv(loop), &wake->poll, wake->reads)) {
    close_ends(wake);
    return TW_EIO;
  }
  wake->handle = handle;
  wake->poll.data = wake;
  uv_poll_start(&wake->poll, UV_READABLE, woken);
  pthread_mutex_lock(&wake->lock);
  wake->open = 1;
  pthread_mutex_unlock(&wake->lock);
  return TW_OK;
}

void tw__wake_close(tw__wake *wake, uv_close_cb closed) {
  pthread_mutex_lock(&wake->lock);
  wake->open = 0;
  pthread_mutex_unlock(&wake->lock);
  uv_close((uv_handle_t *)&wake->poll, closed);
  close_ends(wake);
}

void tw__wake_send(tw__wake *wake) {
  const uint64_t one = 1;
  pthread_mutex_lock(&wake->lock);
  const ssize_t put = wake->open ? write(wake->writes, &one, sizeof one) : 0;
  pthread_mutex_unlock(&wake->lock);
  (void)put; /* full: it is told already */
}
