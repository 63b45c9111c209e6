/* neighbour.h -- descriptors that take the numbers of those that were just closed, for the C specs of
 * what closes its own: closing the rest of it later must not take theirs out of the poll set.
 *
 *     neighbours_move_in(loop);
 *     tw_sender_close(s);
 *     CHECK(neighbours_are_heard(loop));
 */
#ifndef TIDEWAY_SPEC_NEIGHBOUR_H
#define TIDEWAY_SPEC_NEIGHBOUR_H

#include "check.h"
#include "loop/wake.h"

enum { NEIGHBOURS = 8 }; /* the free numbers below the one in question are fewer */

typedef struct neighbour {
  tw__handle handle; /* first */
  tw__wake wake;
} neighbour;

static neighbour neighbours[NEIGHBOURS];

static void neighbour_leaves(tw__handle *handle) {
  tw__loop_detach(handle);
  tw__wake_close(&((neighbour *)handle)->wake, NULL);
}

static void neighbours_move_in(tw_loop *loop) {
  uint32_t ready[64];
  for (int i = 0; i < NEIGHBOURS; i++) {
    neighbour *n = &neighbours[i];
    memset(n, 0, sizeof *n);
    tw__wake_init(&n->wake);
    CHECK(tw__wake_open(&n->wake, loop, &n->handle) == TW_OK);
    tw__loop_attach(loop, &n->handle, neighbour_leaves);
  }
  tw_loop_poll(loop, 0, ready, 64);
}

/* Whether each is reported when it is woken; they leave then. */
static int neighbours_are_heard(tw_loop *loop) {
  uint32_t ready[64];
  int heard = 0;
  tw_loop_poll(loop, 0, ready, 64);
  for (int i = 0; i < NEIGHBOURS; i++) tw__wake_send(&neighbours[i].wake);
  for (int n; (n = tw_loop_poll(loop, 0, ready, 64)) > 0;)
    for (int k = 0; k < n; k++)
      for (int i = 0; i < NEIGHBOURS; i++) heard += ready[k] == neighbours[i].handle.id;
  for (int i = 0; i < NEIGHBOURS; i++) {
    neighbour_leaves(&neighbours[i].handle);
    tw_loop_poll(loop, 0, ready, 64);
    tw__wake_fini(&neighbours[i].wake);
  }
  return heard == NEIGHBOURS;
}

#endif
