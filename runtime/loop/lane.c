/* lane.c -- parcels from thread to thread.
 *
 * A side that waits is woken (loop/wake.h), which costs a call of the system; a side that is
 * busy is not, which costs nothing.
 */
#include "loop/lane.h"

#include <stddef.h>

#include "core/mem.h"

/* ---- parcels ---- */

tw_parcel *tw_parcel_new(int64_t room) {
  if (room < 0 || room > INT64_MAX / 2) return NULL;
  tw_parcel *p = tw__malloc(sizeof *p + (size_t)room);
  if (p) *p = (tw_parcel){.room = room};
  return p;
}

tw_parcel *tw_parcel_grow(tw_parcel *p, int64_t room) {
  if (room <= p->room) return p;
  if (room > INT64_MAX / 2) return NULL;
  if (room < p->room + p->room / 2) room = p->room + p->room / 2;
  tw_parcel *grown = tw__realloc(p, sizeof *p + (size_t)room);
  if (grown) grown->room = room;
  return grown;
}

void tw_parcel_free(tw_parcel *p) {
  tw__free(p);
}

/* ---- rings ---- */

enum { MASK = TW_LANE_ROOM - 1, QUARTER = TW_LANE_ROOM / 4 };

int tw__ring_push(tw__ring *ring, tw_parcel *p, int *wake) {
  const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
  *wake = 0;
  if (tail - ring->seen_head == TW_LANE_ROOM) {
    ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (tail - ring->seen_head == TW_LANE_ROOM) {
      atomic_store(&ring->starved, 1);
      ring->seen_head = atomic_load(&ring->head);
      if (tail - ring->seen_head == TW_LANE_ROOM) return TW_AGAIN;
      atomic_store_explicit(&ring->starved, 0, memory_order_relaxed);
    }
  }
  ring->slots[tail & MASK] = p;
  atomic_store(&ring->tail, tail + 1);
  if (atomic_load(&ring->asleep)) *wake = atomic_exchange(&ring->asleep, 0);
  return TW_OK;
}

tw_parcel *tw__ring_pop(tw__ring *ring, int *wake) {
  const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
  *wake = 0;
  if (head == ring->seen_tail) {
    ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head == ring->seen_tail) {
      atomic_store(&ring->asleep, 1);
      ring->seen_tail = atomic_load(&ring->tail);
      if (head == ring->seen_tail) return NULL;
      atomic_store_explicit(&ring->asleep, 0, memory_order_relaxed);
    }
  }
  tw_parcel *p = ring->slots[head & MASK];
  if ((head + 1) % QUARTER != 0) {
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return p;
  }
  atomic_store(&ring->head, head + 1);
  if (atomic_load(&ring->starved)) *wake = atomic_exchange(&ring->starved, 0);
  return p;
}

int64_t tw__ring_count(const tw__ring *ring) {
  return (int64_t)(atomic_load_explicit(&ring->tail, memory_order_acquire) -
                   atomic_load_explicit(&ring->head, memory_order_relaxed));
}

int tw__ring_rouse(tw__ring *ring) {
  return atomic_exchange(&ring->asleep, 0);
}

int tw__ring_doze(tw__ring *ring) {
  atomic_store(&ring->asleep, 1);
  if (atomic_load(&ring->tail) ==
      atomic_load_explicit(&ring->head, memory_order_relaxed))
    return 0;
  atomic_store_explicit(&ring->asleep, 0, memory_order_relaxed);
  return 1;
}

/* ---- ends ---- */

void tw__lane_init(tw_lane *a, tw_lane *b) {
  tw__wake_init(&a->wake);
  tw__wake_init(&b->wake);
  a->peer = b;
  b->peer = a;
}

static void drain(tw__ring *ring) {
  int wake;
  for (tw_parcel *p; (p = tw__ring_pop(ring, &wake));) tw_parcel_free(p);
}

void tw__lane_fini(tw_lane *a, tw_lane *b) {
  drain(&a->in);
  drain(&b->in);
  tw__wake_fini(&a->wake);
  tw__wake_fini(&b->wake);
}

static int look(tw__inflow *inflow, int step) {
  tw_lane *lane = (tw_lane *)((char *)inflow - offsetof(tw_lane, inflow));
  if (step == TW__LOOK_BEGIN) return lane->looking = tw__ring_rouse(&lane->in);
  if (!lane->looking) return 0;
  if (step == TW__LOOK) return tw__ring_count(&lane->in) > 0;
  lane->looking = 0;
  const int come = tw__ring_doze(&lane->in);
  if (come) tw__loop_ready(&lane->handle);
  return come;
}

int tw__lane_attach(tw_lane *lane, tw_loop *loop, void (*close)(tw__handle *handle)) {
  if (lane->handle.loop) return TW_EINVAL;
  lane->wake.spin = tw__loop_spin(loop);
  if (tw__wake_open(&lane->wake, loop, &lane->handle)) return TW_EIO;
  tw__loop_attach(loop, &lane->handle, close);
  lane->inflow.look = look;
  if (uv_available_parallelism() > 1) tw__spin_add(tw__loop_spin(loop), &lane->inflow);
  return TW_OK;
}

void tw__lane_detach(tw_lane *lane, uv_close_cb closed) {
  if (lane->handle.loop)
    tw__spin_remove(tw__loop_spin(lane->handle.loop), &lane->inflow);
  tw__loop_detach(&lane->handle);
  tw__wake_close(&lane->wake, closed);
}

void tw__lane_wake(tw_lane *lane) {
  tw__wake_send(&lane->wake);
}

void tw__lane_finish(tw_lane *lane) {
  atomic_store_explicit(&lane->peer->finished, 1, memory_order_release);
  tw__lane_wake(lane->peer);
}

static void close_lane(tw__handle *handle) {
  tw__lane_detach((tw_lane *)handle, NULL);
}

int tw_lane_attach(tw_lane *lane, tw_loop *loop) {
  return lane && loop ? tw__lane_attach(lane, loop, close_lane) : TW_EINVAL;
}

uint32_t tw_lane_id(const tw_lane *lane) {
  return lane->handle.id;
}

int tw_lane_send(tw_lane *lane, tw_parcel *p) {
  int wake;
  const int status = tw__ring_push(&lane->peer->in, p, &wake);
  if (wake) tw__lane_wake(lane->peer);
  return status;
}

tw_parcel *tw_lane_receive(tw_lane *lane) {
  int wake;
  tw_parcel *p = tw__ring_pop(&lane->in, &wake);
  if (wake) tw__lane_wake(lane->peer);
  return p;
}

int64_t tw_lane_count(const tw_lane *lane) {
  return tw__ring_count(&lane->in);
}

int tw_lane_finished(const tw_lane *lane) {
  return atomic_load_explicit(&lane->finished, memory_order_acquire) &&
         tw__ring_count(&lane->in) == 0;
}
