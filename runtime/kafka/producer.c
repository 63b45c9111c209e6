/* producer.c -- records out, reports of what became of them, transactions.
 *
 *     tw_producer_send --> librdkafka's threads --> its queue --(eventfd)--> ready --> reports
 *
 * The steps of a transaction wait for the broker, so they are made on a thread of libuv's,
 * while the loop goes on; it takes the reports meanwhile, without which no transaction ends.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "kafka/kafka.h"

enum {
  REPORTS = 1000,
  KEPT = 1000,     /* structs at a time */
  TRIES = 20,      /* of a step that can be repeated */
  TRY_US = 100000, /* us until then */
  REWIND_MS = 10000,
  CLOSE_PATIENCE = 5, /* s to deliver what is left */
  OFFSETS_MS = 60000,
};

struct topic {
  char *name;
  rd_kafka_topic_t *rkt;
};

/* A message of a consumer that is kept until the record made of it has arrived. Its address is
 * the record's opaque, with the lowest bit set: ids are numbers, doubled. */
struct kept {
  struct tw__kafka_link *link;
  struct kept *next; /* of the free ones */
  int64_t number;
  int part;
};

struct block {
  struct block *next;
  struct kept kept[KEPT];
};

struct step {
  uv_work_t work; /* first */
  tw_producer *producer;
  tw_consumer *consumer;
  rd_kafka_t *rk, *group; /* the consumer's */
  int kind, result;
  rd_kafka_topic_partition_list_t *offsets;
  char error[TW_KAFKA_TEXT];
};

struct tw_producer {
  tw__handle handle; /* first */
  rd_kafka_t *rk;
  rd_kafka_queue_t *queue;
  struct tw__kafka_wake *wake;
  struct topic *topics;
  int topic_count;
  rd_kafka_headers_t *headers; /* of the next record */
  int64_t pending;
  struct block *blocks;
  struct kept *spare;
  rd_kafka_event_t *event; /* that is being taken apart */
  tw_kafka_report report[REPORTS];
  struct step *step;
  int state; /* of the last step */
  int broken;
  int transaction; /* there has been one: what is not committed is void */
  struct tw__kafka_notice notice;
  char error[TW_KAFKA_TEXT];
};

static void note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
  tw_producer *p = opaque;
  if (tw__kafka_trouble(&p->notice, rk, err, reason)) {
    p->broken = 1;
    snprintf(p->error, sizeof p->error, "%s", p->notice.text);
    p->notice.text[0] = '\0';
  }
  tw__loop_ready(&p->handle);
}

/* ---- open, close ---- */

/* Take or make a free one; NULL: no memory. */
static struct kept *take_kept(tw_producer *p) {
  if (!p->spare) {
    struct block *block = tw__calloc(1, sizeof *block);
    if (!block) return NULL;
    block->next = p->blocks;
    p->blocks = block;
    for (int i = 0; i < KEPT; i++) {
      block->kept[i].next = p->spare;
      p->spare = &block->kept[i];
    }
  }
  struct kept *kept = p->spare;
  p->spare = kept->next;
  return kept;
}

static void give_kept(tw_producer *p, struct kept *kept) {
  tw__kafka_unlink(kept->link);
  kept->link = NULL;
  kept->next = p->spare;
  p->spare = kept;
}

