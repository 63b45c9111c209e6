/* client.c -- a client of an MQTT broker: its connection, session and keep-alive.
 *
 *     DOWN --connect--> CONNECTING --CONNACK--> (subscribing) --SUBACK--> UP
 *      ^ '------------------'-- broken, refused -----'--------------------'
 *
 * Who acknowledges what is in inbox.c and outbox.c, bytes are in wire.c; here they are put
 * together. One timer serves the limit of connecting, the pings and the goodbye.
 *
 * The session is the broker's memory of the subscriptions and of what is not acknowledged. One
 * that begins anew (`clean`) is still resumed when the connection breaks: version 5 says
 * at the end that it need not be kept. Version 3.1.1 has no such thing: there a clean session
 * ends with its connection.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "loop/loop.h"
#include "mqtt/inbox.h"
#include "mqtt/outbox.h"
#include "mqtt/tls.h"
#include "mqtt/wire.h"

enum {
  HELD_BYTES = 256 << 10, /* that wait to be handed out: then nothing is read */
  HELD_MESSAGES = 16 << 10,
  GOODBYE_MS = 10000, /* closing with something unread takes acknowledgements along */
  SILENCE = 3,        /* pings without an answer, one each half of a keep-alive */
  CLEAN_EXPIRY_S = 600,
  MID_SUBSCRIBE = 1, /* subscriptions are all in one packet, and there is no other */
  PACKET_EXTRA = 1 << 17 /* what a packet is longer than its message, at most */
};

struct tw_mqtt {
  tw__handle handle; /* first */
  tw_mqtt_options options;
  char *host, *client_id, *username, *password, *filters;
  tw__wire *wire;
  uv_timer_t timer;
  int version;
  int state;
  int connack;    /* has come */
  int subscribed; /* the session has our subscriptions */
  int begun;      /* there has been a session */
  int out;        /* a batch is on its way */
  int stopped, closing;
  int heard, spoke;          /* since the last tick */
  int unheard;               /* pings */
  int keepalive_s;           /* the broker may have another idea of it */
  int64_t peer, peer_packet; /* what the broker takes: messages at a time, bytes */
  struct tw__inbox inbox;
  struct tw__outbox outbox;
  struct tw__bytes bytes; /* to be sent */
  char error[256];
};

static void start(tw_mqtt *m);

int tw_mqtt_abi(void) {
  return TW_ABI;
}

/* ---- up and down ---- */

static void down(tw_mqtt *m, int state, const char *why) {
  tw__wire_close(m->wire);
  m->wire = NULL;
  uv_timer_stop(&m->timer);
  m->connack = 0;
  m->bytes.len = m->bytes.failed = 0;
  tw__inbox_lost(&m->inbox);
  tw__outbox_lost(&m->outbox);
  m->state = m->state == TW_MQTT_CLOSING ? TW_MQTT_CLOSED : state;
  if (why != m->error) snprintf(m->error, sizeof m->error, "%s", why);
  tw__loop_ready(&m->handle);
}

static void on_down(void *ctx, const char *why) {
  tw_mqtt *m = ctx;
  if (!why)
    why = m->connack ? "the broker has closed the connection"
                     : "the broker has closed the connection before it answered";
  down(m, TW_MQTT_DOWN, why);
}

/* Reasons for which it may go better later. */
static int passes(unsigned code) {
  switch (code) {
  case 0x80:
  case 0x83:
  case 0x88:
  case 0x89:
  case 0x8b:
  case 0x8d:
  case 0x93:
  case 0x96:
  case 0x97:
  case 0x98:
  case 0x9f:
  case 0xa0: return 1;
  default: return 0;
  }
}

