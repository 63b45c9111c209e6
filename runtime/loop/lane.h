/* lane.h -- two rings of parcels between two threads, and an end for each of them.
 *
 *     thread A                                        thread B
 *     end a   sends --> ring b->in  --> receives      end b
 *             receives <-- ring a->in <-- sends
 *
 * Each end has the ring that it receives from, and a handle on the loop of its thread.
 */
#ifndef TIDEWAY_LOOP_LANE_H
#define TIDEWAY_LOOP_LANE_H

#include <stdatomic.h>

#include "loop/wake.h"

enum { TW__LINE = 64 }; /* bytes of the cache that move together */

/* A bounded queue of parcels from one thread to another, without locks. Zeroed it is empty.
 * tail counts parcels ever pushed, head those ever popped; parcel i is in slot i & mask. Each
 * side writes its own counter, and reads the other's only when what it has seen of it says
 * full or empty. After Lamport, TOPLAS 1983, and FastForward's idea of a cached index.
 *
 * Who finds nothing sets asleep, who finds no room starved, and looks again; the other side
 * looks at the flag after its counter. These four are sequentially consistent, so one of
 * the two sees what the other has done, and no wake is lost (Dekker). */
typedef struct tw__ring {
  _Alignas(TW__LINE) _Atomic uint64_t tail; /* the producer's line */
  uint64_t seen_head;
  _Alignas(TW__LINE) _Atomic uint64_t head; /* the consumer's */
  uint64_t seen_tail;
  _Alignas(TW__LINE) _Atomic int asleep; /* the consumer has found nothing */
  _Atomic int starved;                   /* the producer has found no room */
  _Alignas(TW__LINE) tw_parcel *slots[TW_LANE_ROOM];
} tw__ring;

/* As tw_lane_send. wake: 1 when the consumer is to be woken. Thread: the producer's. */
int tw__ring_push(tw__ring *ring, tw_parcel *p, int *wake);

/* As tw_lane_receive. wake: 1 when the producer is to be told of room. Thread: the consumer's. */
tw_parcel *tw__ring_pop(tw__ring *ring, int *wake);

/* How many are in it, at least. Thread: the consumer's. */
int64_t tw__ring_count(const tw__ring *ring);

/* The consumer, who has found nothing, is awake all the same: whether that was so. And it is not any
 * more: whether something has come. Thread: the consumer's. */
int tw__ring_rouse(tw__ring *ring);
int tw__ring_doze(tw__ring *ring);

struct tw_lane {
  tw__handle handle;
  tw__inflow inflow;
  int looking;          /* for what comes, instead of being woken */
  tw__wake wake;        /* by which the other side wakes us */
  _Atomic int finished; /* the peer will send nothing more */
  tw_lane *peer;
  tw__ring in;
};

/* Make two zeroed ends one lane; free what is in their rings, when neither thread uses it. */
void tw__lane_init(tw_lane *a, tw_lane *b);
void tw__lane_fini(tw_lane *a, tw_lane *b);

/* As tw_lane_attach. close: when the loop is closed first. Thread: the end's. */
int tw__lane_attach(tw_lane *lane, tw_loop *loop, void (*close)(tw__handle *handle));

/* Take an end off its loop, after which waking it does nothing. closed: as in tw__wake_close.
 * Thread: the end's. */
void tw__lane_detach(tw_lane *lane, uv_close_cb closed);

/* Have an end's handle reported. Any thread. */
void tw__lane_wake(tw_lane *lane);

/* Tell the other side that nothing more will be sent. Thread: the end's. */
void tw__lane_finish(tw_lane *lane);

#endif
