/* signal.c -- SIGINT and SIGTERM as something that a loop becomes ready by.
 *
 * libuv knows how a signal gets from a handler to the loops that watch for it, but the
 * second signal has to end a process that never looks at its loop again. So our own
 * handler stands in front of libuv's:
 *
 *     first signal   -> libuv's handler -> the loops
 *     second signal  -> the default action, at once
 *     within TWIN of the first: the same one again, as timeout(1) sends it to the process
 *                       and then to its whole group
 *
 * What is static here is what the process has one of: the handlers of its signals.
 */
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "core/mem.h"
#include "loop/loop.h"

enum { SIGNALS = 2 };
static const int64_t TWIN_NS = 50 * 1000000;

static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
static void (*volatile forward)(int); /* libuv's handler */
static _Atomic int64_t first_ns;      /* when the first one came; 0: none yet */

struct tw_signals {
  tw__handle handle; /* first */
  struct {
    uv_signal_t uv;
    struct sigaction before; /* what there was when we came */
    int watched;
  } on[SIGNALS];
  int open; /* uv handles */
  int caught;
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Async-signal-safe. */
static void arrived(int number) {
  const int64_t now = now_ns();
  int64_t before = 0;
  if (atomic_compare_exchange_strong(&first_ns, &before, now)) {
    forward(number);
  } else if (now - before > TWIN_NS) {
    struct sigaction act = {.sa_handler = SIG_DFL};
    sigaction(number, &act, NULL);
    raise(number); /* comes when we return */
  }
}

static void noticed(uv_signal_t *uv, int number) {
  tw_signals *s = uv->data;
  if (!s->caught) s->caught = number;
  tw__loop_ready(&s->handle);
}

static void one_closed(uv_handle_t *uv) {
  tw_signals *s = uv->data;
  if (--s->open == 0) tw__free(s);
}

static void close_handle(tw__handle *handle) {
  tw_signals_close((tw_signals *)handle);
}

tw_signals *tw_signals_open(tw_loop *loop) {
  tw_signals *s = tw__calloc(1, sizeof *s);
  if (!s) return NULL;
  for (int i = 0; i < SIGNALS; i++) {
    s->on[i].uv.data = s;
    if (uv_signal_init(tw__loop_uv(loop), &s->on[i].uv)) goto fail;
    s->open++;
  }
  tw__loop_attach(loop, &s->handle, close_handle);
  return s;

fail:
  if (!s->open) tw__free(s);
  for (int i = 0; i < s->open; i++) uv_close((uv_handle_t *)&s->on[i].uv, one_closed);
  return NULL;
}

void tw_signals_close(tw_signals *s) {
  if (!s) return;
  tw_signals_stop(s);
  tw__loop_detach(&s->handle);
  for (int i = 0; i < SIGNALS; i++) uv_close((uv_handle_t *)&s->on[i].uv, one_closed);
}

/* Put our handler in front of the one that libuv has just installed. */
static int stand_in_front(int number) {
  struct sigaction act;
  if (sigaction(number, NULL, &act)) return TW_EIO;
  if (act.sa_handler == arrived) return TW_OK;
  forward = act.sa_handler;
  act.sa_handler = arrived;
  return sigaction(number, &act, NULL) ? TW_EIO : TW_OK;
}

int tw_signals_start(tw_signals *s) {
  s->caught = 0;
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction *before = &s->on[i].before;
    if (s->on[i].watched || sigaction(numbers[i], NULL, before)) continue;
    if (uv_signal_start(&s->on[i].uv, noticed, numbers[i])) goto fail;
    s->on[i].watched = 1;
    if (stand_in_front(numbers[i])) goto fail;
  }
  return TW_OK;

fail:
  tw_signals_stop(s);
  return TW_EIO;
}

void tw_signals_stop(tw_signals *s) {
  for (int i = 0; i < SIGNALS; i++) {
    if (!s->on[i].watched) continue;
    s->on[i].watched = 0;
    uv_signal_stop(&s->on[i].uv); /* the last one leaves the default action */
    struct sigaction now;
    const int last = !sigaction(numbers[i], NULL, &now) && now.sa_handler == SIG_DFL;
    if (!last) continue;
    atomic_store(&first_ns, 0);
    if (s->on[i].before.sa_handler != arrived)
      sigaction(numbers[i], &s->on[i].before, NULL);
  }
}

uint32_t tw_signals_id(const tw_signals *s) {
  return s->handle.id;
}

const char *tw_signals_caught(const tw_signals *s) {
  return s->caught == SIGINT ? "SIGINT" : s->caught == SIGTERM ? "SIGTERM" : NULL;
}
