/* packet.c -- the packets of MQTT, read and written. */
#include "mqtt/packet.h"

#include <string.h>

#include "core/mem.h"

/* ---- bytes ---- */

/* ---- reading ---- */

static int has(struct tw__reader *r, int64_t n) {
  if (!r->bad && r->end - r->at >= n) return 1;
  r->bad = 1;
  return 0;
}

unsigned tw__read_u8(struct tw__reader *r) {
  return has(r, 1) ? *r->at++ : 0;
}

unsigned tw__read_u16(struct tw__reader *r) {
  if (!has(r, 2)) return 0;
  r->at += 2;
  return (unsigned)r->at[-2] << 8 | r->at[-1];
}

uint32_t tw__read_u32(struct tw__reader *r) {
  const uint32_t high = tw__read_u16(r);
  return high << 16 | tw__read_u16(r);
}

uint32_t tw__read_varint(struct tw__reader *r) {
  uint32_t number = 0;
  for (int shift = 0; shift < 28; shift += 7) {
    const unsigned byte = tw__read_u8(r);
    number |= (byte & 127) << shift;
    if (byte < 128) return number;
  }
  r->bad = 1;
  return 0;
}

static struct tw__text take(struct tw__reader *r, int64_t len) {
  if (!has(r, len)) return (struct tw__text){0};
  r->at += len;
  return (struct tw__text){.at = (const char *)r->at - len, .len = len};
}

struct tw__text tw__read_text(struct tw__reader *r) {
  return take(r, tw__read_u16(r));
}

struct tw__text tw__read_properties(struct tw__reader *r) {
  return take(r, tw__read_varint(r));
}

int tw__read_property(struct tw__reader *r, struct tw__property *p) {
  *p = (struct tw__property){0};
  if (r->bad || r->at >= r->end) return 0;
  p->id = tw__read_u8(r);
  switch (p->id) {
  case 1:
  case 23:
  case 25:
  case TW__PROP_MAX_QOS:
  case TW__PROP_RETAIN:
  case 40:
  case 41:
  case 42: p->number = tw__read_u8(r); break;
  case TW__PROP_KEEPALIVE:
  case TW__PROP_RECEIVE_MAX:
  case 34:
  case 35: p->number = tw__read_u16(r); break;
  case 2:
  case TW__PROP_SESSION_EXPIRY:
  case 24:
  case TW__PROP_MAX_PACKET: p->number = tw__read_u32(r); break;
  case 11: p->number = tw__read_varint(r); break;
  case TW__PROP_CONTENT_TYPE:
  case TW__PROP_RESPONSE_TOPIC:
  case TW__PROP_CORRELATION:
  case 18:
  case 21:
  case 22:
  case 26:
  case 28:
  case TW__PROP_REASON: p->text = tw__read_text(r); break;
  case TW__PROP_USER:
    p->text = tw__read_text(r);
    p->value = tw__read_text(r);
    break;
  default: r->bad = 1;
  }
  return !r->bad;
}

int64_t tw__packet_size(const char *bytes, int64_t len, int *head) {
  int64_t size = 0;
  for (int i = 1; i <= 4; i++) {
    if (i >= len) return 0;
    const unsigned byte = (unsigned char)bytes[i];
    size |= (int64_t)(byte & 127) << 7 * (i - 1);
    if (byte < 128) {
      *head = i + 1;
      return size + i + 1;
    }
  }
  return TW_EPARSE;
}

int tw__packet_is_text(const char *text, int64_t len) {
  const unsigned char *at = (const unsigned char *)text, *end = at + len;
  while (at < end) {
    const unsigned c = *at++;
    if (c == 0) return 0;
    if (c < 0x80) continue;
    const int more = c >= 0xf0 && c < 0xf5   ? 3
                     : c >= 0xe0 && c < 0xf0 ? 2
                                             : c >= 0xc2 && c < 0xe0;
    if (!more || end - at < more) return 0;
    uint32_t point = c & (0x3fu >> more);
    for (int i = 0; i < more; i++) {
      if ((at[i] & 0xc0) != 0x80) return 0;
      point = point << 6 | (at[i] & 0x3fu);
    }
    at += more;
    const uint32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      return 0;
  }
  return 1;
}

static const struct reason {
  unsigned code;
  const char *text;
} reasons[] = {
    {0x80, "unspecified error"},
    {0x81, "malformed packet"},
    {0x82, "protocol error"},
    {0x83, "the broker does not want it"},
    {0x84, "the broker does not speak this version of the protocol"},
    {0x85, "the client_id is not valid"},
    {0x86, "bad user name or password"},
    {0x87, "not authorized"},
    {0x88, "the server is unavailable"},
    {0x89, "the server is busy"},
    {0x8a, "banned"},
    {0x8b, "the server is shutting down"},
    {0x8c, "bad authentication method"},
    {0x8d, "keep alive timeout"},
    {0x8e, "another client has taken over this client_id"},
    {0x8f, "the topic filter is not valid"},
    {0x90, "the topic is not valid"},
    {0x91, "the packet identifier is in use"},
    {0x92, "the packet identifier is not known"},
    {0x93, "more messages at a time than the broker takes"},
    {0x94, "the topic alias is not valid"},
    {0x95, "the packet is too large"},
    {0x96, "the message rate is too high"},
    {0x97, "quota exceeded"},
    {0x98, "ended by an administrator"},
    {0x99, "the payload is not what it is said to be"},
    {0x9a, "retained messages are not supported"},
    {0x9b, "this QoS is not supported"},
    {0x9c, "use another server"},
    {0x9d, "the server has moved"},
    {0x9e, "shared subscriptions are not supported"},
    {0x9f, "too many connections"},
    {0xa0, "the connection has had its time"},
    {0xa1, "subscription identifiers are not supported"},
    {0xa2, "wildcards are not supported"},
};