/* The broker says no: with a code, and sometimes in words. */
static void refused(tw_mqtt *m, int connack, unsigned code, struct tw__text words) {
  const int later = m->version == TW__MQTT_5 || !connack ? passes(code) : code == 3;
  snprintf(m->error, sizeof m->error, "%s%s%.*s%s",
           tw__packet_reason(m->version, connack, code), words.len ? " (" : "",
           (int)(words.len < 100 ? words.len : 100), words.len ? words.at : "",
           words.len ? ")" : "");
  down(m, later ? TW_MQTT_DOWN : TW_MQTT_REFUSED, m->error);
}

static void malformed(tw_mqtt *m) {
  down(m, TW_MQTT_DOWN, "the broker has sent what is not MQTT");
}

/* ---- sending ---- */

static void send_bytes(tw_mqtt *m) {
  if (!m->wire || !m->bytes.len) return;
  m->spoke = 1;
  if (m->bytes.failed || tw__wire_send(m->wire, m->bytes.at, m->bytes.len))
    down(m, TW_MQTT_DOWN, "no memory");
  m->bytes.len = 0;
}

/* Send what is waiting, as much as the broker takes. */
static void pump(tw_mqtt *m) {
  struct tw__item *item;
  if (m->state != TW_MQTT_UP) return;
  while ((item = tw__outbox_next(&m->outbox, m->version, m->peer, &m->bytes))) {
    send_bytes(m);
    if (!m->wire) return;
    item->end = tw__wire_taken(m->wire);
  }
  send_bytes(m);
}

static void acknowledge(tw_mqtt *m) {
  if (!m->wire || !m->connack) return;
  tw__inbox_settle(&m->inbox, &m->bytes);
  send_bytes(m);
}

static void on_turn(void *ctx) {
  acknowledge(ctx);
}

static void on_written(void *ctx) {
  tw_mqtt *m = ctx;
  const int64_t before = m->outbox.pending;
  tw__outbox_written(&m->outbox, tw__wire_written(m->wire));
  if (m->outbox.pending < before) tw__loop_ready(&m->handle);
}

/* ---- time ---- */

static void tick(uv_timer_t *timer) {
  tw_mqtt *m = timer->data;
  if (m->state != TW_MQTT_UP) {
    down(m, TW_MQTT_DOWN, "the broker does not answer");
    return;
  }
  /* what nobody has read yet may be its answer */
  if (m->heard || tw__wire_held(m->wire)) m->unheard = 0;
  if (m->unheard >= SILENCE) {
    down(m, TW_MQTT_DOWN, "the broker does not answer any more");
    return;
  }
  if (!m->spoke || !m->heard) {
    tw__write_ping(&m->bytes);
    m->unheard++;
    send_bytes(m);
  }
  m->heard = m->spoke = 0;
}

static void come_up(tw_mqtt *m) {
  const uint64_t half = (uint64_t)m->keepalive_s * 500;
  m->state = TW_MQTT_UP;
  m->error[0] = '\0';
  m->heard = m->spoke = m->unheard = 0;
  uv_timer_stop(&m->timer);
  if (half) uv_timer_start(&m->timer, tick, half, half);
  tw__loop_ready(&m->handle);
  pump(m);
}

/* ---- packets ---- */

static void send_connect(void *ctx) {
  tw_mqtt *m = ctx;
  const tw_mqtt_options *o = &m->options;
  const int five = m->version == TW__MQTT_5;
  tw__write_connect(
      &m->bytes,
      &(struct tw__connect){
          .version = m->version,
          .clean = o->clean && !(five && m->begun),
          .keepalive = o->keepalive_s,
          .session_expiry = five ? (o->clean ? CLEAN_EXPIRY_S : o->expiry_s) : 0,
          .receive_max = o->in_flight,
          .max_packet = o->max_message ? (uint32_t)(o->max_message + PACKET_EXTRA) : 0,
          .client_id = m->client_id,
          .username = m->username,
          .password = m->password,
          .password_len = o->password_len,
      });
  send_bytes(m);
}

static void subscribe(tw_mqtt *m, int present) {
  tw__write_subscribe(&m->bytes, m->version, MID_SUBSCRIBE, m->filters,
                      m->options.filters_len, m->options.qos, present);
  send_bytes(m);
}

