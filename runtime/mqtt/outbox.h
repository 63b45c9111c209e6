/* outbox.h -- messages to the broker, until it has them. No I/O.
 *
 *     WAITING -> SENT ------> RELEASED -> arrived      QoS 2: PUBLISH, PUBREC, PUBREL, PUBCOMP
 *                  '---------------------> arrived      QoS 1: PUBACK; QoS 0: the system has it
 *
 * What has not arrived when the connection breaks is sent again on the next one, in order. A
 * message of QoS 2 comes once while the broker keeps the session, else perhaps twice.
 */
#ifndef TIDEWAY_MQTT_OUTBOX_H
#define TIDEWAY_MQTT_OUTBOX_H

#include "mqtt/packet.h"

enum { TW__REPORTS = 256 };

struct tw__item {
  struct tw__item *prev, *next;
  uint64_t id;
  int64_t end; /* of QoS 0, SENT: what the wire has taken when it is among that */
  struct tw__publish publish; /* its texts are behind this */
  uint8_t state;
  char bytes[];
};

struct tw__outbox {
  struct tw__item *first, *last;
  struct tw__item *next;    /* the oldest that is to be sent on this connection */
  int64_t pending, bytes;   /* of all items */
  int64_t window;           /* items, at most */
  int64_t flying;           /* of QoS 1 and 2, sent on this connection */
  struct tw__item **by_mid; /* 1 .. window */
  uint16_t *spare;          /* mids that are free */
  int64_t spares;
  tw_mqtt_report *reports; /* to be handed out, from report_first on */
  int64_t report_first, report_count, report_room;
  tw_mqtt_report taken[TW__REPORTS];
};

/* window  1 .. 65535. TW_OK or TW_ENOMEM. */
int tw__outbox_init(struct tw__outbox *outbox, int64_t window);
void tw__outbox_fini(struct tw__outbox *outbox);

/* A message, copied. Returns TW_OK; TW_AGAIN: the window is full; TW_ENOMEM. id > 0: it is
 * reported when it has arrived; 0: only when it has not. */
int tw__outbox_put(struct tw__outbox *outbox, const struct tw__publish *publish,
                   uint64_t id);

/* The next one that may be sent, written at the end of out. peer: how many of QoS 1 and 2 the
 * broker takes at a time. Returns the item, or NULL: there is none. */
struct tw__item *tw__outbox_next(struct tw__outbox *outbox, int version, int64_t peer,
                                 struct tw__bytes *out);

/* PUBACK, PUBREC, PUBCOMP; code: from 128 it was refused. out takes the answer. */
void tw__outbox_acked(struct tw__outbox *outbox, int type, unsigned mid, unsigned code,
                      struct tw__bytes *out);

/* The wire has taken so many bytes: messages of QoS 0 have gone. */
void tw__outbox_written(struct tw__outbox *outbox, int64_t position);

/* Nothing of it will be sent: each is reported with the error -1. */
void tw__outbox_drop(struct tw__outbox *outbox);

/* The connection has gone. */
void tw__outbox_lost(struct tw__outbox *outbox);

/* The broker does not know the session: all is sent as if for the first time. */
void tw__outbox_forget(struct tw__outbox *outbox);

/* Hand out reports, some at a time: how many are in `taken`. */
int tw__outbox_reports(struct tw__outbox *outbox);

#endif