const char *tw__packet_reason(int version, int connack, unsigned code) {
  static const unsigned old[] = {0, 0x84, 0x85, 0x88, 0x86, 0x87};
  if (connack && code < sizeof old / sizeof *old) code = old[code];
  if (version < TW__MQTT_5 && !connack) return "refused";
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].code == code) return reasons[i].text;
  return "a reason that is not known";
}

/* ---- writing ---- */

static void put_u8(struct tw__bytes *out, unsigned x) {
  const uint8_t byte = (uint8_t)x;
  tw__bytes_add(out, &byte, 1);
}

static void put_u16(struct tw__bytes *out, unsigned x) {
  const uint8_t bytes[] = {(uint8_t)(x >> 8), (uint8_t)x};
  tw__bytes_add(out, bytes, 2);
}

static void put_u32(struct tw__bytes *out, uint32_t x) {
  put_u16(out, x >> 16);
  put_u16(out, x & 0xffff);
}

static void put_varint(struct tw__bytes *out, int64_t x) {
  do {
    put_u8(out, (unsigned)(x & 127) | (x > 127 ? 128 : 0));
    x >>= 7;
  } while (x > 0);
}

static void put_text(struct tw__bytes *out, const char *text, int64_t len) {
  put_u16(out, (unsigned)len);
  tw__bytes_add(out, text, len);
}

static int varint_size(int64_t x) {
  return x < 128 ? 1 : x < 16384 ? 2 : x < 2097152 ? 3 : 4;
}

static void put_head(struct tw__bytes *out, int type, int flags, int64_t len) {
  put_u8(out, (unsigned)(type << 4 | flags));
  put_varint(out, len);
}

static int64_t text_size(const char *text) {
  return text ? 2 + (int64_t)strlen(text) : 0;
}

void tw__write_connect(struct tw__bytes *out, const struct tw__connect *c) {
  const int five = c->version == TW__MQTT_5;
  const int properties =
      (c->session_expiry ? 5 : 0) + (c->receive_max ? 3 : 0) + (c->max_packet ? 5 : 0);
  put_head(out, TW__CONNECT, 0,
           10 + (five ? 1 + properties : 0) + text_size(c->client_id) +
               text_size(c->username) + (c->password ? 2 + c->password_len : 0));
  put_text(out, "MQTT", 4);
  put_u8(out, (unsigned)c->version);
  put_u8(out,
         (c->clean ? 2u : 0u) | (c->username ? 128u : 0u) | (c->password ? 64u : 0u));
  put_u16(out, (unsigned)c->keepalive);
  if (five) {
    put_varint(out, properties);
    if (c->session_expiry) {
      put_u8(out, TW__PROP_SESSION_EXPIRY);
      put_u32(out, c->session_expiry);
    }
    if (c->receive_max) {
      put_u8(out, TW__PROP_RECEIVE_MAX);
      put_u16(out, (unsigned)c->receive_max);
    }
    if (c->max_packet) {
      put_u8(out, TW__PROP_MAX_PACKET);
      put_u32(out, c->max_packet);
    }
  }
  put_text(out, c->client_id, (int64_t)strlen(c->client_id));
  if (c->username) put_text(out, c->username, (int64_t)strlen(c->username));
  if (c->password) put_text(out, c->password, c->password_len);
}

int64_t tw__publish_size(int version, const struct tw__publish *p) {
  return 2 + p->topic.len + (p->qos ? 2 : 0) + p->payload.len +
         (version == TW__MQTT_5 ? varint_size(p->properties.len) + p->properties.len
                                : 0);
}

void tw__write_publish(struct tw__bytes *out, int version,
                       const struct tw__publish *p) {
  put_head(out, TW__PUBLISH, (p->dup ? 8 : 0) | p->qos << 1 | (p->retain ? 1 : 0),
           tw__publish_size(version, p));
  put_text(out, p->topic.at, p->topic.len);
  if (p->qos) put_u16(out, p->mid);
  if (version == TW__MQTT_5) {
    put_varint(out, p->properties.len);
    tw__bytes_add(out, p->properties.at, p->properties.len);
  }
  tw__bytes_add(out, p->payload.at, p->payload.len);
}

void tw__write_ack(struct tw__bytes *out, int type, unsigned mid) {
  put_head(out, type, type == TW__PUBREL ? 2 : 0, 2);
  put_u16(out, mid);
}

void tw__write_subscribe(struct tw__bytes *out, int version, unsigned mid,
                         const char *filters, int64_t len, int qos, int handling) {
  int64_t size = 2 + (version == TW__MQTT_5);
  const char *end = filters + len;
  for (const char *at = filters; at < end; at += strlen(at) + 1)
    size += 3 + (int64_t)strlen(at);
  put_head(out, TW__SUBSCRIBE, 2, size);
  put_u16(out, mid);
  if (version == TW__MQTT_5) put_varint(out, 0);
  for (const char *at = filters; at < end; at += strlen(at) + 1) {
    put_text(out, at, (int64_t)strlen(at));
    put_u8(out, (unsigned)(qos | (version == TW__MQTT_5 ? handling << 4 : 0)));
  }
}

void tw__write_ping(struct tw__bytes *out) {
  put_head(out, TW__PINGREQ, 0, 0);
}

void tw__write_disconnect(struct tw__bytes *out, int version, int forget) {
  if (version < TW__MQTT_5 || !forget) {
    put_head(out, TW__DISCONNECT, 0, 0);
    return;
  }
  put_head(out, TW__DISCONNECT, 0, 7);
  put_u8(out, 0);
  put_varint(out, 5);
  put_u8(out, TW__PROP_SESSION_EXPIRY);
  put_u32(out, 0);
}