/* What the broker says of itself. Returns 0 when that is enough for us. */
static int limits(tw_mqtt *m, struct tw__reader *r, struct tw__text *words) {
  struct tw__text list = tw__read_properties(r);
  struct tw__reader in = {.at = (const uint8_t *)list.at,
                          .end = (const uint8_t *)list.at + list.len};
  struct tw__property p;
  while (tw__read_property(&in, &p)) {
    if (p.id == TW__PROP_RECEIVE_MAX && p.number) m->peer = p.number;
    if (p.id == TW__PROP_MAX_PACKET) m->peer_packet = p.number;
    if (p.id == TW__PROP_KEEPALIVE) m->keepalive_s = (int)p.number;
    if (p.id == TW__PROP_REASON) *words = p.text;
    if (p.id == TW__PROP_MAX_QOS && !m->options.filters_len &&
        (int)p.number < m->options.qos) {
      snprintf(m->error, sizeof m->error, "the broker takes messages of QoS %u at most",
               p.number);
      return 1;
    }
  }
  r->bad |= in.bad;
  return 0;
}

static void on_connack(tw_mqtt *m, struct tw__reader *r) {
  const int present = tw__read_u8(r) & 1;
  const unsigned code = tw__read_u8(r);
  struct tw__text words = {0};
  int too_little = 0;
  m->peer = 65535;
  m->peer_packet = 0;
  m->keepalive_s = m->options.keepalive_s;
  if (code && !m->options.version && m->version == TW__MQTT_5 &&
      (code == 1 || code == 0x84)) { /* it is an older one */
    m->version = TW__MQTT_3;
    tw__wire_close(m->wire);
    m->wire = NULL;
    tw__inbox_lost(&m->inbox);
    start(m);
    return;
  }
  if (m->version == TW__MQTT_5 && r->at < r->end) too_little = limits(m, r, &words);
  if (r->bad) {
    malformed(m);
    return;
  }
  if (code) {
    refused(m, 1, code, words);
    return;
  }
  if (too_little) {
    down(m, TW_MQTT_REFUSED, m->error);
    return;
  }
  m->connack = 1;
  if (!present) {
    tw__inbox_forget(&m->inbox);
    tw__outbox_forget(&m->outbox);
    m->subscribed = 0;
  }
  m->begun = 1;
  if (m->options.filters_len && !m->subscribed)
    subscribe(m, present);
  else
    come_up(m);
}

static void on_suback(tw_mqtt *m, struct tw__reader *r) {
  const char *filter = m->filters;
  tw__read_u16(r);
  if (m->version == TW__MQTT_5) tw__read_properties(r);
  while (!r->bad && r->at < r->end && filter < m->filters + m->options.filters_len) {
    const unsigned code = tw__read_u8(r);
    if (code >= 128) {
      snprintf(m->error, sizeof m->error, "no subscription to \"%.100s\": %s", filter,
               tw__packet_reason(m->version, 0, code));
      down(m, passes(code) && code != 0x80 ? TW_MQTT_DOWN : TW_MQTT_REFUSED, m->error);
      return;
    }
    filter += strlen(filter) + 1;
  }
  if (r->bad) {
    malformed(m);
    return;
  }
  m->subscribed = 1;
  if (m->state == TW_MQTT_CONNECTING) come_up(m);
}

static void on_publish(tw_mqtt *m, const struct tw__packet *packet) {
  const int64_t before = m->inbox.pending_count;
  const int rc = tw__inbox_publish(&m->inbox, packet, m->version);
  if (rc == TW_ENOMEM)
    down(m, TW_MQTT_DOWN, "no memory");
  else if (rc < 0)
    malformed(m);
  else if (rc > 0)
    tw__write_ack(&m->bytes, TW__PUBREC, (unsigned)rc);
  if (!before && m->inbox.pending_count) tw__loop_ready(&m->handle);
}

