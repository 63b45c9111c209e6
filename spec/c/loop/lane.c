/* lane -- parcels arrive once and in order, full and empty are told, and no wake is lost. */
#include <unistd.h>

#include "../check.h"
#include "loop/lane.h"

/* Short waits at random places, which move the threads against each other. Each thread has a
 * generator of its own, of the spec's seed. */
typedef struct chance {
  uint64_t state;
  int one_in; /* 0: none */
} chance;

static uint64_t next(chance *d) {
  d->state = d->state * 6364136223846793005ull + 1442695040888963407ull;
  return d->state >> 33;
}

static void pause_now_and_then(chance *d) {
  if (!d->one_in || next(d) % (uint64_t)d->one_in) return;
  const uint64_t kind = next(d) % 4;
  if (kind == 0) usleep((useconds_t)(next(d) % 200));
  for (volatile uint64_t i = kind == 1 ? next(d) % 2000 : 0; i > 0; i--) {
  }
}

/* ---- parcels ---- */

static void parcels_grow(void) {
  tw_parcel *p = tw_parcel_new(10);
  CHECK(p && p->room >= 10 && p->len == 0 && p->next == NULL);
  CHECK((uintptr_t)p->bytes % 16 == 0);
  memcpy(p->bytes, "0123456789", 10);
  p->len = 10, p->number = 7;
  CHECK(tw_parcel_grow(p, 5) == p);
  tw_mem_fail_at(1);
  CHECK(tw_parcel_grow(p, 100000) == NULL);
  CHECK(p->room == 10 && p->len == 10);
  CHECK(tw_parcel_grow(p, INT64_MAX) == NULL);
  p = tw_parcel_grow(p, 11);
  CHECK(p->room >= 15 && p->len == 10 && p->number == 7);
  CHECK(!memcmp(p->bytes, "0123456789", 10));
  tw_parcel_free(p);
  tw_parcel_free(NULL);
  tw_mem_fail_at(1);
  CHECK(!tw_parcel_new(1));
  CHECK(!tw_parcel_new(-1));
  p = tw_parcel_new(0);
  CHECK(p && p->room == 0);
  tw_parcel_free(p);
}

/* ---- a ring alone ---- */

static tw_parcel *number(int64_t n) {
  tw_parcel *p = tw_parcel_new(0);
  p->number = n;
  return p;
}

/* Random pushes and pops against two counters. */
static void ring_keeps_order(void) {
  static tw__ring ring;
  int64_t in = 0, out = 0;
  int wake;
  while (in < 100000) {
    const int pushes = check_below(2) > 0;
    for (int64_t n = check_below(TW_LANE_ROOM / 2); n > 0; n--) {
      if (pushes) {
        tw_parcel *p = number(in);
        const int status = tw__ring_push(&ring, p, &wake);
        CHECK(status == (in - out == TW_LANE_ROOM ? TW_AGAIN : TW_OK));
        if (status)
          tw_parcel_free(p);
        else
          in++;
      } else {
        tw_parcel *p = tw__ring_pop(&ring, &wake);
        CHECK(!p == (in == out));
        if (!p) break;
        CHECK(p->number == out++);
        tw_parcel_free(p);
      }
    }
    CHECK(tw__ring_count(&ring) == in - out);
  }
  for (tw_parcel *p; (p = tw__ring_pop(&ring, &wake)); out++) tw_parcel_free(p);
  CHECK(in == out);
}

static void ring_tells_whom_to_wake(void) {
  static tw__ring ring;
  static tw_parcel p;
  int wake;
  CHECK(tw__ring_push(&ring, &p, &wake) == TW_OK && !wake); /* nobody has looked */
  CHECK(tw__ring_pop(&ring, &wake) == &p && !wake);
  CHECK(tw__ring_pop(&ring, &wake) == NULL && !wake);
  CHECK(tw__ring_push(&ring, &p, &wake) == TW_OK && wake);
  CHECK(tw__ring_push(&ring, &p, &wake) == TW_OK && !wake); /* told already */
  for (int i = 2; i < TW_LANE_ROOM; i++) {
    CHECK(tw__ring_push(&ring, &p, &wake) == TW_OK && !wake);
  }
  CHECK(tw__ring_push(&ring, &p, &wake) == TW_AGAIN && !wake);
  int told = 0;
  for (int i = 0; i < TW_LANE_ROOM / 4; i++) {
    CHECK(tw__ring_pop(&ring, &wake) == &p);
    told += wake;
  }
  CHECK(told == 1);
  for (int i = 0; i < TW_LANE_ROOM * 3 / 4; i++) {
    CHECK(tw__ring_pop(&ring, &wake) == &p && !wake);
  }
  CHECK(tw__ring_pop(&ring, &wake) == NULL);
}

