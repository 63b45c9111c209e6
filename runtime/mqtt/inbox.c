/* inbox.c -- messages that came, and their acknowledgements; see inbox.h. */
#include "mqtt/inbox.h"

#include <string.h>

#include "core/mem.h"

enum { FREE, GIVEN, THROUGH, RECORDED };
enum { FIRST_ROOM = 4096, KEEP_ROOM = 1 << 20 };

void tw__inbox_fini(struct tw__inbox *b) {
  tw__bytes_clear(&b->in);
  tw__bytes_clear(&b->given);
  tw__free(b->pending);
  tw__free(b->batch);
  tw__free(b->mids);
  tw__free(b->order);
  *b = (struct tw__inbox){0};
}

/* ---- bytes ---- */

/* Room for more bytes; the messages that point into them move along. */
static int reserve(struct tw__inbox *b, int64_t more) {
  struct tw__bytes *in = &b->in;
  if (in->len + more <= in->room) return TW_OK;
  int64_t room = in->room ? in->room * 2 : FIRST_ROOM;
  while (room < in->len + more) room *= 2;
  char *grown = tw__malloc((size_t)room);
  if (!grown) return TW_ENOMEM;
  if (in->len) memcpy(grown, in->at, (size_t)in->len);
  for (int64_t i = 0; i < b->pending_count; i++) {
    tw_mqtt_message *m = &b->pending[i];
    m->topic = grown + (m->topic - in->at);
    m->properties = grown + (m->properties - in->at);
    m->payload = grown + (m->payload - in->at);
  }
  tw__free(in->at);
  in->at = grown;
  in->room = room;
  return TW_OK;
}

int tw__inbox_add(struct tw__inbox *b, const char *bytes, int64_t len) {
  if (!b->pending_count && b->parsed) { /* nobody looks at what has been taken apart */
    b->in.len -= b->parsed;
    if (b->in.len) memmove(b->in.at, b->in.at + b->parsed, (size_t)b->in.len);
    b->parsed = 0;
  }
  if (b->in.failed || reserve(b, len)) return TW_ENOMEM;
  tw__bytes_add(&b->in, bytes, len);
  return TW_OK;
}

int tw__inbox_packet(struct tw__inbox *b, struct tw__packet *packet) {
  int head = 0;
  const char *at = b->in.at + b->parsed;
  const int64_t left = b->in.len - b->parsed;
  const int64_t size = left ? tw__packet_size(at, left, &head) : 0;
  if (size < 0) return TW_EPARSE;
  if (b->most && size > b->most) return TW_EINVAL;
  if (!size || size > left) return 0;
  packet->type = (unsigned char)at[0] >> 4;
  packet->flags = at[0] & 15;
  packet->body = at + head;
  packet->len = size - head;
  b->parsed += size;
  return 1;
}

/* ---- messages ---- */

static int push_order(struct tw__inbox *b, unsigned mid) {
  if (b->order_tail - b->order_head == b->order_room) {
    const uint32_t room = b->order_room ? b->order_room * 2 : 64;
    uint16_t *grown = tw__malloc(room * sizeof *grown);
    if (!grown) return TW_ENOMEM;
    const uint32_t n = b->order_tail - b->order_head;
    for (uint32_t i = 0; i < n; i++)
      grown[i] = b->order[(b->order_head + i) & (b->order_room - 1)];
    tw__free(b->order);
    b->order = grown;
    b->order_room = room;
    b->order_head = 0;
    b->order_tail = n;
  }
  b->order[b->order_tail++ & (b->order_room - 1)] = (uint16_t)mid;
  return TW_OK;
}

static int push_pending(struct tw__inbox *b, const tw_mqtt_message *m) {
  if (b->pending_count == b->pending_room) {
    const int64_t room = b->pending_room ? b->pending_room * 2 : 64;
    tw_mqtt_message *grown = tw__realloc(b->pending, (size_t)room * sizeof *grown);
    if (!grown) return TW_ENOMEM;
    b->pending = grown;
    b->pending_room = room;
  }
  b->pending[b->pending_count++] = *m;
  b->pending_bytes += m->topic_len + m->payload_len;
  return TW_OK;
}

/* What its mid says about a message of QoS 1 or 2. Returns 1: it is to be handed out; 0; or
 * TW_ENOMEM. */
static int enter(struct tw__inbox *b, unsigned mid, int qos, int dup) {
  if (!b->mids) b->mids = tw__calloc(TW__MIDS, sizeof *b->mids);
  if (!b->mids) return TW_ENOMEM;
  struct tw__mid *e = &b->mids[mid];
  const int again =
      e->qos == qos && (dup || qos == 2) && (e->state == GIVEN || e->state == THROUGH);
  if (!e->queued && push_order(b, mid)) return TW_ENOMEM;
  e->queued = 1;
  if (again) return 0;
  if (++b->serials == 0) b->serials = 1;
  *e = (struct tw__mid){
      .serial = b->serials, .state = GIVEN, .qos = (uint8_t)qos, .queued = 1};
  return 1;
}

