/* loop.h -- what native handles (files, timers, sockets ...) need of the loop.
 *
 * A handle is the first member of the object that it stands for. libuv's callbacks do
 * the native work and at most say tw__loop_ready; Lua learns of it from tw_loop_poll
 * and asks the object by its own functions. One report may stand for several events,
 * and one may be stale: whoever waits asks again.
 */
#ifndef TIDEWAY_LOOP_LOOP_H
#define TIDEWAY_LOOP_LOOP_H

#include <uv.h>

#include "loop/spin.h"
#include "tideway.h"

/* Exported: the libraries beside the core use it, too. */
#pragma GCC visibility push(default)

typedef struct tw__handle tw__handle;
struct tw__handle {
  tw_loop *loop;
  tw__handle *prev, *next; /* all handles of the loop */
  tw__handle *next_ready;  /* the queue of ready ones */
  /* Closes the object, when the loop is closed first. */
  void (*close)(tw__handle *handle);
  uint32_t id; /* from 1; what Lua knows it by */
  int ready;   /* is in the queue */
};

/* Puts a zeroed handle on the loop and gives it an id. Thread: the loop's. */
void tw__loop_attach(tw_loop *loop, tw__handle *handle,
                     void (*close)(tw__handle *handle));

/* Takes it off; it will not be reported any more. Twice is fine. */
void tw__loop_detach(tw__handle *handle);

/* Queues the handle for the next report, once. */
void tw__loop_ready(tw__handle *handle);

uv_loop_t *tw__loop_uv(tw_loop *loop);

/* What its waits look out for. */
tw__spin *tw__loop_spin(tw_loop *loop);

/* The host runs the loop and is in one of its callbacks (inside: 1), or is not any more: until
 * then tw_loop_poll only reports. */
void tw__loop_inside(tw_loop *loop, int inside);

#pragma GCC visibility pop

#endif