/* A ring between two threads that wait by spinning, so that they meet at each of its
 * instructions. The producer waits after a few parcels until they have been taken: the next
 * one would make good for a wake that was lost. Now and then it fills the ring. */
typedef struct spinner {
  tw__ring ring;
  _Atomic int to_consumer, to_producer; /* wakes that are under way */
  _Atomic int64_t taken;
  _Atomic int lost;
  int64_t n, looked, slept, full;
  chance consumer, producer;
} spinner;

static void spin(uint64_t n) {
  for (volatile uint64_t i = n; i > 0; i--) {
  }
}

/* After so many looks: 0 while there is still hope. */
static int given_up(spinner *s, int64_t looks) {
  if (looks > 2000) usleep(looks > 20000 ? 1000 : 0);
  if (looks > 40000) atomic_store(&s->lost, 1);
  return atomic_load(&s->lost);
}

static void await_wake(spinner *s, _Atomic int *wake) {
  for (int64_t i = 0; !atomic_exchange(wake, 0) && !given_up(s, i); i++) {
  }
}

/* Look for a while before waiting, as tw__spin_before has it. */
static void look_or_wait(spinner *s) {
  const uint64_t looks = next(&s->consumer) % 200;
  if (looks < 100 && tw__ring_rouse(&s->ring)) {
    s->looked++;
    for (uint64_t i = 0; i < looks && tw__ring_count(&s->ring) == 0;) i++;
    if (tw__ring_doze(&s->ring)) return;
  }
  s->slept++;
  await_wake(s, &s->to_consumer);
}

static void *consume(void *arg) {
  spinner *s = arg;
  int64_t i = 0;
  while (i < s->n && !atomic_load(&s->lost)) {
    int wake;
    tw_parcel *p = tw__ring_pop(&s->ring, &wake);
    if (wake) atomic_store(&s->to_producer, 1);
    if (p) {
      if (p->number != i) atomic_store(&s->lost, 1);
      atomic_store(&s->taken, ++i);
      spin(next(&s->consumer) % 16);
    } else {
      look_or_wait(s);
    }
  }
  return NULL;
}

static void produce(spinner *s, tw_parcel *p, int64_t number) {
  int wake;
  p->number = number;
  while (tw__ring_push(&s->ring, p, &wake) == TW_AGAIN && !atomic_load(&s->lost)) {
    s->full++;
    await_wake(s, &s->to_producer);
  }
  if (wake) atomic_store(&s->to_consumer, 1);
}

static void ring_loses_no_wake(int64_t n) {
  static tw_parcel parcels[4 * TW_LANE_ROOM];
  spinner *s = aligned_alloc(TW__LINE, sizeof *s);
  pthread_t id;
  memset(s, 0, sizeof *s);
  s->n = n;
  s->consumer.state = check_u64();
  s->producer.state = check_u64();
  pthread_create(&id, NULL, consume, s);
  for (int64_t i = 0; i < n && !atomic_load(&s->lost);) {
    int64_t few = next(&s->producer) % 20000 ? 1 + (int64_t)next(&s->producer) % 3
                                             : 3 * TW_LANE_ROOM;
    for (; few > 0 && i < n; few--, i++) {
      produce(s, &parcels[i % (4 * TW_LANE_ROOM)], i);
      spin(next(&s->producer) % 16);
    }
    for (int64_t looks = 0; atomic_load(&s->taken) < i && !given_up(s, looks);) looks++;
  }
  pthread_join(id, NULL);
  CHECK(!s->lost);
  if (check_long)
    printf("looked %lld times for parcels, waited %lld times, %lld for room\n",
           (long long)s->looked, (long long)s->slept, (long long)s->full);
  free(s);
}

/* ---- two ends ---- */

/* One side of a lane: sends `send` parcels, receives `receive` of them, sends those of the other
 * side back when echo is set. */
typedef struct side {
  tw_lane *lane;
  tw_loop *loop;
  chance chance;
  int64_t send, receive;
  int echo;
  int64_t sent, received, waits;
  int wrong;
} side;

static void wait_for(side *s) {
  uint32_t ready[2];
  s->waits++;
  const int n = tw_loop_poll(s->loop, 20000, ready, 2);
  if (n != 1 || ready[0] != tw_lane_id(s->lane)) s->wrong = 1; /* a lost wake */
}

static void send_one(side *s, tw_parcel *p) {
  while (tw_lane_send(s->lane, p) == TW_AGAIN && !s->wrong) wait_for(s);
  s->sent++;
  pause_now_and_then(&s->chance);
}

/* Whether there was one. */
static int receive_one(side *s) {
  tw_parcel *p = tw_lane_receive(s->lane);
  pause_now_and_then(&s->chance);
  if (!p) return 0;
  if (p->number != s->received++) s->wrong = 1;
  if (s->echo)
    send_one(s, p);
  else
    tw_parcel_free(p);
  return 1;
}

