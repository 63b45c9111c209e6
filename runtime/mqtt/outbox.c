/* outbox.c -- messages to the broker, until it has them; see outbox.h. */
#include "mqtt/outbox.h"

#include <string.h>

#include "core/mem.h"

enum { WAITING, SENT, RELEASED };
enum { MOST_BYTES = 16 << 20 }; /* that wait, but for the last one */

int tw__outbox_init(struct tw__outbox *o, int64_t window) {
  o->by_mid = tw__calloc((size_t)window + 1, sizeof *o->by_mid);
  o->spare = tw__calloc((size_t)window, sizeof *o->spare);
  if (!o->by_mid || !o->spare) {
    tw__outbox_fini(o);
    return TW_ENOMEM;
  }
  o->window = o->spares = window;
  for (int64_t i = 0; i < window; i++) o->spare[i] = (uint16_t)(window - i);
  return TW_OK;
}

void tw__outbox_fini(struct tw__outbox *o) {
  while (o->first) {
    struct tw__item *item = o->first;
    o->first = item->next;
    tw__free(item);
  }
  tw__free(o->by_mid);
  tw__free(o->spare);
  tw__free(o->reports);
  *o = (struct tw__outbox){0};
}

static int64_t size_of(const struct tw__item *item) {
  const struct tw__publish *p = &item->publish;
  return p->topic.len + p->properties.len + p->payload.len;
}

static struct tw__text copy(char **to, struct tw__text text) {
  char *at = *to;
  if (text.len) memcpy(at, text.at, (size_t)text.len);
  *to += text.len;
  return (struct tw__text){.at = at, .len = text.len};
}

/* Every item will make one report at most: that there is room for it is seen to when it comes. */
static int room_for_report(struct tw__outbox *o) {
  const int64_t need = o->report_count + o->pending + 1;
  if (need <= o->report_room) return TW_OK;
  const int64_t room = need * 2 < 64 ? 64 : need * 2;
  tw_mqtt_report *grown = tw__realloc(o->reports, (size_t)room * sizeof *grown);
  if (!grown) return TW_ENOMEM;
  o->reports = grown;
  o->report_room = room;
  return TW_OK;
}

int tw__outbox_put(struct tw__outbox *o, const struct tw__publish *publish,
                   uint64_t id) {
  if (o->pending >= o->window || o->bytes >= MOST_BYTES) return TW_AGAIN;
  const int64_t size =
      publish->topic.len + publish->properties.len + publish->payload.len;
  if (room_for_report(o)) return TW_ENOMEM;
  struct tw__item *item = tw__malloc(sizeof *item + (size_t)size);
  if (!item) return TW_ENOMEM;
  *item = (struct tw__item){.prev = o->last, .id = id, .publish = *publish};
  char *to = item->bytes;
  item->publish.topic = copy(&to, publish->topic);
  item->publish.properties = copy(&to, publish->properties);
  item->publish.payload = copy(&to, publish->payload);
  if (o->last)
    o->last->next = item;
  else
    o->first = item;
  o->last = item;
  if (!o->next) o->next = item;
  o->pending++;
  o->bytes += size;
  return TW_OK;
}

/* It has arrived, or was refused. */
static void done(struct tw__outbox *o, struct tw__item *item, int code) {
  const unsigned mid = item->publish.mid;
  if (item->id || code)
    o->reports[o->report_count++] = (tw_mqtt_report){.id = item->id, .error = code};
  if (mid) {
    o->by_mid[mid] = NULL;
    o->spare[o->spares++] = (uint16_t)mid;
  }
  if (item->prev)
    item->prev->next = item->next;
  else
    o->first = item->next;
  if (item->next)
    item->next->prev = item->prev;
  else
    o->last = item->prev;
  if (o->next == item) o->next = item->next;
  o->pending--;
  o->bytes -= size_of(item);
  tw__free(item);
}

struct tw__item *tw__outbox_next(struct tw__outbox *o, int version, int64_t peer,
                                 struct tw__bytes *out) {
  struct tw__item *item = o->next;
  if (!item) return NULL;
  struct tw__publish *p = &item->publish;
  if (p->qos && o->flying >= peer) return NULL;
  o->next = item->next;
  if (p->qos) o->flying++;
  if (item->state == RELEASED) {
    tw__write_ack(out, TW__PUBREL, p->mid);
    return item;
  }
  if (p->qos && !p->mid) {
    p->mid = o->spare[--o->spares];
    o->by_mid[p->mid] = item;
  }
  item->state = SENT;
  tw__write_publish(out, version, p);
  p->dup = p->qos > 0; /* from now on */
  return item;
}

void tw__outbox_acked(struct tw__outbox *o, int type, unsigned mid, unsigned code,
                      struct tw__bytes *out) {
  struct tw__item *item = mid && mid <= o->window ? o->by_mid[mid] : NULL;
  if (code < 128) code = 0;
  if (!item || item->state == WAITING) {
    if (type == TW__PUBREC && !code) tw__write_ack(out, TW__PUBREL, mid);
    return;
  }
  const int fits = type == TW__PUBACK ? item->publish.qos == 1 : item->publish.qos == 2;
  if (!fits || (type == TW__PUBCOMP && item->state != RELEASED)) return;
  if (type == TW__PUBREC && !code) {
    item->state = RELEASED;
    tw__write_ack(out, TW__PUBREL, mid);
    return;
  }
  o->flying--;
  done(o, item, type == TW__PUBCOMP ? 0 : (int)code);
}

void tw__outbox_written(struct tw__outbox *o, int64_t position) {
  struct tw__item *item = o->first;
  while (item && item != o->next) {
    struct tw__item *next = item->next;
    if (!item->publish.qos) {
      if (item->end > position) return;
      done(o, item, 0);
    }
    item = next;
  }
}

void tw__outbox_drop(struct tw__outbox *o) {
  while (o->first) done(o, o->first, -1);
  o->flying = 0;
}

void tw__outbox_lost(struct tw__outbox *o) {
  for (struct tw__item *item = o->first; item; item = item->next)
    if (item->state == SENT) item->state = WAITING;
  o->next = o->first;
  o->flying = 0;
}

void tw__outbox_forget(struct tw__outbox *o) {
  for (struct tw__item *item = o->first; item; item = item->next) {
    item->state = WAITING;
    item->publish.dup = 0;
  }
}

int tw__outbox_reports(struct tw__outbox *o) {
  int64_t n = o->report_count - o->report_first;
  if (n > TW__REPORTS) n = TW__REPORTS;
  if (n) memcpy(o->taken, o->reports + o->report_first, (size_t)n * sizeof *o->taken);
  o->report_first += n;
  if (o->report_first == o->report_count) o->report_first = o->report_count = 0;
  return (int)n;
}
