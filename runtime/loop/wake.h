/* wake.h -- has a handle of a loop reported from another thread.
 *
 * Zeroed and with its lock made, a wake may be sent at any time: where it is not open, nothing
 * happens. Who sends for each event that nobody waits for pays a call of the system for
 * nothing: let the receiver say that it has found nothing (tw__ring, tw_mailbox).
 */
#ifndef TIDEWAY_LOOP_WAKE_H
#define TIDEWAY_LOOP_WAKE_H

#include <pthread.h>

#include "loop/loop.h"

typedef struct tw__wake {
  tw__handle *handle;   /* is reported */
  tw__spin *spin;       /* set before it is opened, where there is one to be told */
  uv_poll_t poll;       /* of `reads`; keeps the loop waiting while it is open */
  int reads, writes;    /* an eventfd, twice, or the ends of a pipe */
  pthread_mutex_t lock; /* of open: held by who writes */
  int open;
} tw__wake;

/* Make a zeroed one's lock, and free it, when nobody can send any more. */
void tw__wake_init(tw__wake *wake);
void tw__wake_fini(tw__wake *wake);

/* Have `handle` reported by the loop for each send; several may be one report.
 * TW_OK, or TW_EIO: no descriptors. Thread: the loop's. */
int tw__wake_open(tw__wake *wake, tw_loop *loop, tw__handle *handle);

/* Nothing is reported any more. closed: called by the loop with `poll` when the memory may go;
 * may be NULL. Thread: the loop's. */
void tw__wake_close(tw__wake *wake, uv_close_cb closed);

/* Have the handle reported. Thread: any. */
void tw__wake_send(tw__wake *wake);

#endif
