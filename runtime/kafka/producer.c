/* producer.c -- records out, reports of what became of them.
 *
 *     tw_producer_send --> librdkafka's threads --> its queue --(eventfd)--> ready --> reports
 *
 * Between transactions (transaction.c) records wait in `later`.
 */
#include "kafka/producer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"

enum {
  KEPT = 1000,            /* structs at a time */
  CLOSE_PATIENCE = 5,     /* s to deliver what is left */
  LATER_BYTES = 64 << 20, /* of records that wait for a transaction */
  CATCH_UP = 20000,       /* of them in one turn */
  CAREFUL = 100,          /* transactions, see hand_over */
};

struct tw__topic {
  char *name;
  rd_kafka_topic_t *rkt;
};

/* A message of a consumer that is kept until the record made of it has arrived. Its address is
 * the record's opaque, with the lowest bit set: ids are numbers, doubled. */
struct tw__kept {
  struct tw__kafka_link *link;
  struct tw__kept *next; /* of the free ones */
  int64_t number;
  int part;
};

struct tw__block {
  struct tw__block *next;
  struct tw__kept kept[KEPT];
};

static void note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
  tw_producer *p = opaque;
  if (tw__kafka_trouble(&p->notice, rk, err, reason)) {
    p->broken = 1;
    snprintf(p->error, sizeof p->error, "%s", p->notice.text);
    p->notice.text[0] = '\0';
    if (p->step) tw__step_give_up(p->step);
  }
  tw__loop_ready(&p->handle);
}

/* ---- open, close ---- */

/* Take or make a free one; NULL: no memory. */
static struct tw__kept *take_kept(tw_producer *p) {
  if (!p->spare) {
    struct tw__block *block = tw__calloc(1, sizeof *block);
    if (!block) return NULL;
    block->next = p->blocks;
    p->blocks = block;
    for (int i = 0; i < KEPT; i++) {
      block->kept[i].next = p->spare;
      p->spare = &block->kept[i];
    }
  }
  struct tw__kept *kept = p->spare;
  p->spare = kept->next;
  return kept;
}

static void give_kept(tw_producer *p, struct tw__kept *kept) {
  tw__kafka_unlink(kept->link);
  kept->link = NULL;
  kept->next = p->spare;
  p->spare = kept;
}

void tw__producer_end(tw_producer *p) {
  tw__later_clear(&p->later);
  while (p->blocks) {
    struct tw__block *block = p->blocks;
    for (int i = 0; i < KEPT; i++)
      if (block->kept[i].link) tw__kafka_unlink(block->kept[i].link);
    p->blocks = block->next;
    tw__free(block);
  }
  if (p->event) rd_kafka_event_destroy(p->event);
  if (p->headers) rd_kafka_headers_destroy(p->headers);
  for (int k = 0; k < p->topic_count; k++) {
    tw__free(p->topics[k].name);
    rd_kafka_topic_destroy(p->topics[k].rkt);
  }
  tw__free(p->topics);
  tw__kafka_wake_close(p->wake);
  if (p->rk) {
    rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(p->rk);
  }
  tw__free(p);
}

/* What is still on its way has a little time: nobody may be left to run the loop. */
static void drain(tw_producer *p) {
  int64_t began = tw_loop_now_ns();
  while (p->pending && !p->broken && !p->transactional &&
         tw_loop_now_ns() - began < CLOSE_PATIENCE * 1000000000LL)
    if (!tw_producer_reports(p)) usleep(1000);
}

void tw_producer_close(tw_producer *p) {
  if (!p) return;
  if (!p->step) drain(p);
  tw__loop_detach(&p->handle);
  if (p->step) /* its thread uses the client: the end of it frees */
    tw__step_orphan(p->step);
  else
    tw__producer_end(p);
}

static void close_handle(tw__handle *handle) {
  tw_producer_close((tw_producer *)handle);
}

static void woken(void *arg) {
  tw__loop_ready(&((tw_producer *)arg)->handle);
}

static int has_transactions(const rd_kafka_conf_t *conf) {
  size_t size = 0; /* of its text, with the 0 */
  return !rd_kafka_conf_get(conf, "transactional.id", NULL, &size) && size > 1;
}

tw_producer *tw_producer_open(tw_loop *loop, tw_kafka_conf *given, int loud,
                              char *error, int64_t size) {
  rd_kafka_conf_t *conf = tw__kafka_conf_take(given);
  tw_producer *p = tw__calloc(1, sizeof *p);
  snprintf(error, (size_t)size, "no memory");
  if (!p) {
    rd_kafka_conf_destroy(conf);
    return NULL;
  }
  rd_kafka_conf_set_opaque(conf, p);
  rd_kafka_conf_set_error_cb(conf, note_error);
  rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  if (!loud) rd_kafka_conf_set_log_cb(conf, NULL);
  p->transactional = has_transactions(conf);
  p->patience_ns = INT64_MAX;
  p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, (size_t)size);
  if (!p->rk) {
    rd_kafka_conf_destroy(conf);
    tw__producer_end(p);
    return NULL;
  }
  p->queue = rd_kafka_queue_get_main(p->rk);
  p->wake = tw__kafka_wake_open(loop, p->queue, woken, p);
  if (!p->wake) {
    tw__producer_end(p);
    return NULL;
  }
  tw__loop_attach(loop, &p->handle, close_handle);
  return p;
}

