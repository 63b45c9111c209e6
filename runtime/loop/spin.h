/* spin.h -- looking out for a moment before a thread sleeps for what another one sends. */
#ifndef TIDEWAY_LOOP_SPIN_H
#define TIDEWAY_LOOP_SPIN_H

#include <stdint.h>

/* What another thread sends, which wakes us for it when it sees that we sleep. */
typedef struct tw__inflow tw__inflow;
struct tw__inflow {
  tw__inflow *next;
  /* TW__LOOK_BEGIN: whether we wait for it; from now on we look by ourselves and are not woken.
   * TW__LOOK: whether something has come. TW__LOOK_END: the same, and has it reported; where
   * nothing has, we are woken again. */
  int (*look)(tw__inflow *inflow, int step);
};

enum { TW__LOOK_BEGIN, TW__LOOK, TW__LOOK_END };

/* The habits of one thread. Zeroed it has nothing to look for. */
typedef struct tw__spin {
  tw__inflow *inflows;
  int64_t began;     /* the wait, tw_loop_now_ns */
  int promising;     /* the last wait for an inflow was short */
  int skip, penalty; /* waits in which not to look; those after the next one in vain */
  int looked, woken; /* in this wait: in vain; by an inflow */
} tw__spin;

void tw__spin_add(tw__spin *spin, tw__inflow *inflow);
void tw__spin_remove(tw__spin *spin, tw__inflow *inflow);

/* Before a wait of at most so many ns, below 0: without end. 1: something has come, and is
 * reported; 0: wait, and then call tw__spin_after. */
int tw__spin_before(tw__spin *spin, int64_t timeout_ns);

/* The wait is over; woken says whether an inflow has ended it. */
void tw__spin_after(tw__spin *spin);

#endif