static void on_ack(tw_mqtt *m, int type, struct tw__reader *r) {
  const unsigned mid = tw__read_u16(r);
  const unsigned code = r->at < r->end ? tw__read_u8(r) : 0;
  if (r->bad) {
    malformed(m);
    return;
  }
  if (type == TW__PUBREL) {
    tw__inbox_pubrel(&m->inbox, mid);
    tw__write_ack(&m->bytes, TW__PUBCOMP, mid);
    return;
  }
  tw__outbox_acked(&m->outbox, type, mid, code, &m->bytes);
  tw__loop_ready(&m->handle);
}

static void on_disconnect(tw_mqtt *m, struct tw__reader *r) {
  struct tw__text words = {0};
  const unsigned code = r->at < r->end ? tw__read_u8(r) : 0;
  if (r->at < r->end) limits(m, r, &words);
  refused(m, 0, code ? code : 0x80, words);
}

static void on_packet(tw_mqtt *m, const struct tw__packet *packet) {
  struct tw__reader r = {.at = (const uint8_t *)packet->body,
                         .end = (const uint8_t *)packet->body + packet->len};
  if (!m->connack && packet->type != TW__CONNACK) {
    malformed(m);
    return;
  }
  switch (packet->type) {
  case TW__CONNACK: m->connack ? malformed(m) : on_connack(m, &r); break;
  case TW__PUBLISH: on_publish(m, packet); break;
  case TW__PUBACK:
  case TW__PUBREC:
  case TW__PUBREL:
  case TW__PUBCOMP: on_ack(m, packet->type, &r); break;
  case TW__SUBACK: on_suback(m, &r); break;
  case TW__PINGRESP: break;
  case TW__DISCONNECT: on_disconnect(m, &r); break;
  default: malformed(m);
  }
}

/* Enough waits to be handed out. */
static int full(const tw_mqtt *m) {
  return m->stopped || m->inbox.pending_bytes > HELD_BYTES ||
         m->inbox.pending_count > HELD_MESSAGES;
}

static void on_bytes(void *ctx, const char *bytes, int64_t len) {
  tw_mqtt *m = ctx;
  struct tw__packet packet;
  tw__wire *wire = m->wire;
  int rc = 0;
  m->heard = 1;
  if (m->state == TW_MQTT_CLOSING) return; /* thrown away */
  if (tw__inbox_add(&m->inbox, bytes, len)) {
    down(m, TW_MQTT_DOWN, "no memory");
    return;
  }
  while (m->wire == wire && (rc = tw__inbox_packet(&m->inbox, &packet)) > 0)
    on_packet(m, &packet);
  if (m->wire != wire) return;
  if (rc == TW_EINVAL) {
    down(m, TW_MQTT_REFUSED, "a message is larger than max_message");
  } else if (rc < 0) {
    malformed(m);
  } else {
    send_bytes(m);
    pump(m);
    if (m->state == TW_MQTT_UP && full(m)) tw__wire_hold(m->wire, 1);
  }
}

static const struct tw__wire_events events = {
    .up = send_connect,
    .bytes = on_bytes,
    .turn = on_turn,
    .written = on_written,
    .down = on_down,
};

/* ---- the handle ---- */

static void start(tw_mqtt *m) {
  const tw_mqtt_options *o = &m->options;
  m->state = TW_MQTT_CONNECTING;
  m->error[0] = '\0';
  m->wire = tw__wire_open(m->timer.loop, m->host, o->port, o->tls, &events, m);
  if (!m->wire) {
    down(m, TW_MQTT_REFUSED, "this cannot be a host");
    return;
  }
  if (m->out) tw__wire_watch(m->wire, 1);
  uv_timer_start(&m->timer, tick, (uint64_t)o->timeout_ms, 0);
}

