/* loop -- ready handles are reported once, in order, however they come and go. */
#include "loop/loop.h"

#include <poll.h>

#include "loop/wake.h"

#include "../check.h"

enum { HANDLES = 40 };

static tw__handle handles[HANDLES];
static int closed;

static void close_one(tw__handle *handle) {
  closed++;
  tw__loop_detach(handle);
}

static void attach(tw_loop *loop, int i) {
  memset(&handles[i], 0, sizeof handles[i]);
  tw__loop_attach(loop, &handles[i], close_one);
  CHECK(handles[i].id != 0);
}

/* Random attach, detach, ready and poll against a plain list of what is queued. */
static void agrees_with_a_list(tw_loop *loop) {
  uint32_t queued[HANDLES], ready[HANDLES];
  int count = 0;
  for (int i = 0; i < HANDLES; i++) attach(loop, i);
  for (int step = 0; step < 5000; step++) {
    const int i = (int)check_below(HANDLES);
    const uint32_t id = handles[i].id;
    int at = 0;
    while (at < count && queued[at] != id) at++;
    switch (check_below(4)) {
    case 0:
      tw__loop_ready(&handles[i]);
      if (at == count) queued[count++] = id;
      break;
    case 1:
      tw__loop_detach(&handles[i]);
      tw__loop_detach(&handles[i]);
      tw__loop_ready(&handles[i]); /* off the loop: nothing */
      if (at < count) {
        count--;
        memmove(queued + at, queued + at + 1, (size_t)(count - at) * sizeof *queued);
      }
      attach(loop, i);
      break;
    default: {
      const int max = (int)check_below(6);
      const int n = tw_loop_poll(loop, check_below(2) ? 0 : count ? -1 : 0, ready, max);
      CHECKF(n == (max < count ? max : count), "%d of %d", n, count);
      CHECK(n <= 0 || !memcmp(ready, queued, (size_t)n * sizeof *ready));
      count -= n;
      memmove(queued, queued + n, (size_t)count * sizeof *queued);
    }
    }
  }
}

static void waits_as_long_as_told(tw_loop *loop) {
  uint32_t ready[4];
  while (tw_loop_poll(loop, 0, ready, 4) > 0) {
  }
  CHECK(tw_loop_timeout_ms(loop) == -1 || tw_loop_timeout_ms(loop) == 0);
  const int64_t began = tw_loop_now_ns();
  CHECK(tw_loop_poll(loop, 20, ready, 4) == 0);
  CHECK(tw_loop_now_ns() - began >= 19 * 1000000);
  const int64_t short_one = tw_loop_now_ns();
  CHECK(tw_loop_poll_ns(loop, 300000, ready, 4) == 0);
  CHECK(tw_loop_now_ns() - short_one >= 300000);
  CHECK(tw_loop_poll_ns(loop, 1, ready, 4) == 0);
  CHECK(tw_loop_poll(loop, -1, ready, 4) == 0); /* nothing can become ready */
  CHECK(tw_loop_poll(loop, 0, ready, -1) == TW_EINVAL);
  CHECK(tw_loop_poll_ns(NULL, 0, ready, 4) == TW_EINVAL);

  /* with room for no report it waits all the same, though there is one to make */
  CHECK(tw_loop_wake(loop, 5) == TW_OK);
  const int64_t then = tw_loop_now_ns();
  CHECK(tw_loop_poll(loop, 20, ready, 0) == 0);
  CHECK(tw_loop_now_ns() - then >= 19 * 1000000);
  CHECK(tw_loop_poll(loop, -1, ready, 4) == 1 && ready[0] == 5);
}

/* A timer that is due when the wait begins fires before it. */
static tw__handle timed;
static void fired(uv_timer_t *timer) {
  (void)timer;
  tw__loop_ready(&timed);
}

static void does_not_wait_for_what_timers_brought(tw_loop *loop) {
  uint32_t ready[4];
  uv_timer_t timer, other;
  while (tw_loop_poll(loop, 0, ready, 4) > 0) {
  }
  memset(&timed, 0, sizeof timed);
  tw__loop_attach(loop, &timed, close_one);
  uv_timer_init(tw__loop_uv(loop), &timer);
  uv_timer_init(tw__loop_uv(loop), &other);
  uv_timer_start(&other, fired, 60000, 0);
  for (int i = 0; i < 3; i++) {
    uv_timer_start(&timer, fired, 0, 0);
    const int64_t began = tw_loop_now_ns();
    CHECK(tw_loop_poll(loop, i == 1 ? 30000 : -1, ready, 4) == 1 &&
          ready[0] == timed.id);
    CHECK(tw_loop_now_ns() - began < 25000000000);
  }
  uv_close((uv_handle_t *)&timer, NULL);
  uv_close((uv_handle_t *)&other, NULL);
  tw_loop_poll(loop, 0, ready, 4);
}