uint32_t tw_producer_id(const tw_producer *p) {
  return p->handle.id;
}

/* ---- sending ---- */

int tw_producer_topic(tw_producer *p, const char *name) {
  for (int k = 0; k < p->topic_count; k++)
    if (!strcmp(p->topics[k].name, name)) return k;
  struct tw__topic *more =
      tw__realloc(p->topics, (size_t)(p->topic_count + 1) * sizeof(struct tw__topic));
  if (!more) {
    snprintf(p->error, sizeof p->error, "no memory");
    return TW_EIO;
  }
  p->topics = more;
  char *copy = tw__mem_copy(name, (int64_t)strlen(name));
  rd_kafka_topic_t *rkt = copy ? rd_kafka_topic_new(p->rk, name, NULL) : NULL;
  if (!rkt) {
    tw__free(copy);
    snprintf(p->error, sizeof p->error, "topic %.200s: %s", name,
             rd_kafka_err2str(rd_kafka_last_error()));
    return TW_EIO;
  }
  p->topics[p->topic_count] = (struct tw__topic){.name = copy, .rkt = rkt};
  return p->topic_count++;
}

int tw_producer_header(tw_producer *p, const char *name, const char *value,
                       int64_t len) {
  if (!p->headers) p->headers = rd_kafka_headers_new(4);
  if (!p->headers) return TW_ENOMEM;
  return rd_kafka_header_add(p->headers, name, -1, value, (ssize_t)len) ? TW_ENOMEM
                                                                        : TW_OK;
}

static rd_kafka_resp_err_t send_full(tw_producer *p, const tw_kafka_record *r,
                                     void *id) {
  rd_kafka_topic_t *rkt = p->topics[r->topic].rkt;
  void *value = (void *)(uintptr_t)r->value;
  rd_kafka_resp_err_t err;
  if (p->headers)
    err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(r->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(value, (size_t)r->value_len),
        RD_KAFKA_V_KEY(r->key, (size_t)r->key_len), RD_KAFKA_V_TIMESTAMP(r->timestamp),
        RD_KAFKA_V_HEADERS(p->headers), RD_KAFKA_V_OPAQUE(id), RD_KAFKA_V_END);
  else
    err = rd_kafka_producev(
        p->rk, RD_KAFKA_V_RKT(rkt), RD_KAFKA_V_PARTITION(r->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(value, (size_t)r->value_len),
        RD_KAFKA_V_KEY(r->key, (size_t)r->key_len), RD_KAFKA_V_TIMESTAMP(r->timestamp),
        RD_KAFKA_V_OPAQUE(id), RD_KAFKA_V_END);
  if (!err) p->headers = NULL; /* librdkafka's now */
  return err;
}

/* Hand it to librdkafka. The headers are used up, but with TW_AGAIN. One that is refused because of
 * what it is has waited in `later`, perhaps; then nobody is there who could be told, and its
 * transaction is aborted. So that it is its element that fails when it comes again, and the next of
 * its like, who sends waits for a transaction for some time. */
static int hand_over(tw_producer *p, const tw_kafka_record *r, void *id) {
  rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (p->headers || r->timestamp)
    err = send_full(p, r, id);
  else if (rd_kafka_produce(p->topics[r->topic].rkt, r->partition, RD_KAFKA_MSG_F_COPY,
                            (void *)(uintptr_t)r->value, (size_t)r->value_len, r->key,
                            (size_t)r->key_len, id))
    err = rd_kafka_last_error();
  if (!err) return TW_OK;
  if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) return TW_AGAIN;
  if (!p->broken)
    snprintf(p->error, sizeof p->error, "topic %.200s: %s%s", p->topics[r->topic].name,
             rd_kafka_err2str(err),
             err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? " (see message.max.bytes)"
                                                         : "");
  p->refused = err;
  int never = err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
              err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
  if (never) p->careful = CAREFUL;
  return never ? TW_EINVAL : TW_EIO;
}

static void drop_headers(tw_producer *p) {
  if (p->headers) rd_kafka_headers_destroy(p->headers);
  p->headers = NULL;
}

/* Until there is a transaction, and behind those that wait for it. */
static int put_off(tw_producer *p, const tw_kafka_record *r) {
  if (p->careful || p->later.bytes >= LATER_BYTES) return TW_AGAIN;
  if (tw__later_push(&p->later, r, p->headers)) {
    snprintf(p->error, sizeof p->error, "no memory");
    return TW_EIO;
  }
  p->headers = NULL;
  return TW_OK;
}