int tw__inbox_publish(struct tw__inbox *b, const struct tw__packet *packet,
                      int version) {
  struct tw__reader r = {.at = (const uint8_t *)packet->body,
                         .end = (const uint8_t *)packet->body + packet->len};
  const int qos = packet->flags >> 1 & 3, dup = packet->flags >> 3;
  const struct tw__text topic = tw__read_text(&r);
  const unsigned mid = qos ? tw__read_u16(&r) : 0;
  struct tw__text properties = {.at = (const char *)r.at};
  if (version == TW__MQTT_5) properties = tw__read_properties(&r);
  if (r.bad || qos == 3 || (qos && !mid) || !topic.len) return TW_EPARSE;
  tw_mqtt_message m = {
      .topic = topic.at,
      .topic_len = topic.len,
      .properties = properties.at,
      .properties_len = properties.len,
      .payload = (const char *)r.at,
      .payload_len = (int64_t)(r.end - r.at),
      .qos = qos,
      .retained = packet->flags & 1,
      .duplicate = dup,
  };
  if (qos) {
    if (qos == 2 && b->mids && b->mids[mid].state == RECORDED) return (int)mid;
    const int rc = enter(b, mid, qos, dup);
    if (rc <= 0) return rc;
    m.number = (double)b->mids[mid].serial * TW__MIDS + mid;
  }
  return push_pending(b, &m);
}

void tw__inbox_pubrel(struct tw__inbox *b, unsigned mid) {
  if (b->mids && b->mids[mid].state == RECORDED) b->mids[mid].state = FREE;
}

int tw__inbox_give(struct tw__inbox *b) {
  b->batch_count = b->at = b->settled = 0;
  if (!b->pending_count) return 0;
  const struct tw__bytes in = b->in;
  b->in = b->given;
  b->in.len = 0;
  if (b->in.room > KEEP_ROOM) tw__bytes_clear(&b->in);
  b->given = in;
  tw_mqtt_message *batch = b->batch;
  const int64_t room = b->batch_room, parsed = b->parsed;
  b->batch = b->pending;
  b->batch_room = b->pending_room;
  b->batch_count = b->pending_count;
  b->pending = batch;
  b->pending_room = room;
  b->pending_count = b->pending_bytes = b->parsed = 0;
  /* half a packet; without memory for it the connection will be found broken */
  tw__bytes_add(&b->in, in.at + parsed, in.len - parsed);
  for (int64_t i = 0; i < b->batch_count; i++) b->kept += b->batch[i].qos > 0;
  b->at = -1;
  return (int)b->batch_count;
}

/* ---- acknowledgements ---- */

void tw__inbox_keep(struct tw__inbox *b, int i) {
  b->batch[i].kept = 1;
}

void tw__inbox_release(struct tw__inbox *b, double number) {
  const uint64_t n = (uint64_t)number;
  struct tw__mid *e = &b->mids[n % TW__MIDS];
  b->kept--;
  if (e->serial == n / TW__MIDS && e->state == GIVEN) e->state = THROUGH;
}

void tw__inbox_abandon(struct tw__inbox *b) {
  for (int64_t i = b->at < 0 ? 0 : b->at; i < b->batch_count; i++)
    b->kept -= b->batch[i].qos && !b->batch[i].kept;
  b->batch_count = b->at > 0 ? b->at : 0;
}

void tw__inbox_settle(struct tw__inbox *b, struct tw__bytes *out) {
  for (; b->settled < b->at; b->settled++) {
    const tw_mqtt_message *m = &b->batch[b->settled];
    if (m->qos && !m->kept) tw__inbox_release(b, m->number);
  }
  while (b->order_head != b->order_tail) {
    const unsigned mid = b->order[b->order_head & (b->order_room - 1)];
    struct tw__mid *e = &b->mids[mid];
    if (e->state != THROUGH) break;
    b->order_head++;
    e->queued = 0;
    tw__write_ack(out, e->qos == 1 ? TW__PUBACK : TW__PUBREC, mid);
    e->state = e->qos == 1 ? FREE : RECORDED;
  }
}

void tw__inbox_lost(struct tw__inbox *b) {
  b->in.len = b->parsed;
  b->in.failed = 0;
  while (b->order_head != b->order_tail)
    b->mids[b->order[b->order_head++ & (b->order_room - 1)]].queued = 0;
}

void tw__inbox_forget(struct tw__inbox *b) {
  if (!b->mids) return;
  for (int i = 0; i < TW__MIDS; i++) b->mids[i].state = FREE;
}