static void wakes(tw_loop *loop) {
  uint32_t ready[4];
  CHECK(tw_loop_wake(loop, 4000000000u) == TW_OK);
  CHECK(tw_loop_timeout_ms(loop) == 0);
  CHECK(tw_loop_poll(loop, -1, ready, 4) == 1 && ready[0] == 4000000000u);
  CHECK(tw_loop_poll(loop, 0, ready, 4) == 0);
  CHECK(tw_loop_wake(loop, 7) == TW_OK); /* left over at close */
}

/* What a look around has found does not keep the descriptors from being looked at. */
static tw__handle seen;
static int find(tw__inflow *inflow, int step) {
  (void)inflow;
  if (step == TW__LOOK_END) tw__loop_ready(&seen);
  return 1;
}

static void poll_closed(uv_handle_t *handle) {
  (void)handle;
  closed++;
}

static struct waker {
  tw__handle handle; /* first */
  tw__wake wake;
} waker;

static void close_waker(tw__handle *handle) {
  tw__loop_detach(handle);
  tw__wake_close(&waker.wake, poll_closed);
}

static void looks_at_all_after_a_look_around(void) {
  tw_loop *loop = tw_loop_open();
  tw__inflow inflow = {.look = find};
  uint32_t ready[4];
  tw__wake_init(&waker.wake);
  CHECK(tw__wake_open(&waker.wake, loop, &waker.handle) == TW_OK);
  tw__loop_attach(loop, &waker.handle, close_waker);
  tw__loop_attach(loop, &seen, close_one);
  CHECK(tw_loop_poll(loop, 0, ready, 4) == 0);
  tw__spin_add(tw__loop_spin(loop), &inflow);
  for (int i = 0; i < 4; i++) {
    tw__loop_spin(loop)->promising = 1;
    tw__wake_send(&waker.wake);
    CHECK(tw_loop_poll(loop, i % 2 ? 20 : -1, ready, 4) == 2);
    CHECK(ready[0] == seen.id && ready[1] == waker.handle.id);
  }
  tw__spin_remove(tw__loop_spin(loop), &inflow);
  tw_loop_close(loop);
  tw__wake_fini(&waker.wake);
  closed -= 2;
}

/* Work on the pool makes the loop's descriptor readable for a host's poll. */
static tw__handle pooled;
static void work(uv_work_t *req) {
  (void)req;
}
static void after_work(uv_work_t *req, int status) {
  (void)req, (void)status;
  tw__loop_ready(&pooled);
}

static void tells_a_host(tw_loop *loop) {
  uv_work_t req;
  uint32_t ready[4];
  while (tw_loop_poll(loop, 0, ready, 4) > 0) {
  }
  tw__loop_attach(loop, &pooled, close_one);
  uv_queue_work(tw__loop_uv(loop), &req, work, after_work);
  struct pollfd fd = {.fd = tw_loop_fd(loop), .events = POLLIN};
  CHECK(poll(&fd, 1, 60000) == 1);
  int n = 0;
  while (n == 0) n = tw_loop_poll(loop, 1000, ready, 4);
  CHECK(n == 1 && ready[0] == pooled.id);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  tw_loop *loop = tw_loop_open();
  CHECK(loop != NULL);
  agrees_with_a_list(loop);
  waits_as_long_as_told(loop);
  does_not_wait_for_what_timers_brought(loop);
  tells_a_host(loop);
  wakes(loop);
  looks_at_all_after_a_look_around();
  tw_loop_close(loop);
  CHECK(closed == HANDLES + 2);
  tw_loop_close(NULL);
  for (int64_t nth = 1; nth < 4; nth++) {
    tw_mem_fail_at(nth);
    loop = tw_loop_open();
    const int rc = loop ? tw_loop_wake(loop, 1) : TW_ENOMEM;
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    tw_loop_close(loop);
  }
  return check_close();
}