static int send_as(tw_producer *p, const tw_kafka_record *r, void *id) {
  int wait = p->transactional && (!p->begun || p->later.count);
  int status = wait ? put_off(p, r) : hand_over(p, r, id);
  if (status == TW_OK) p->pending++;
  drop_headers(p); /* while one waits, others send */
  return status;
}

void tw__producer_catch_up(tw_producer *p) {
  tw_kafka_record r;
  rd_kafka_headers_t *headers;
  int n = 0;
  while (n++ < CATCH_UP && tw__later_first(&p->later, &r, &headers)) {
    p->headers = headers;
    int status = hand_over(p, &r, (void *)(uintptr_t)(r.id << 1));
    if (status == TW_AGAIN) { /* reports make room */
      p->headers = NULL;
      return;
    }
    drop_headers(p);
    tw__later_drop(&p->later);
    if (status != TW_OK && !p->lost_later) p->lost_later = p->refused;
    if (status != TW_OK) p->pending--;
  }
  if (p->later.count || p->lost_later) tw__loop_ready(&p->handle);
}

int64_t tw_producer_waiting(const tw_producer *p) {
  return p->later.count;
}

int tw_producer_send(tw_producer *p, const tw_kafka_record *r) {
  return send_as(p, r, (void *)(uintptr_t)(r->id << 1));
}

int tw_producer_send_kept(tw_producer *p, const tw_kafka_record *r, tw_consumer *from) {
  struct tw__kafka_link *link = tw__consumer_link(from);
  struct tw__kept *kept = link ? take_kept(p) : NULL;
  if (!kept) {
    if (link) tw__kafka_unlink(link);
    snprintf(p->error, sizeof p->error, "no memory");
    return TW_EIO;
  }
  kept->link = link;
  kept->part = tw__consumer_part(from);
  kept->number = tw_consumer_keep(from, *tw_consumer_at(from));
  int status =
      kept->number == TW_ENOMEM ? TW_EIO : send_as(p, r, (void *)((uintptr_t)kept | 1));
  if (status != TW_OK) {
    tw_consumer_release(from, kept->part, kept->number);
    give_kept(p, kept);
  }
  return status;
}

int64_t tw_producer_pending(const tw_producer *p) {
  return p->pending;
}

/* Of one that has not arrived the message stays kept: it is not to be committed. */
static void arrived(tw_producer *p, struct tw__kept *kept, int err) {
  tw_consumer *from = kept->link->consumer;
  if (from && !err) tw_consumer_release(from, kept->part, kept->number);
  give_kept(p, kept);
}

/* A topic's name as long as the producer lives; NULL: none of ours. */
static const char *topic_of(const tw_producer *p, const rd_kafka_topic_t *rkt) {
  for (int k = 0; k < p->topic_count; k++)
    if (p->topics[k].rkt == rkt || !strcmp(p->topics[k].name, rd_kafka_topic_name(rkt)))
      return p->topics[k].name;
  return NULL;
}

int tw_producer_reports(tw_producer *p) {
  int n = 0;
  while (n < TW_REPORTS) {
    if (!p->event) p->event = rd_kafka_queue_poll(p->queue, 0);
    if (!p->event) break;
    const rd_kafka_message_t *m = NULL;
    if (rd_kafka_event_type(p->event) == RD_KAFKA_EVENT_DR)
      while (n < TW_REPORTS && (m = rd_kafka_event_message_next(p->event))) {
        uintptr_t id = (uintptr_t)m->_private;
        p->pending--;
        if (!m->err) p->notice.down = 0;
        if (id & 1) {
          arrived(p, (struct tw__kept *)(id & ~(uintptr_t)1), m->err);
          id = 0;
        }
        if (m->err || id)
          p->report[n++] =
              (tw_kafka_report){.id = id >> 1,
                                .topic = m->err && m->rkt ? topic_of(p, m->rkt) : NULL,
                                .partition = m->partition,
                                .error = m->err};
      }
    if (rd_kafka_event_type(p->event) == RD_KAFKA_EVENT_ERROR)
      note_error(p->rk, rd_kafka_event_error(p->event),
                 rd_kafka_event_error_string(p->event), p);
    if (!m) {
      rd_kafka_event_destroy(p->event);
      p->event = NULL;
    }
  }
  if (p->later.count && p->begun) tw__producer_catch_up(p);
  if (p->lost_later && n < TW_REPORTS) {
    p->report[n++] = (tw_kafka_report){.id = 0, .error = p->lost_later};
    p->lost_later = 0;
  }
  if (n == TW_REPORTS) tw__loop_ready(&p->handle); /* there may be more */
  return n;
}

const tw_kafka_report *tw_producer_report(const tw_producer *p) {
  return p->report;
}

const char *tw_producer_notice(tw_producer *p) {
  return tw__kafka_say(&p->notice);
}

const char *tw_producer_error(const tw_producer *p) {
  return p->error;
}
