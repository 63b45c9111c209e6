/* inbox.h -- what has come from the broker: messages to hand out, and whose turn it is to be
 * acknowledged. No I/O.
 *
 * Of a message of QoS 1 or 2 the broker keeps a copy under a number of its own, the mid, until
 * it has its acknowledgement:
 *
 *             PUBLISH           release             PUBREL
 *     FREE -----------> GIVEN ----------> THROUGH ---------> FREE    QoS 1: PUBACK, then FREE
 *                                            '--> RECORDED --^       QoS 2: PUBREC, then PUBCOMP
 *
 * Acknowledgements go out in the order in which the messages came on this connection, as the
 * protocol demands. When the connection breaks and the broker still has the session, it sends
 * again what it has no acknowledgement of. What the pipeline still holds of that is not handed
 * out twice: it is acknowledged on the new connection when it is through. (A PUBACK that
 * was sent may have been lost, and nobody can tell; so such a message comes twice.)
 */
#ifndef TIDEWAY_MQTT_INBOX_H
#define TIDEWAY_MQTT_INBOX_H

#include "mqtt/packet.h"

enum { TW__MIDS = 65536 };

struct tw__mid {
  uint32_t serial; /* of the message: a late release must not mean the next one */
  uint8_t state, qos;
  uint8_t queued; /* in `order`, on this connection */
};

struct tw__inbox {
  struct tw__bytes in;    /* packets that have come: taken apart up to `parsed` */
  struct tw__bytes given; /* those of the batch that is handed out */
  int64_t parsed;
  int64_t most;                     /* how large a packet may be; 0: any */
  tw_mqtt_message *pending, *batch; /* in `in`, in `given` */
  int64_t pending_count, pending_room, batch_count, batch_room;
  int64_t pending_bytes;
  int at;      /* the message of the batch that is on its way; -1: none yet */
  int settled; /* of the batch: those before it are known to be through, or kept */
  struct tw__mid *mids; /* TW__MIDS of them, once there is one */
  uint16_t *order;      /* a ring */
  uint32_t order_head, order_tail, order_room;
  uint32_t serials;
  int64_t kept; /* GIVEN and handed out: what the pipeline has not let go of */
};

void tw__inbox_fini(struct tw__inbox *inbox);

/* Bytes that came. TW_OK or TW_ENOMEM. */
int tw__inbox_add(struct tw__inbox *inbox, const char *bytes, int64_t len);

struct tw__packet {
  int type, flags;
  const char *body; /* a view, until the next tw__inbox_add */
  int64_t len;
};

/* The next complete packet. Returns 1, 0: more has to come; TW_EPARSE; TW_EINVAL: it is too
 * large. A PUBLISH has to go to
 * tw__inbox_publish, at once. */
int tw__inbox_packet(struct tw__inbox *inbox, struct tw__packet *packet);

/* A PUBLISH. Returns TW_OK, TW_EPARSE, TW_ENOMEM, or the mid > 0 of a message of QoS 2 that has
 * been taken before: its PUBREC has to be sent again. */
int tw__inbox_publish(struct tw__inbox *inbox, const struct tw__packet *packet,
                      int version);

/* A PUBREL. */
void tw__inbox_pubrel(struct tw__inbox *inbox, unsigned mid);

/* Hand out all that is pending: the batch before is over. Returns how many are in `batch`. */
int tw__inbox_give(struct tw__inbox *inbox);

/* Message i of the batch will be released by tw__inbox_release(number) instead of when the
 * next one begins. */
void tw__inbox_keep(struct tw__inbox *inbox, int i);
void tw__inbox_release(struct tw__inbox *inbox, double number);

/* The rest of the batch will not be delivered, nor acknowledged. */
void tw__inbox_abandon(struct tw__inbox *inbox);

/* The messages of the batch before number `at` are through, but for those that are kept. Writes the
 * acknowledgements whose turn it is. */
void tw__inbox_settle(struct tw__inbox *inbox, struct tw__bytes *out);

/* The connection has gone: half a packet is worth nothing. */
void tw__inbox_lost(struct tw__inbox *inbox);

/* The broker does not know the session: nothing of it can be acknowledged any more. */
void tw__inbox_forget(struct tw__inbox *inbox);

#endif
