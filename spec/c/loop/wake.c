/* wake -- what is sent is reported, from any thread, by an eventfd as by a pipe. */
#include "loop/wake.h"

#include <poll.h>
#include <stdatomic.h>

#include "../check.h"

/* The same once more as for a system that has no eventfd. */
#undef __linux__
#define tw__wake_init  pipe_init
#define tw__wake_fini  pipe_fini
#define tw__wake_open  pipe_open
#define tw__wake_close pipe_close
#define tw__wake_send  pipe_send
#include "loop/wake.c"
#undef tw__wake_init
#undef tw__wake_fini
#undef tw__wake_open
#undef tw__wake_close
#undef tw__wake_send

typedef struct way {
  void (*init)(tw__wake *);
  void (*fini)(tw__wake *);
  int (*open)(tw__wake *, tw_loop *, tw__handle *);
  void (*close)(tw__wake *, uv_close_cb);
  void (*send)(tw__wake *);
} way;

static const way ways[] = {
    {tw__wake_init, tw__wake_fini, tw__wake_open, tw__wake_close, tw__wake_send},
    {pipe_init, pipe_fini, pipe_open, pipe_close, pipe_send},
};

typedef struct receiver {
  tw__handle handle; /* first */
  tw__wake wake;
  const way *by;
} receiver;

static int closed;

static void has_closed(uv_handle_t *handle) {
  (void)handle;
  closed++;
}

static void close_receiver(tw__handle *handle) {
  receiver *r = (receiver *)handle;
  tw__loop_detach(handle);
  r->by->close(&r->wake, has_closed);
}

static void open_receiver(receiver *r, tw_loop *loop, const way *by) {
  *r = (receiver){.by = by};
  by->init(&r->wake);
  CHECK(by->open(&r->wake, loop, &r->handle) == TW_OK);
  tw__loop_attach(loop, &r->handle, close_receiver);
}

static int told(tw_loop *loop, const receiver *r, int64_t timeout_ms) {
  uint32_t ready[4];
  const int n = tw_loop_poll(loop, timeout_ms, ready, 4);
  CHECK(n == 0 || (n == 1 && ready[0] == r->handle.id));
  return n;
}

static void reports_what_is_sent(const way *by) {
  tw_loop *loop = tw_loop_open();
  receiver r;
  open_receiver(&r, loop, by);
  CHECK(!told(loop, &r, 0));
  by->send(&r.wake);
  CHECK(told(loop, &r, 2000) && !told(loop, &r, 0));
  for (int i = 0; i < 100000; i++) by->send(&r.wake); /* more than a pipe holds */
  CHECK(told(loop, &r, -1) && !told(loop, &r, 0));
  by->send(&r.wake);
  CHECK(told(loop, &r, 2000));
  tw_loop_close(loop);
  CHECK(closed == 1);
  by->send(&r.wake); /* there is nobody any more */
  by->fini(&r.wake);
  closed = 0;
}

/* A host looks at the descriptor of its loop, and is told by it. */
static void shows_in_the_loop_of_a_host(const way *by) {
  uv_loop_t uv;
  receiver r;
  uv_loop_init(&uv);
  tw_loop *loop = tw_loop_adopt(&uv);
  open_receiver(&r, loop, by);
  uv_run(&uv, UV_RUN_NOWAIT);
  struct pollfd backend = {.fd = uv_backend_fd(&uv), .events = POLLIN};
  CHECK(poll(&backend, 1, 0) == 0);
  by->send(&r.wake);
  CHECK(poll(&backend, 1, 2000) == 1);
  uv_run(&uv, UV_RUN_NOWAIT);
  CHECK(poll(&backend, 1, 0) == 0); /* seen */
  tw__loop_inside(loop, 1);
  CHECK(told(loop, &r, -1));
  tw__loop_inside(loop, 0);
  tw_loop_close(loop);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&uv) == 0 && closed == 1);
  by->fini(&r.wake);
  closed = 0;
}

enum { THREADS = 4, EACH = 5000 };

typedef struct sender {
  receiver *to;
  pthread_t id;
  _Atomic int raised;
  _Atomic int *lost;
} sender;

static void *keep_sending(void *arg) {
  sender *s = arg;
  for (int i = 0; i < EACH; i++) {
    atomic_store(&s->raised, 1);
    s->to->by->send(&s->to->wake);
    while (atomic_load(&s->raised) && !atomic_load(s->lost)) sched_yield();
  }
  return NULL;
}

/* Each raises its flag, sends, and goes on when the receiver has taken the flag down. */
static void loses_none_of_several_threads(const way *by) {
  tw_loop *loop = tw_loop_open();
  receiver r;
  sender senders[THREADS] = {0};
  _Atomic int lost = 0;
  int left = THREADS * EACH;
  open_receiver(&r, loop, by);
  for (int t = 0; t < THREADS; t++) {
    senders[t].to = &r;
    senders[t].lost = &lost;
    pthread_create(&senders[t].id, NULL, keep_sending, &senders[t]);
  }
  while (left > 0 && told(loop, &r, 20000))
    for (int t = 0; t < THREADS; t++) left -= atomic_exchange(&senders[t].raised, 0);
  CHECKF(left == 0, "%d left", left);
  atomic_store(&lost, 1);
  for (int t = 0; t < THREADS; t++) pthread_join(senders[t].id, NULL);
  tw_loop_close(loop);
  by->fini(&r.wake);
  closed = 0;
}

/* Threads go on sending while the loop is closed. */
static void *send_until_lost(void *arg) {
  sender *s = arg;
  while (!atomic_load(s->lost)) s->to->by->send(&s->to->wake);
  return NULL;
}

static void may_be_sent_while_it_closes(const way *by) {
  for (int round = 0; round < 20; round++) {
    tw_loop *loop = tw_loop_open();
    receiver r;
    _Atomic int lost = 0;
    sender s = {.to = &r, .lost = &lost};
    open_receiver(&r, loop, by);
    pthread_create(&s.id, NULL, send_until_lost, &s);
    CHECK(told(loop, &r, 20000));
    tw_loop_close(loop);
    atomic_store(&lost, 1);
    pthread_join(s.id, NULL);
    by->fini(&r.wake);
  }
  closed = 0;
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 2; i++) {
    reports_what_is_sent(&ways[i]);
    shows_in_the_loop_of_a_host(&ways[i]);
    loses_none_of_several_threads(&ways[i]);
    may_be_sent_while_it_closes(&ways[i]);
  }
  return check_close();
}