static void end(tw_producer *p) {
  while (p->blocks) {
    struct block *block = p->blocks;
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

static void free_step(struct step *step) {
  if (step->offsets) rd_kafka_topic_partition_list_destroy(step->offsets);
  tw__free(step);
}

/* What is still on its way has a little time: nobody may be left to run the loop. */
static void drain(tw_producer *p) {
  int64_t began = tw_loop_now_ns();
  while (p->pending && !p->broken && !p->transaction &&
         tw_loop_now_ns() - began < CLOSE_PATIENCE * 1000000000LL)
    if (!tw_producer_reports(p)) usleep(1000);
}

void tw_producer_close(tw_producer *p) {
  if (!p) return;
  if (!p->step) drain(p);
  tw__loop_detach(&p->handle);
  if (p->step) { /* its thread uses the client: the end of it frees */
    p->step->producer = NULL;
    p->step->consumer = NULL;
    p->handle.loop = NULL;
    p->step->work.data = p;
    return;
  }
  end(p);
}

static void close_handle(tw__handle *handle) {
  tw_producer_close((tw_producer *)handle);
}

static void woken(void *arg) {
  tw__loop_ready(&((tw_producer *)arg)->handle);
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
  rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
  if (!loud) rd_kafka_conf_set_log_cb(conf, NULL);
  p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, (size_t)size);
  if (!p->rk) {
    rd_kafka_conf_destroy(conf);
    end(p);
    return NULL;
  }
  p->queue = rd_kafka_queue_get_main(p->rk);
  p->wake = tw__kafka_wake_open(loop, p->queue, woken, p);
  if (!p->wake) {
    end(p);
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
  struct topic *more =
      tw__realloc(p->topics, (size_t)(p->topic_count + 1) * sizeof(struct topic));
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
  p->topics[p->topic_count] = (struct topic){.name = copy, .rkt = rkt};
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

static int send_as(tw_producer *p, const tw_kafka_record *r, void *id) {
  rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
  if (p->headers || r->timestamp)
    err = send_full(p, r, id);
  else if (rd_kafka_produce(p->topics[r->topic].rkt, r->partition, RD_KAFKA_MSG_F_COPY,
                            (void *)(uintptr_t)r->value, (size_t)r->value_len, r->key,
                            (size_t)r->key_len, id))
    err = rd_kafka_last_error();
  if (!err) {
    p->pending++;
    return TW_OK;
  }
  if (p->headers) rd_kafka_headers_destroy(p->headers);
  p->headers = NULL; /* while one waits, others send */
  if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL) return TW_AGAIN;
  if (!p->broken)
    snprintf(p->error, sizeof p->error, "topic %.200s: %s", p->topics[r->topic].name,
             rd_kafka_err2str(err));
  return TW_EIO;
}

int tw_producer_send(tw_producer *p, const tw_kafka_record *r) {
  return send_as(p, r, (void *)(uintptr_t)(r->id << 1));
}

int tw_producer_send_kept(tw_producer *p, const tw_kafka_record *r, tw_consumer *from) {
  struct tw__kafka_link *link = tw__consumer_link(from);
  struct kept *kept = link ? take_kept(p) : NULL;
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
static void arrived(tw_producer *p, struct kept *kept, int err) {
  tw_consumer *from = kept->link->consumer;
  if (from && !err) tw_consumer_release(from, kept->part, kept->number);
  give_kept(p, kept);
}

int tw_producer_reports(tw_producer *p) {
  int n = 0;
  while (n < REPORTS) {
    if (!p->event) p->event = rd_kafka_queue_poll(p->queue, 0);
    if (!p->event) break;
    const rd_kafka_message_t *m = NULL;
    if (rd_kafka_event_type(p->event) == RD_KAFKA_EVENT_DR)
      while (n < REPORTS && (m = rd_kafka_event_message_next(p->event))) {
        uintptr_t id = (uintptr_t)m->_private;
        p->pending--;
        if (!m->err) p->notice.down = 0;
        if (id & 1) {
          arrived(p, (struct kept *)(id & ~(uintptr_t)1), m->err);
          id = 0;
        }
        if (m->err || id)
          p->report[n++] = (tw_kafka_report){.id = id >> 1, .error = m->err};
      }
    if (!m) {
      rd_kafka_event_destroy(p->event);
      p->event = NULL;
    }
  }
  if (n == REPORTS) tw__loop_ready(&p->handle); /* there may be more */
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

/* ---- transactions ---- */

/* Returns TW_AGAIN when the call is to be repeated. error: taken. */
static int judge(struct step *step, rd_kafka_error_t *error) {
  if (!error) return TW_OK;
  snprintf(step->error, sizeof step->error, "%s", rd_kafka_error_string(error));
  int result = rd_kafka_error_is_retriable(error)         ? TW_AGAIN
               : rd_kafka_error_txn_requires_abort(error) ? TW_ECORRUPT
                                                          : TW_EIO;
  rd_kafka_error_destroy(error);
  return result;
}

static int begin(struct step *step) {
  return judge(step, rd_kafka_begin_transaction(step->rk));
}

static int commit(struct step *step) {
  if (step->offsets) {
    rd_kafka_consumer_group_metadata_t *group =
        rd_kafka_consumer_group_metadata(step->group);
    if (!group) {
      snprintf(step->error, sizeof step->error, "the consumer has left its group");
      return TW_ECORRUPT;
    }
    int sent = judge(step, rd_kafka_send_offsets_to_transaction(step->rk, step->offsets,
                                                                group, OFFSETS_MS));
    rd_kafka_consumer_group_metadata_destroy(group);
    if (sent) return sent;
  }
  return judge(step, rd_kafka_commit_transaction(step->rk, -1));
}

static int rewind_consumer(struct step *step) {
  if (!step->offsets) return TW_OK;
  int result =
      judge(step, rd_kafka_seek_partitions(step->group, step->offsets, REWIND_MS));
  for (int i = 0; !result && i < step->offsets->cnt; i++)
    if (step->offsets->elems[i].err) {
      snprintf(step->error, sizeof step->error, "%s",
               rd_kafka_err2str(step->offsets->elems[i].err));
      result = TW_EIO;
    }
  return result;
}

static int attempt(struct step *step) {
  switch (step->kind) {
  case TW_TXN_INIT: return judge(step, rd_kafka_init_transactions(step->rk, -1));
  case TW_TXN_COMMIT: return commit(step);
  default: return judge(step, rd_kafka_abort_transaction(step->rk, -1));
  }
}

static void work(uv_work_t *work) {
  struct step *step = (struct step *)work;
  int result = TW_AGAIN;
  for (int i = 0; i < TRIES && result == TW_AGAIN; i++) {
    if (i) usleep(TRY_US);
    result = attempt(step);
  }
  if (!result && step->kind == TW_TXN_ABORT) result = rewind_consumer(step);
  if (result == TW_AGAIN) result = TW_ECORRUPT;
  if (!result) result = begin(step);
  step->result = result;
}

static void worked(uv_work_t *done, int status) {
  struct step *step = (struct step *)done;
  (void)status;
  tw_producer *p = step->producer;
  if (!p) { /* closed meanwhile */
    end(step->work.data);
    free_step(step);
    return;
  }
  if (!step->result && step->consumer && step->kind == TW_TXN_COMMIT && step->offsets)
    tw__consumer_committed(step->consumer, step->offsets);
  if (!step->result && step->consumer && step->kind == TW_TXN_ABORT)
    tw__consumer_rewound(step->consumer);
  if (step->result) memcpy(p->error, step->error, sizeof p->error);
  p->state = step->result;
  p->step = NULL;
  free_step(step);
  tw__loop_ready(&p->handle);
}

void tw_producer_step(tw_producer *p, int kind, tw_consumer *consumer) {
  struct step *step = tw__calloc(1, sizeof *step);
  if (!step) {
    snprintf(p->error, sizeof p->error, "no memory");
    p->state = TW_EIO;
    return;
  }
  step->producer = p;
  p->transaction = 1;
  step->consumer = consumer;
  step->rk = p->rk;
  step->kind = kind;
  if (consumer) {
    step->group = tw__consumer_rk(consumer);
    if (kind == TW_TXN_COMMIT) step->offsets = tw__consumer_offsets(consumer);
    if (kind == TW_TXN_ABORT) step->offsets = tw__consumer_origin(consumer);
  }
  p->step = step;
  p->state = TW_AGAIN;
  if (uv_queue_work(tw__loop_uv(p->handle.loop), &step->work, work, worked)) {
    free_step(step);
    p->step = NULL;
    p->state = TW_EIO;
  }
}

int tw_producer_stepped(const tw_producer *p) {
  return p->state;
}
