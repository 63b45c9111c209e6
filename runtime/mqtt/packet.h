/* packet.h -- the packets of MQTT 3.1.1 and 5, between bytes and what they say. No I/O.
 *
 *     | type, flags | length: 1 .. 4 bytes | body ... |
 *
 * Version 5 has properties in most bodies: a length, then for each an id and a value whose
 * type the id says. OASIS, "MQTT Version 5.0", 2019; "MQTT Version 3.1.1", 2014.
 */
#ifndef TIDEWAY_MQTT_PACKET_H
#define TIDEWAY_MQTT_PACKET_H

#include <stdint.h>

#include "core/bytes.h"
#include "tideway.h"

enum { TW__MQTT_3 = 4, TW__MQTT_5 = 5 }; /* the level in CONNECT */

enum tw__packet_type {
  TW__CONNECT = 1,
  TW__CONNACK = 2,
  TW__PUBLISH = 3,
  TW__PUBACK = 4,
  TW__PUBREC = 5,
  TW__PUBREL = 6,
  TW__PUBCOMP = 7,
  TW__SUBSCRIBE = 8,
  TW__SUBACK = 9,
  TW__PINGREQ = 12,
  TW__PINGRESP = 13,
  TW__DISCONNECT = 14
};

/* Properties that we look at or send. */
enum {
  TW__PROP_CONTENT_TYPE = 3,
  TW__PROP_RESPONSE_TOPIC = 8,
  TW__PROP_CORRELATION = 9,
  TW__PROP_SESSION_EXPIRY = 17,
  TW__PROP_KEEPALIVE = 19,
  TW__PROP_REASON = 31,
  TW__PROP_RECEIVE_MAX = 33,
  TW__PROP_MAX_QOS = 36,
  TW__PROP_RETAIN = 37,
  TW__PROP_USER = 38,
  TW__PROP_MAX_PACKET = 39
};

enum { TW__PACKET_MAX = 268435455 }; /* of a body */

/* ---- reading: past the end `bad` is set, and what is read is 0 ---- */

struct tw__reader {
  const uint8_t *at, *end;
  int bad;
};

struct tw__text {
  const char *at;
  int64_t len;
};

unsigned tw__read_u8(struct tw__reader *reader);
unsigned tw__read_u16(struct tw__reader *reader);
uint32_t tw__read_u32(struct tw__reader *reader);
uint32_t tw__read_varint(struct tw__reader *reader);
struct tw__text tw__read_text(struct tw__reader *reader);
/* The properties in front of what comes next: their bytes, without their length. */
struct tw__text tw__read_properties(struct tw__reader *reader);

struct tw__property {
  unsigned id;
  uint32_t number;             /* of those that are numbers */
  struct tw__text text, value; /* of texts; value: the second one of a user property */
};

/* The next property. Returns 1, 0 at the end; when one is malformed `bad` is set. */
int tw__read_property(struct tw__reader *reader, struct tw__property *property);

/* The packet that bytes begin with. Returns its whole size, *head bytes of which are not body,
 * also when it has not come completely; 0: more has to come to tell; TW_EPARSE: no packet begins
 * like this. */
int64_t tw__packet_size(const char *bytes, int64_t len, int *head);

/* Is this text as MQTT takes it: UTF-8 without U+0000? */
int tw__packet_is_text(const char *text, int64_t len);

/* What a reason code of this version's CONNACK (of any other packet: version 5) means. */
const char *tw__packet_reason(int version, int connack, unsigned code);

/* ---- writing, at the end of out ---- */

struct tw__connect {
  int version, clean, keepalive;
  uint32_t session_expiry; /* seconds; version 5 */
  int receive_max;
  uint32_t max_packet;
  const char *client_id, *username, *password; /* the last two may be NULL */
  int64_t password_len;
};

struct tw__publish {
  int qos, retain, dup;
  unsigned mid; /* of qos 1 and 2 */
  struct tw__text topic, properties, payload;
};

void tw__write_connect(struct tw__bytes *out, const struct tw__connect *connect);
void tw__write_publish(struct tw__bytes *out, int version,
                       const struct tw__publish *publish);
/* PUBACK, PUBREC, PUBREL or PUBCOMP that says: fine. */
void tw__write_ack(struct tw__bytes *out, int type, unsigned mid);
/* filters: each ended by 0, len bytes. handling: which retained messages are wanted (0: all,
 * 1: those of subscriptions that are new); version 5. */
void tw__write_subscribe(struct tw__bytes *out, int version, unsigned mid,
                         const char *filters, int64_t len, int qos, int handling);
void tw__write_ping(struct tw__bytes *out);
/* forget: the session need not be kept; version 5. */
void tw__write_disconnect(struct tw__bytes *out, int version, int forget);

/* How long the body of a PUBLISH is. */
int64_t tw__publish_size(int version, const struct tw__publish *publish);

#endif
