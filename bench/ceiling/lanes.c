/* lanes.c -- what it costs to hand a parcel from thread to thread: the ring of a lane beside a
 * queue with a mutex and a condition variable.
 *
 *     lanes alone            parcels of 16 bytes through one ring, 256 in, 256 out, in one thread: ns of CPU
 *     lanes ring             4 M of them one way between two loops, which wait: ns a parcel,
 *                            parcels a wait
 *     lanes mutex            the same through the queue
 *     lanes flight N         N at a time there and back between two loops: ns a parcel and way
 *     lanes mutex-flight N   the same through two queues
 *     lanes trip             round trips of one parcel between two loops: median us, 99 %
 *     lanes mutex-trip       the same through two queues
 *     lanes busy-trip        the same between two threads that look all the time
 *     lanes worker ROOT      the same to a Lua function in a worker; ROOT: tideway's source tree
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop/lane.h"

enum { PARCELS = 4000000, TRIPS = 5000, FLIGHTS = 100000 };
enum { KEPT = 2 * TW_LANE_ROOM }; /* one that comes again has long been read */

static double us_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double now_us(void) {
  return us_of(CLOCK_MONOTONIC);
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* ---- the queue beside it ---- */

typedef struct queue {
  pthread_mutex_t lock;
  pthread_cond_t filled, emptied;
  tw_parcel *slots[TW_LANE_ROOM];
  uint64_t head, tail;
  int64_t waits;
} queue;

static void queue_put(queue *q, tw_parcel *p) {
  pthread_mutex_lock(&q->lock);
  while (q->tail - q->head == TW_LANE_ROOM) pthread_cond_wait(&q->emptied, &q->lock);
  q->slots[q->tail++ % TW_LANE_ROOM] = p;
  if (q->tail - q->head == 1) pthread_cond_signal(&q->filled);
  pthread_mutex_unlock(&q->lock);
}

static tw_parcel *queue_take(queue *q) {
  pthread_mutex_lock(&q->lock);
  while (q->tail == q->head) {
    q->waits++;
    pthread_cond_wait(&q->filled, &q->lock);
  }
  tw_parcel *p = q->slots[q->head++ % TW_LANE_ROOM];
  if (q->tail - q->head == TW_LANE_ROOM - 1) pthread_cond_signal(&q->emptied);
  pthread_mutex_unlock(&q->lock);
  return p;
}

static queue queues[2] =
    {/* what end 0 and what end 1 has put; zeroed locks are fine on Linux */
     {.lock = PTHREAD_MUTEX_INITIALIZER},
     {.lock = PTHREAD_MUTEX_INITIALIZER}};

/* ---- the lane ---- */

static tw_lane ends[2];
static tw_loop *loops[2];
static int64_t waits[2];

static void attach(int which) {
  loops[which] = tw_loop_open();
  if (tw_lane_attach(&ends[which], loops[which])) exit(1);
}

static void wait_for(int which) {
  uint32_t ready[1];
  waits[which]++;
  tw_loop_poll(loops[which], -1, ready, 1);
}

static void lane_put(int which, tw_parcel *p) {
  while (tw_lane_send(&ends[which], p) == TW_AGAIN) wait_for(which);
}

static tw_parcel *lane_take(int which) {
  for (;;) {
    tw_parcel *p = tw_lane_receive(&ends[which]);
    if (p) return p;
    wait_for(which);
  }
}

/* ---- either way of handing over, of either end ---- */

enum way { LANE, BUSY, MUTEX };
static enum way way;

static void put(int which, tw_parcel *p) {
  if (way == LANE) lane_put(which, p);
  if (way == MUTEX) queue_put(&queues[which], p);
  while (way == BUSY && tw_lane_send(&ends[which], p) == TW_AGAIN) {
  }
}

static tw_parcel *take(int which) {
  if (way == LANE) return lane_take(which);
  if (way == MUTEX) return queue_take(&queues[1 - which]);
  while (tw_lane_count(&ends[which]) == 0) {
  }
  return tw_lane_receive(&ends[which]);
}

static pthread_barrier_t both;

static pthread_t begin(void *(*other)(void *)) {
  pthread_t id;
  pthread_barrier_init(&both, NULL, 2);
  if (way == LANE) attach(0);
  pthread_create(&id, NULL, other, NULL);
  pthread_barrier_wait(&both);
  return id;
}

static void begin_other(void) {
  if (way == LANE) attach(1);
  pthread_barrier_wait(&both);
}

/* ---- one way ---- */

static tw_parcel *parcels[KEPT];

static tw_parcel *filled(int64_t i, int among) {
  tw_parcel *p = parcels[i % among];
  int64_t *numbers = (int64_t *)(void *)p->bytes;
  numbers[0] = numbers[1] = i;
  p->len = 16;
  return p;
}

static int64_t number_in(const tw_parcel *p) {
  return ((const int64_t *)(const void *)p->bytes)[1];
}

static int64_t sum;

static void *read_all(void *arg) {
  begin_other();
  for (int64_t i = 0; i < PARCELS; i++) sum += number_in(take(1));
  return arg;
}

static void check_sum(void) {
  if (sum != (int64_t)PARCELS * (PARCELS - 1) / 2) exit(1);
}

static void one_way(void) {
  const pthread_t id = begin(read_all);
  const double began = now_us();
  for (int64_t i = 0; i < PARCELS; i++) put(0, filled(i, KEPT));
  pthread_join(id, NULL);
  const double all = now_us() - began;
  const int64_t waited = way == MUTEX ? queues[0].waits : waits[1];
  check_sum();
  printf("%g %g\n", all * 1e3 / PARCELS, (double)PARCELS / (double)(waited + 1));
}

static void alone(void) {
  const double began = us_of(CLOCK_THREAD_CPUTIME_ID);
  for (int64_t i = 0; i < PARCELS; i += 256) {
    for (int64_t k = i; k < i + 256; k++) tw_lane_send(&ends[0], filled(k, 256));
    for (int64_t k = i; k < i + 256; k++) sum += number_in(tw_lane_receive(&ends[1]));
  }
  check_sum();
  printf("%g\n", (us_of(CLOCK_THREAD_CPUTIME_ID) - began) * 1e3 / PARCELS);
}

/* ---- there and back ---- */

static int64_t to_echo;
static double took[TRIPS];

static void *echo(void *arg) {
  begin_other();
  for (int64_t i = 0; i < to_echo; i++) put(1, take(1));
  return arg;
}

static void flight(int64_t n) {
  to_echo = FLIGHTS;
  const pthread_t id = begin(echo);
  const double began = now_us();
  int64_t out = 0;
  for (int64_t i = 0; i < FLIGHTS; i++) {
    while (out < FLIGHTS && out - i < n) put(0, filled(out++, KEPT));
    if (number_in(take(0)) != i) exit(1);
  }
  printf("%g\n", (now_us() - began) * 1e3 / FLIGHTS / 2);
  pthread_join(id, NULL);
}

static void report(void) {
  qsort(took, TRIPS, sizeof *took, compare);
  printf("%g %g\n", took[TRIPS / 2], took[TRIPS / 100 * 99]);
}

static void trips(void) {
  to_echo = TRIPS;
  const pthread_t id = begin(echo);
  for (int i = 0; i < TRIPS; i++) {
    const double began = now_us();
    put(0, parcels[0]);
    take(0);
    took[i] = now_us() - began;
  }
  pthread_join(id, NULL);
  report();
}

/* ---- with Lua ---- */

static const char in_lua[] =
    "local ffi, C = require 'ffi', require 'tideway.ffi'\n"
    "local tw, sched = require 'tideway', require 'tideway.sched'\n"
    "local lane = ffi.cast('tw_lane *', ffi.cast('uintptr_t', tonumber((...))))\n"
    "C.tw_lane_attach(lane, sched.loop())\n"
    "local id = C.tw_lane_id(lane)\n"
    "tw.spawn(function()\n"
    "  while true do\n"
    "    local p = C.tw_lane_receive(lane)\n"
    "    if p ~= nil then C.tw_lane_send(lane, p) else sched.wait(id) end\n"
    "  end\n"
    "end)\n";

static void worker(const char *root) {
  char error[256];
  uint32_t ready[1];
  tw_loop *loop = tw_loop_open();
  tw_worker *w = tw_worker_open(loop, in_lua, NULL, root, 1, error, sizeof error);
  for (int i = -100; w && i < TRIPS; i++) {
    const double began = now_us();
    tw_worker_send(w, parcels[0]);
    while (!tw_worker_receive(w)) {
      if (tw_worker_status(w) != TW_AGAIN) {
        fprintf(stderr, "%s\n", tw_worker_error(w));
        exit(1);
      }
      tw_loop_poll(loop, -1, ready, 1);
    }
    if (i >= 0) took[i] = now_us() - began;
  }
  tw_worker_close(w);
  report();
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "", *last = argc > 2 ? argv[2] : "1";
  for (int i = 0; i < KEPT; i++) parcels[i] = tw_parcel_new(16);
  tw__lane_init(&ends[0], &ends[1]);
  way = !strncmp(what, "mutex", 5) ? MUTEX : !strncmp(what, "busy", 4) ? BUSY : LANE;
  if (!strcmp(what, "alone")) alone();
  if (!strcmp(what, "ring") || !strcmp(what, "mutex")) one_way();
  if (strstr(what, "flight")) flight(atoi(last));
  if (strstr(what, "trip")) trips();
  if (!strcmp(what, "worker")) worker(last);
  return 0;
}