int tw_mqtt_connect(tw_mqtt *m) {
  if (m->state != TW_MQTT_DOWN && m->state != TW_MQTT_REFUSED) return TW_EINVAL;
  start(m);
  return TW_OK;
}

static void give_back(tw_mqtt *m) {
  tw__inbox_fini(&m->inbox);
  tw__outbox_fini(&m->outbox);
  tw__bytes_clear(&m->bytes);
  tw_mqtt_tls_close(m->options.tls);
  tw__free(m->host);
  tw__free(m->client_id);
  tw__free(m->username);
  tw__free(m->password);
  tw__free(m->filters);
  tw__free(m);
}

static void after_timer(uv_handle_t *handle) {
  give_back(handle->data);
}

static void goodbye(tw_mqtt *m) {
  acknowledge(m);
  if (!m->wire) return;
  tw__write_disconnect(&m->bytes, m->version, m->options.clean);
  send_bytes(m);
  if (m->wire) tw__wire_finish(m->wire);
}

void tw_mqtt_disconnect(tw_mqtt *m) {
  if (m->state == TW_MQTT_CLOSING || m->state == TW_MQTT_CLOSED) return;
  if (m->connack) goodbye(m); /* also while it subscribes: messages may have come */
  if (!m->connack || !m->wire) {
    m->state = TW_MQTT_CLOSING;
    down(m, TW_MQTT_CLOSED, "");
    return;
  }
  m->state = TW_MQTT_CLOSING;
  tw__wire_hold(m->wire, 0);
  uv_timer_start(&m->timer, tick, GOODBYE_MS, 0);
}

void tw_mqtt_close(tw_mqtt *m) {
  if (!m || m->closing) return;
  m->closing = 1;
  if (m->connack && m->state != TW_MQTT_CLOSING) goodbye(m);
  tw__loop_detach(&m->handle);
  tw__wire_close(m->wire);
  m->wire = NULL;
  uv_close((uv_handle_t *)&m->timer, after_timer);
}

static void close_handle(tw__handle *handle) {
  tw_mqtt_close((tw_mqtt *)handle);
}

static int copy(char **to, const char *text, int64_t len) {
  *to = text ? tw__mem_copy(text, len) : NULL;
  return text && !*to;
}

tw_mqtt *tw_mqtt_open(tw_loop *loop, const tw_mqtt_options *o) {
  struct sigaction now;
  tw_mqtt *m = tw__calloc(1, sizeof *m);
  if (!m) return NULL;
  if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  m->options = *o;
  if (o->tls) tw__tls_ref(o->tls);
  m->version = o->version ? o->version : TW__MQTT_5;
  m->inbox.most = o->max_message ? o->max_message + PACKET_EXTRA : 0;
  if (copy(&m->host, o->host, (int64_t)strlen(o->host)) ||
      copy(&m->client_id, o->client_id, (int64_t)strlen(o->client_id)) ||
      copy(&m->username, o->username, o->username ? (int64_t)strlen(o->username) : 0) ||
      copy(&m->password, o->password, o->password_len) ||
      copy(&m->filters, o->filters, o->filters_len) ||
      tw__outbox_init(&m->outbox, o->in_flight)) {
    give_back(m);
    return NULL;
  }
  uv_timer_init(tw__loop_uv(loop), &m->timer);
  m->timer.data = m;
  tw__loop_attach(loop, &m->handle, close_handle);
  return m;
}

uint32_t tw_mqtt_id(const tw_mqtt *m) {
  return m->handle.id;
}

int tw_mqtt_state(const tw_mqtt *m) {
  return m->state;
}

const char *tw_mqtt_error(const tw_mqtt *m) {
  return m->error;
}

/* ---- messages that came ---- */

static void set_out(tw_mqtt *m, int out) {
  m->out = out;
  if (m->wire) tw__wire_watch(m->wire, out);
}