static void *go_on(void *arg) {
  side *s = arg;
  s->loop = tw_loop_open();
  if (tw_lane_attach(s->lane, s->loop)) s->wrong = 1;
  while (!s->wrong && (s->received < s->receive || s->sent < s->send)) {
    /* never more under way than an echo has room for */
    if (!s->echo && s->sent < s->send &&
        (!s->receive || s->sent - s->received < TW_LANE_ROOM))
      send_one(s, number(s->sent));
    else if (!receive_one(s))
      wait_for(s);
  }
  if (s->echo && (tw_lane_receive(s->lane) || !tw_lane_finished(s->lane))) {
    while (!tw_lane_finished(s->lane)) wait_for(s);
  }
  if (!s->echo) tw__lane_finish(s->lane);
  tw_loop_close(s->loop);
  return NULL;
}

static tw_lane *open_ends(void) {
  tw_lane *ends = aligned_alloc(TW__LINE, 2 * sizeof *ends);
  memset(ends, 0, 2 * sizeof *ends);
  tw__lane_init(&ends[0], &ends[1]);
  return ends;
}

static void close_ends(tw_lane *ends) {
  tw__lane_fini(&ends[0], &ends[1]);
  free(ends);
}

static void run_sides(side *a, side *b) {
  tw_lane *ends = open_ends();
  pthread_t id;
  a->lane = &ends[0], b->lane = &ends[1];
  a->chance.state = check_u64(), b->chance.state = check_u64();
  pthread_create(&id, NULL, go_on, b);
  go_on(a);
  pthread_join(id, NULL);
  CHECK(!a->wrong && !b->wrong);
  CHECK(a->sent == a->send && b->received == b->receive);
  CHECK(a->received == a->receive && b->sent == b->send);
  close_ends(ends);
}

static void goes_one_way(int64_t n, int pauses) {
  run_sides(&(side){.send = n, .chance = {0, pauses}},
            &(side){.receive = n, .chance = {0, pauses}});
}

static void goes_both_ways(int64_t n, int pauses) {
  run_sides(&(side){.send = n, .receive = n, .chance = {0, pauses}},
            &(side){.send = n, .receive = n, .echo = 1, .chance = {0, pauses}});
}

static void frees_what_nobody_received(void) {
  tw_lane *ends = open_ends();
  for (int i = 0; i < TW_LANE_ROOM; i++) {
    CHECK(tw_lane_send(&ends[0], number(i)) == TW_OK);
    CHECK(tw_lane_count(&ends[1]) == i + 1);
  }
  for (int i = 0; i < 10; i++) CHECK(tw_lane_send(&ends[1], number(i)) == TW_OK);
  tw_parcel *p = number(0);
  CHECK(tw_lane_send(&ends[0], p) == TW_AGAIN);
  tw_parcel_free(p);
  close_ends(ends);
}

static void finishes_after_the_last(void) {
  tw_lane *ends = open_ends();
  tw_loop *loop = tw_loop_open();
  uint32_t ready[2];
  CHECK(tw_lane_attach(NULL, loop) == TW_EINVAL);
  CHECK(tw_lane_attach(&ends[1], NULL) == TW_EINVAL);
  CHECK(tw_lane_attach(&ends[1], loop) == TW_OK);
  CHECK(tw_lane_attach(&ends[1], loop) == TW_EINVAL);
  CHECK(!tw_lane_receive(&ends[1]) && !tw_lane_finished(&ends[1]));
  CHECK(tw_lane_send(&ends[0], number(1)) == TW_OK);
  CHECK(tw_loop_poll(loop, 2000, ready, 2) == 1 && ready[0] == tw_lane_id(&ends[1]));
  tw__lane_finish(&ends[0]);
  CHECK(!tw_lane_finished(&ends[1]));
  tw_parcel *p = tw_lane_receive(&ends[1]);
  CHECK(p && p->number == 1);
  tw_parcel_free(p);
  CHECK(tw_lane_finished(&ends[1]));
  CHECK(tw_loop_poll(loop, 2000, ready, 2) == 1 && ready[0] == tw_lane_id(&ends[1]));
  tw_loop_close(loop);
  tw__lane_wake(&ends[1]); /* there is nobody any more */
  tw__lane_wake(&ends[0]); /* nor was there ever */
  close_ends(ends);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  parcels_grow();
  ring_keeps_order();
  ring_tells_whom_to_wake();
  frees_what_nobody_received();
  finishes_after_the_last();
  const int64_t n = check_long ? 10000000 : 1000000;
  ring_loses_no_wake(n / 2);
  goes_one_way(n, 0);
  goes_both_ways(n, 0);
  goes_one_way(n / 10, 20);
  for (int i = 0; i < 10; i++) goes_both_ways(n / 200, 3);
  CHECK(tw_mem_bytes() == 0);
  return check_close();
}
