/* wire.h -- a TCP connection on the loop, plain or TLS: bytes out in batches, bytes in as long
 * as they are wanted.
 *
 *     resolve -> connect to each address in turn -> TLS -> up -> ... -> down
 *
 * What is sent goes out when the loop turns, or when there is much of it. The owner is told by
 * its functions, never inside a call of its own.
 */
#ifndef TIDEWAY_MQTT_WIRE_H
#define TIDEWAY_MQTT_WIRE_H

#include <uv.h>

#include "tideway.h"

struct tw__wire_events {
  void (*up)(void *ctx);
  void (*bytes)(void *ctx, const char *bytes, int64_t len);
  void (*turn)(void *ctx);    /* the loop turns: what is sent now goes out with it */
  void (*written)(void *ctx); /* the system has taken more */
  /* why: NULL when the other side has closed. Nothing else comes after it. */
  void (*down)(void *ctx, const char *why);
};

typedef struct tw__wire tw__wire;

/* Connect. host, tls (NULL: plain): borrowed until it is closed; events: for good.
 * Returns a new one, NULL: no memory, or a host that cannot be one. */
tw__wire *tw__wire_open(uv_loop_t *loop, const char *host, int port,
                        const tw_mqtt_tls *tls, const struct tw__wire_events *events,
                        void *ctx);

/* At once; what has not been written is lost. NULL is fine. No event comes any more. */
void tw__wire_close(tw__wire *wire);

/* Take bytes to be sent. Returns TW_OK or TW_ENOMEM. */
int tw__wire_send(tw__wire *wire, const char *bytes, int64_t len);

/* Nothing more will be sent: the other side will see the end. */
void tw__wire_finish(tw__wire *wire);

/* How many bytes were taken to be sent, and how many of them the system has. */
int64_t tw__wire_taken(const tw__wire *wire);
int64_t tw__wire_written(const tw__wire *wire);

/* Have `turn` called at each turn of the loop while on. */
void tw__wire_watch(tw__wire *wire, int on);

/* Do not read (1), or do (0). */
void tw__wire_hold(tw__wire *wire, int on);
int tw__wire_held(const tw__wire *wire);

#endif