int tw_mqtt_next(tw_mqtt *m) {
  if (m->stopped) return TW_AGAIN;
  acknowledge(m);
  const int n = tw__inbox_give(&m->inbox);
  if (m->wire && tw__wire_held(m->wire)) {
    tw__wire_hold(m->wire, 0);
    m->unheard = 0;
  }
  if (!n) return TW_AGAIN;
  set_out(m, 1);
  return n;
}

const tw_mqtt_message *tw_mqtt_messages(const tw_mqtt *m) {
  return m->inbox.batch;
}

int *tw_mqtt_at(tw_mqtt *m) {
  return &m->inbox.at;
}

void tw_mqtt_back(tw_mqtt *m) {
  m->inbox.at++;
  set_out(m, 0);
  acknowledge(m);
  tw__inbox_abandon(&m->inbox);
  if (m->stopped) tw__loop_ready(&m->handle);
}

void tw_mqtt_keep(tw_mqtt *m, int i) {
  tw__inbox_keep(&m->inbox, i);
}

void tw_mqtt_release(tw_mqtt *m, double number) {
  tw__inbox_release(&m->inbox, number);
  acknowledge(m);
  if (m->stopped && !m->inbox.kept) tw__loop_ready(&m->handle);
}

int64_t tw_mqtt_kept(const tw_mqtt *m) {
  return m->inbox.kept;
}

void tw_mqtt_stop(tw_mqtt *m) {
  m->stopped = 1;
  if (m->wire) tw__wire_hold(m->wire, 1);
}

int tw_mqtt_property_of(const tw_mqtt *m, int i, int k, tw_mqtt_property *property) {
  const tw_mqtt_message *message = &m->inbox.batch[i];
  struct tw__reader r = {.at = (const uint8_t *)message->properties,
                         .end = (const uint8_t *)message->properties +
                                message->properties_len};
  struct tw__property p;
  while (tw__read_property(&r, &p)) {
    if (k-- > 0) continue;
    const struct tw__text name = p.text,
                          value = p.id == TW__PROP_USER ? p.value : p.text;
    *property = (tw_mqtt_property){.name = name.at,
                                   .name_len = name.len,
                                   .value = value.at,
                                   .value_len = value.len};
    return (int)p.id;
  }
  return 0;
}

/* ---- records to send ---- */

int tw_mqtt_publish(tw_mqtt *m, const tw_mqtt_record *record) {
  const struct tw__publish p = {
      .qos = record->qos,
      .retain = record->retain,
      .topic = {record->topic, record->topic_len},
      .properties = {record->properties, record->properties_len},
      .payload = {record->payload, record->payload_len},
  };
  const int64_t size = tw__publish_size(m->version, &p);
  const char *why = NULL;
  if (!p.topic.len || p.topic.len > 65535 ||
      !tw__packet_is_text(p.topic.at, p.topic.len) ||
      memchr(p.topic.at, '+', (size_t)p.topic.len) ||
      memchr(p.topic.at, '#', (size_t)p.topic.len))
    why = "the topic is not one that can be written to";
  else if (size > TW__PACKET_MAX || (m->peer_packet && size + 5 > m->peer_packet))
    why = "it is larger than the broker takes";
  if (why) {
    snprintf(m->error, sizeof m->error, "%s", why);
    return TW_EINVAL;
  }
  const int rc = tw__outbox_put(&m->outbox, &p, record->id);
  if (rc == TW_OK) pump(m);
  return rc;
}

int64_t tw_mqtt_pending(const tw_mqtt *m) {
  return m->outbox.pending;
}

void tw_mqtt_drop(tw_mqtt *m) {
  tw__outbox_drop(&m->outbox);
}

int tw_mqtt_reports(tw_mqtt *m) {
  return tw__outbox_reports(&m->outbox);
}

const tw_mqtt_report *tw_mqtt_report_of(const tw_mqtt *m) {
  return m->outbox.taken;
}

const char *tw_mqtt_reason(int error) {
  return tw__packet_reason(TW__MQTT_5, 0, (unsigned)error);
}
