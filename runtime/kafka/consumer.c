/* consumer.c -- a member of a group: messages in batches, offsets, rebalances.
 *
 *     librdkafka's threads --> its queue --(eventfd, uv_poll)--> ready --> tw_consumer_next
 *
 * A batch is handed out whole; the messages in it live until the next is asked for. What was
 * handed out before `at` is through unless it is kept (parts.c). The watermark of every
 * partition is stored with librdkafka now and then, which commits it every
 * auto.commit.interval.ms, when partitions go, and at the end.
 *
 * A rebalance is noted where librdkafka calls for it, and dealt with by who uses the
 * consumer, when what was read of the partitions that go has been worked on: librdkafka waits
 * for the (un)assignment. Where a batch takes long, reading pauses, so that the group does not
 * take the member for dead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kafka/kafka.h"

enum {
  TICK = 50, /* ms: how often offsets are stored while there is work */
  TICK_CLOSING = 2,
  PAUSE_AFTER = 1000,  /* ms that a batch may take before reading pauses */
  POLL_SHARE = 4,      /* of max.poll.interval.ms: who does not read polls so often */
  CLOSE_PATIENCE = 10, /* s to commit and leave the group, then it is left without */
  JOIN_PATIENCE = 5,   /* s for a first assignment that has to be waited for */
  LOOK_UP = 100,       /* ms that the cluster in this process may take to answer */
  AGAIN = 200,         /* ms until a partition that is stuck is assigned again */
};

struct tw_consumer {
  tw__handle handle; /* first */
  rd_kafka_t *rk;
  rd_kafka_queue_t *queue;
  rd_kafka_queue_t *closer; /* what comes while the group is left */
  struct tw__kafka_wake *wake;
  uv_timer_t tick;
  int ticking, uv_open;
  rd_kafka_message_t **raw; /* of the messages handed out */
  tw_kafka_message *messages;
  int count, batch;
  int at, settled; /* settled: those before have moved their positions */
  int cut;
  int out;                    /* the batch is being delivered */
  rd_kafka_message_t **stash; /* came while reading was paused */
  int stashed, stash_room;
  struct tw__parts parts;
  const rd_kafka_topic_t *rkt; /* of the last message, and its part */
  int32_t rkt_partition;
  int rkt_part;
  rd_kafka_topic_partition_list_t *change; /* of the event */
  int event;
  int64_t event_at; /* ns */
  int64_t handed_at, polled_at, leaving_at, closing_at;
  int lot;          /* counts the calls of assign */
  int64_t again_at; /* when stuck partitions are assigned again; 0: there are none */
  int64_t begin;    /* where a group begins, as a logical offset */
  int commit, direct, until_end, assigned, ended;
  int paused, stopped, closing, closed, broken, unsafe, rewinding;
  int64_t drain_ms, cut_ms, pause_ms, poll_ms;
  struct tw__kafka_link *link;
  int watched; /* report when nothing is kept any more */
  struct tw__kafka_notice notice;
  char error[TW_KAFKA_TEXT];
};

/* ---- what librdkafka tells ---- */

static void note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
  tw_consumer *c = opaque;
  if (tw__kafka_trouble(&c->notice, rk, err, reason)) {
    c->broken = 1;
    snprintf(c->error, sizeof c->error, "%s", c->notice.text);
    c->notice.text[0] = '\0';
  }
  tw__loop_ready(&c->handle);
}

static void note_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                        rd_kafka_topic_partition_list_t *offsets, void *opaque) {
  tw_consumer *c = opaque;
  (void)rk;
  (void)offsets;
  if (!err || err == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
  snprintf(c->notice.text, TW_KAFKA_TEXT,
           "offsets could not be committed, what they stand for may be read twice: %s",
           rd_kafka_err2str(err));
  tw__loop_ready(&c->handle);
}

static void begin_event(tw_consumer *c, int event,
                        const rd_kafka_topic_partition_list_t *list) {
  if (c->change) rd_kafka_topic_partition_list_destroy(c->change);
  c->change = rd_kafka_topic_partition_list_copy(list);
  c->event = event;
  c->event_at = tw_loop_now_ns();
  if (event != TW_REBALANCE_ASSIGN) {
    c->cut = 1;
    for (int i = 0; i < list->cnt; i++) {
      int k = tw__parts_find(&c->parts, list->elems[i].topic, list->elems[i].partition);
      if (k >= 0) c->parts.list[k].going = 1;
    }
  }
  tw__loop_ready(&c->handle);
}

static void note_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                           rd_kafka_topic_partition_list_t *list, void *opaque) {
  tw_consumer *c = opaque;
  if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    begin_event(c, TW_REBALANCE_ASSIGN, list);
  } else if (err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
    begin_event(c,
                rd_kafka_assignment_lost(rk) ? TW_REBALANCE_LOST : TW_REBALANCE_REVOKE,
                list);
  } else {
    rd_kafka_assign(rk, NULL);
  }
}

/* ---- offsets ---- */

static void free_raw(rd_kafka_message_t **raw, int count) {
  for (int i = 0; i < count; i++) rd_kafka_message_destroy(raw[i]);
}

/* The messages handed out before `at` are through, or kept. */
static void settle(tw_consumer *c) {
  for (; c->settled < c->at && c->settled < c->count; c->settled++) {
    const tw_kafka_message *m = &c->messages[c->settled];
    struct tw__part *part = &c->parts.list[m->part];
    if (part->epoch == m->epoch) part->position = m->offset + 1;
  }
}

static rd_kafka_topic_partition_list_t *advanced(tw_consumer *c) {
  settle(c);
  rd_kafka_topic_partition_list_t *list = NULL;
  for (int k = 0; k < c->parts.count; k++) {
    struct tw__part *part = &c->parts.list[k];
    int64_t mark = tw__part_watermark(part);
    if (!part->assigned || mark < 0 || mark <= part->stored) continue;
    if (mark == part->origin && part->stored < 0) continue; /* nothing is through yet */
    if (!list) list = rd_kafka_topic_partition_list_new(c->parts.count);
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
        mark;
  }
  return list;
}

static void stored(tw_consumer *c, const rd_kafka_topic_partition_list_t *list) {
  for (int i = 0; i < list->cnt; i++) {
    int k = tw__parts_find(&c->parts, list->elems[i].topic, list->elems[i].partition);
    if (k >= 0 && !list->elems[i].err) c->parts.list[k].stored = list->elems[i].offset;
  }
}

static void store(tw_consumer *c) {
  if (!c->commit || c->closed) {
    settle(c);
    return;
  }
  rd_kafka_topic_partition_list_t *list = advanced(c);
  if (!list) return;
  rd_kafka_offsets_store(c->rk, list);
  stored(c, list);
  rd_kafka_topic_partition_list_destroy(list);
}

rd_kafka_t *tw__consumer_rk(tw_consumer *c) {
  return c->rk;
}

int tw__consumer_grouped(const tw_consumer *c) {
  return !c->direct;
}

rd_kafka_topic_partition_list_t *tw__consumer_offsets(tw_consumer *c) {
  return advanced(c);
}

void tw__consumer_committed(tw_consumer *c,
                            const rd_kafka_topic_partition_list_t *list) {
  stored(c, list);
  /* the mock keeps no offsets of transactions */
  if (c->direct) rd_kafka_commit(c->rk, list, 1);
}

rd_kafka_topic_partition_list_t *tw__consumer_origin(tw_consumer *c) {
  c->rewinding = 1;
  rd_kafka_topic_partition_list_t *list = NULL;
  for (int k = 0; k < c->parts.count; k++) {
    struct tw__part *part = &c->parts.list[k];
    int64_t from = part->stored >= 0 ? part->stored : part->origin;
    if (!part->assigned || from < 0) continue;
    if (!list) list = rd_kafka_topic_partition_list_new(c->parts.count);
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
        from;
  }
  return list;
}

void tw__consumer_rewound(tw_consumer *c) {
  for (int k = 0; k < c->parts.count; k++) {
    struct tw__part *part = &c->parts.list[k];
    int64_t origin = part->origin, mark = part->stored;
    if (!part->assigned) continue;
    tw__parts_assign(&c->parts, k);
    part->origin = origin;
    part->stored = mark;
    part->position = mark;
  }
  free_raw(c->stash, c->stashed); /* comes again */
  c->stashed = c->rewinding = 0;
  c->cut = 1;
}

/* ---- pausing ---- */

static void set_paused(tw_consumer *c, int paused) {
  rd_kafka_topic_partition_list_t *list = NULL;
  if (c->paused == paused || rd_kafka_assignment(c->rk, &list) || !list) return;
  if (paused)
    rd_kafka_pause_partitions(c->rk, list);
  else
    rd_kafka_resume_partitions(c->rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  c->paused = paused;
}

/* Answer the group while nothing is read. What comes all the same is read next. */
static void serve(tw_consumer *c) {
  if (c->closed || c->event) return;
  if (c->stash_room - c->stashed < c->batch) {
    int room = c->stashed + c->batch;
    rd_kafka_message_t **more =
        tw__realloc(c->stash, (size_t)room * sizeof(rd_kafka_message_t *));
    if (!more) return;
    c->stash = more;
    c->stash_room = room;
  }
  ssize_t n = rd_kafka_consume_batch_queue(c->closer ? c->closer : c->queue, 0,
                                           c->stash + c->stashed, (size_t)c->batch);
  c->polled_at = tw_loop_now_ns();
  if (n > 0) c->stashed += (int)n;
}

/* What came of partitions that are gone is read again by who has them next. */
static void clean_stash(tw_consumer *c) {
  int to = 0;
  for (int i = 0; i < c->stashed; i++) {
    rd_kafka_message_t *m = c->stash[i];
    int k = m->err
                ? -1
                : tw__parts_find(&c->parts, rd_kafka_topic_name(m->rkt), m->partition);
    if (k >= 0 && !c->parts.list[k].assigned)
      rd_kafka_message_destroy(m);
    else
      c->stash[to++] = m;
  }
  c->stashed = to;
}

static int64_t since_ms(int64_t at) {
  return (tw_loop_now_ns() - at) / 1000000;
}

/* ---- partitions that are stuck ---- */

static int cooperative(const tw_consumer *c) {
  const char *protocol = rd_kafka_rebalance_protocol(c->rk);
  return protocol && !strcmp(protocol, "COOPERATIVE");
}

static int failed_rebalance(tw_consumer *c, rd_kafka_error_t *error,
                            rd_kafka_resp_err_t err) {
  if (!error && !err) return 0;
  snprintf(c->error, sizeof c->error, "the assignment failed: %s",
           error ? rd_kafka_error_string(error) : rd_kafka_err2str(err));
  rd_kafka_error_destroy(error);
  return 1;
}

/* Where what was taken from librdkafka of a partition ends; RD_KAFKA_OFFSET_INVALID: nothing was. */
static int64_t taken(tw_consumer *c, int k) {
  const struct tw__part *part = &c->parts.list[k];
  int64_t end = part->position;
  for (int i = 0; i < c->count; i++)
    if (c->messages[i].part == k && c->messages[i].epoch == part->epoch)
      end = c->messages[i].offset + 1;
  for (int i = 0; i < c->stashed; i++) {
    const rd_kafka_message_t *m = c->stash[i];
    if (!m->err && m->partition == part->partition &&
        !strcmp(rd_kafka_topic_name(m->rkt), part->topic))
      end = m->offset + 1;
  }
  return end < 0 ? RD_KAFKA_OFFSET_INVALID : end;
}

/* The partitions that are stuck, or all that are assigned. */
static rd_kafka_topic_partition_list_t *to_assign(tw_consumer *c, int all) {
  rd_kafka_topic_partition_list_t *list =
      rd_kafka_topic_partition_list_new(c->parts.count);
  for (int k = 0; k < c->parts.count; k++) {
    const struct tw__part *part = &c->parts.list[k];
    if (!part->assigned || !(all || part->stuck)) continue;
    rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
        part->stuck ? RD_KAFKA_OFFSET_INVALID : taken(c, k);
  }
  return list;
}

/* librdkafka gives a partition up whose committed offset it could not fetch because of what the
 * coordinator says (it has moved, it is not there yet): it stays assigned, and nothing is read of
 * it until it is assigned anew. */
static void assign_again(tw_consumer *c) {
  if (c->stopped) c->again_at = 0;
  if (!c->again_at || c->event || c->paused || c->rewinding ||
      tw_loop_now_ns() < c->again_at)
    return;
  c->again_at = 0;
  rd_kafka_topic_partition_list_t *list = to_assign(c, 0);
  int failed = 0;
  if (list->cnt && !c->direct && cooperative(c)) {
    failed = failed_rebalance(c, rd_kafka_incremental_unassign(c->rk, list), 0) ||
             failed_rebalance(c, rd_kafka_incremental_assign(c->rk, list), 0);
  } else if (list->cnt) {
    rd_kafka_topic_partition_list_destroy(list);
    list = to_assign(c, 1);
    failed = failed_rebalance(c, NULL, rd_kafka_assign(c->rk, list));
  }
  c->lot++;
  for (int i = 0; i < list->cnt; i++) {
    int k = tw__parts_find(&c->parts, list->elems[i].topic, list->elems[i].partition);
    c->parts.list[k].stuck = 0;
    c->parts.list[k].lot = c->lot;
  }
  rd_kafka_topic_partition_list_destroy(list);
  if (failed) {
    c->broken = 1;
    tw__loop_ready(&c->handle);
  }
}

static void tick(tw_consumer *c);

/* What librdkafka says of it: of one partition, or of all that were assigned last. */
static int note_stuck(tw_consumer *c, const rd_kafka_message_t *m) {
  if (!strstr(rd_kafka_message_errstr(m), "Failed to fetch committed offset")) return 0;
  int one = m->rkt
                ? tw__parts_find(&c->parts, rd_kafka_topic_name(m->rkt), m->partition)
                : -1;
  for (int k = 0; k < c->parts.count; k++)
    if (k == one || (!m->rkt && c->parts.list[k].lot == c->lot))
      c->parts.list[k].stuck = 1;
  c->again_at = tw_loop_now_ns() + AGAIN * 1000000LL;
  tick(c);
  return 1;
}

static void ticked(uv_timer_t *timer) {
  tw_consumer *c = timer->data;
  if (c->closed) return;
  store(c);
  if (c->again_at) assign_again(c);
  int out = c->out;
  if (out && !c->stopped && !c->event && since_ms(c->handed_at) > c->pause_ms) {
    set_paused(c, 1);
    serve(c);
  }
  if (!out && !c->rewinding && since_ms(c->polled_at) >= c->poll_ms) {
    serve(c);
    if (c->stashed) tw__loop_ready(&c->handle);
  }
  if (out && c->cut_ms && since_ms(c->handed_at) >= c->cut_ms) c->cut = 1;
  if (c->stopped && !c->event) serve(c);
  if (c->event || c->stopped || c->watched) tw__loop_ready(&c->handle);
  if (!out && !c->event && !c->stopped && !c->watched && !c->parts.kept &&
      !c->again_at) {
    uv_timer_start(&c->tick, ticked, (uint64_t)c->poll_ms, (uint64_t)c->poll_ms);
    c->ticking = 0;
  }
}

static void tick(tw_consumer *c) {
  if (c->ticking || c->handle.id == 0 || !c->uv_open) return;
  uv_timer_start(&c->tick, ticked, TICK, TICK);
  c->ticking = 1;
}

/* ---- open, close ---- */

static void close_uv(uv_handle_t *handle) {
  tw__free(handle->data);
}

static void end(tw_consumer *c) {
  int used =
      c->link && c->link->users; /* at the end of the process: it stays as it is */
  if (c->link) {
    c->link->consumer = NULL;
    tw__kafka_unlink(c->link);
  }
  tw__kafka_wake_close(c->wake);
  c->wake = NULL;
  free_raw(c->raw, c->count);
  free_raw(c->stash, c->stashed);
  if (c->change) rd_kafka_topic_partition_list_destroy(c->change);
  if (c->closer) rd_kafka_queue_destroy(c->closer);
  if (c->rk) {
    if (used || (c->unsafe && !c->assigned))
      ; /* that would end the process */
    else if (c->closed)
      rd_kafka_destroy_flags(c->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    else
      rd_kafka_destroy(c->rk);
  }
  tw__free(c->raw);
  tw__free(c->messages);
  tw__free(c->stash);
  tw__parts_free(&c->parts);
  tw__loop_detach(&c->handle);
  if (!c->uv_open) {
    tw__free(c);
    return;
  }
  c->uv_open = 0;
  uv_timer_stop(&c->tick);
  uv_close((uv_handle_t *)&c->tick, close_uv); /* frees c */
}

void tw_consumer_close(tw_consumer *c) {
  if (!c) return;
  if (!c->closed) {
    tw_consumer_stop(c);
    while (!tw_consumer_closed(c)) {
      if (c->event) tw_consumer_rebalance(c);
      struct timespec nap = {.tv_nsec = 1000000};
      nanosleep(&nap, NULL);
    }
  }
  end(c);
}

static void close_handle(tw__handle *handle) {
  tw_consumer_close((tw_consumer *)handle);
}

static void woken(void *arg) {
  tw__loop_ready(&((tw_consumer *)arg)->handle);
}

/* A name per line. Returns a new list; NULL: no memory. */
static rd_kafka_topic_partition_list_t *topic_list(const char *text) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
  char name[512];
  while (*text) {
    size_t len = strcspn(text, "\n");
    snprintf(name, sizeof name, "%.*s", (int)len, text);
    rd_kafka_topic_partition_list_add(list, name, RD_KAFKA_PARTITION_UA);
    text += len + (text[len] == '\n');
  }
  return list;
}

/* The group takes a member for dead that has not polled for max.poll.interval.ms, or has not
 * given up a partition by then. */
static void read_intervals(tw_consumer *c, const rd_kafka_conf_t *conf) {
  char text[32] = "";
  size_t size = sizeof text;
  rd_kafka_conf_get(conf, "max.poll.interval.ms", text, &size);
  int64_t most = strtoll(text, NULL, 10);
  c->poll_ms = most / POLL_SHARE;
  c->pause_ms = c->poll_ms < PAUSE_AFTER ? c->poll_ms : PAUSE_AFTER;
  if (c->drain_ms > most - c->poll_ms) c->drain_ms = most - c->poll_ms;
}

/* Where a group begins, for assign_here; RD_KAFKA_OFFSET_INVALID: something else. */
static int64_t read_begin(const rd_kafka_conf_t *conf) {
  char text[32] = "";
  size_t size = sizeof text;
  rd_kafka_conf_get(conf, "auto.offset.reset", text, &size);
  if (!strcmp(text, "smallest") || !strcmp(text, "earliest"))
    return RD_KAFKA_OFFSET_BEGINNING;
  return !strcmp(text, "largest") || !strcmp(text, "latest") ? RD_KAFKA_OFFSET_END
                                                             : RD_KAFKA_OFFSET_INVALID;
}

/* librdkafka before 2.3.0 cannot destroy a client with the assignor cooperative-sticky between its
 * joining a group for the first time and its first assignment (its issue 4312): assert. */
static int fears_destruction(const rd_kafka_conf_t *conf) {
  char text[256] = "";
  size_t size = sizeof text;
  rd_kafka_conf_get(conf, "partition.assignment.strategy", text, &size);
  return rd_kafka_version() < 0x020300ff && strstr(text, "cooperative-sticky");
}

tw_consumer *tw_consumer_open(tw_loop *loop, tw_kafka_conf *given,
                              const tw_consumer_options *o, char *error, int64_t size) {
  rd_kafka_conf_t *conf = tw__kafka_conf_take(given);
  tw_consumer *c = tw__calloc(1, sizeof *c);
  snprintf(error, (size_t)size, "no memory");
  if (!c) {
    rd_kafka_conf_destroy(conf);
    return NULL;
  }
  c->batch = o->batch > 0 ? o->batch : 1000;
  c->commit = o->commit;
  c->direct = o->direct;
  c->until_end = o->until_end;
  c->drain_ms = o->drain_ms;
  c->cut_ms = o->cut_ms;
  read_intervals(c, conf);
  c->begin = read_begin(conf);
  const int unsafe = fears_destruction(conf);
  rd_kafka_conf_set_opaque(conf, c);
  rd_kafka_conf_set_error_cb(conf, note_error);
  rd_kafka_conf_set_rebalance_cb(conf, note_rebalance);
  rd_kafka_conf_set_offset_commit_cb(conf, note_commit);
  if (!o->loud) rd_kafka_conf_set_log_cb(conf, NULL);
  c->raw = tw__calloc((size_t)c->batch, sizeof *c->raw);
  c->messages = tw__calloc((size_t)c->batch, sizeof *c->messages);
  if (c->raw && c->messages)
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, (size_t)size);
  if (!c->rk) {
    rd_kafka_conf_destroy(conf);
    end(c);
    return NULL;
  }
  rd_kafka_resp_err_t no_group = rd_kafka_poll_set_consumer(c->rk);
  if (no_group) { /* there is no queue either */
    snprintf(error, (size_t)size, "group.id: %s", rd_kafka_err2str(no_group));
    c->closed = 1;
    end(c);
    return NULL;
  }
  c->queue = rd_kafka_queue_get_consumer(c->rk);
  c->wake = tw__kafka_wake_open(loop, c->queue, woken, c);
  if (!c->wake) {
    end(c);
    return NULL;
  }
  uv_timer_init(tw__loop_uv(loop), &c->tick);
  c->tick.data = c;
  c->uv_open = 1;
  uv_timer_start(&c->tick, ticked, (uint64_t)c->poll_ms, (uint64_t)c->poll_ms);
  tw__loop_attach(loop, &c->handle, close_handle);
  if (!c->direct) {
    rd_kafka_topic_partition_list_t *topics = topic_list(o->topics);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err) {
      snprintf(error, (size_t)size, "topics: %s", rd_kafka_err2str(err));
      c->closed = 1;
      end(c);
      return NULL;
    }
    c->unsafe = unsafe;
  }
  return c;
}

uint32_t tw_consumer_id(const tw_consumer *c) {
  return c->handle.id;
}

/* ---- reading ---- */

/* What a message that is an error says. Returns 0 when reading can go on. */
static int trouble(tw_consumer *c, const rd_kafka_message_t *m) {
  const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";
  switch (m->err) {
  case RD_KAFKA_RESP_ERR__PARTITION_EOF: {
    int k = tw__parts_find(&c->parts, topic, m->partition);
    if (k >= 0) c->parts.list[k].at_end = 1;
    return 0;
  }
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    snprintf(c->notice.text, TW_KAFKA_TEXT, "there is no topic %.200s; waiting for it",
             topic);
    return 0;
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
  case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
  case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
  case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
  case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
  case RD_KAFKA_RESP_ERR__FATAL:
    snprintf(c->error, sizeof c->error, "%s%s%s", topic, topic[0] ? ": " : "",
             rd_kafka_message_errstr(m));
    return 1;
  default:
    snprintf(c->notice.text, TW_KAFKA_TEXT, "%s%s", rd_kafka_message_errstr(m),
             note_stuck(c, m) ? "; trying again" : "");
    return 0;
  }
}

static int find_part(tw_consumer *c, const rd_kafka_message_t *m) {
  if (m->rkt == c->rkt && m->partition == c->rkt_partition) return c->rkt_part;
  int k = tw__parts_find(&c->parts, rd_kafka_topic_name(m->rkt), m->partition);
  if (k < 0) return k;
  c->rkt = m->rkt;
  c->rkt_partition = m->partition;
  c->rkt_part = k;
  return k;
}

/* Hand out the raw messages from .. from + n - 1, which move up over those left out. */
static int hand_out(tw_consumer *c, int from, int n) {
  int failed = 0, to = from;
  c->rkt = NULL; /* handles of topics may be others than in the last batch */
  for (int i = from; i < from + n; i++) {
    rd_kafka_message_t *m = c->raw[i];
    int k = m->err ? -1 : find_part(c, m);
    struct tw__part *part = k < 0 ? NULL : &c->parts.list[k];
    if (!part || !part->assigned) {
      if (m->err && trouble(c, m)) failed = 1;
      rd_kafka_message_destroy(m);
      continue;
    }
    if (part->origin < 0) part->origin = m->offset;
    part->at_end = 0;
    c->raw[to] = m;
    c->messages[to++] = (tw_kafka_message){
        .value = m->payload,
        .value_len = (int64_t)m->len,
        .key = m->key,
        .key_len = (int64_t)m->key_len,
        .offset = m->offset,
        .part = k,
        .epoch = part->epoch,
    };
  }
  c->count = to;
  if (failed) c->broken = 1;
  return to;
}

/* What is left of the batch, without the messages of partitions that are gone. */
static int left_over(tw_consumer *c) {
  int to = 0;
  for (int i = 0; i < c->count; i++) {
    const tw_kafka_message *m = &c->messages[i];
    if (i < c->at || c->parts.list[m->part].epoch != m->epoch) {
      rd_kafka_message_destroy(c->raw[i]);
      continue;
    }
    c->raw[to] = c->raw[i];
    c->messages[to++] = *m;
  }
  return to;
}

static int all_ended(const tw_consumer *c) {
  if (!c->assigned) return 0;
  for (int k = 0; k < c->parts.count; k++)
    if (c->parts.list[k].assigned && !c->parts.list[k].at_end) return 0;
  return 1;
}

/* Messages into raw. Returns how many; 0: none are there, and the next one is reported. */
static int receive(tw_consumer *c) {
  int n = c->stashed < c->batch ? c->stashed : c->batch;
  if (n) {
    memcpy(c->raw, c->stash, (size_t)n * sizeof *c->raw);
    c->stashed -= n;
    memmove(c->stash, c->stash + n, (size_t)c->stashed * sizeof *c->stash);
  } else {
    n = (int)rd_kafka_consume_batch_queue(c->queue, 0, c->raw, (size_t)c->batch);
    c->polled_at = tw_loop_now_ns();
  }
  return n;
}

int tw_consumer_next(tw_consumer *c) {
  settle(c);
  if (c->event || c->closed) return TW_AGAIN; /* what is left of the batch stays */
  if (c->cut) {
    c->count = left_over(c);
    c->cut = c->at = c->settled = 0;
    if (c->count) goto out;
  } else {
    free_raw(c->raw, c->count);
  }
  c->count = c->at = c->settled = 0;
  if (c->stopped) return TW_EOF;
  if (c->broken) return TW_EIO;
  if (c->paused) set_paused(c, 0);
  int n;
  while ((n = receive(c)) > 0 && !hand_out(c, 0, n) && !c->event && !c->broken)
    continue;
  if (n > 0 && !c->count) n = 0;
  if (n > 0 && c->event) { /* it came among them: they are the rest of a batch */
    c->cut = 1;
    return TW_AGAIN;
  }
  if (n <= 0) {
    if (c->broken) return TW_EIO;
    if (c->until_end && !c->event && all_ended(c)) return TW_EOF;
    if (c->parts.kept || c->event) tick(c);
    return TW_AGAIN;
  }
  c->notice.down = 0;
out:
  c->at = -1;
  c->out = 1;
  c->handed_at = tw_loop_now_ns();
  tick(c);
  return c->count;
}

void tw_consumer_back(tw_consumer *c) {
  c->at++;
  c->out = 0;
  settle(c);
  if (c->event || c->stopped) tw__loop_ready(&c->handle);
}

const tw_kafka_message *tw_consumer_messages(const tw_consumer *c) {
  return c->messages;
}

int *tw_consumer_at(tw_consumer *c) {
  return &c->at;
}

const int *tw_consumer_cut(const tw_consumer *c) {
  return &c->cut;
}

int64_t tw_consumer_timestamp(const tw_consumer *c, int i) {
  rd_kafka_timestamp_type_t type;
  int64_t at = rd_kafka_message_timestamp(c->raw[i], &type);
  return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : at;
}

int tw_consumer_header(const tw_consumer *c, int i, int k, const char **name,
                       const char **value, int64_t *len) {
  rd_kafka_headers_t *headers;
  const void *bytes;
  size_t size;
  if (rd_kafka_message_headers(c->raw[i], &headers)) return 0;
  if (rd_kafka_header_get_all(headers, (size_t)k, name, &bytes, &size)) return 0;
  *value = bytes;
  *len = (int64_t)size;
  return 1;
}

const char *tw_consumer_topic(const tw_consumer *c, int part) {
  return c->parts.list[part].topic;
}

int tw_consumer_partition(const tw_consumer *c, int part) {
  return c->parts.list[part].partition;
}

int64_t tw_consumer_keep(tw_consumer *c, int i) {
  const tw_kafka_message *m = &c->messages[i];
  if (c->parts.list[m->part].epoch != m->epoch) return -1;
  return tw__parts_keep(&c->parts, m->part, m->offset);
}

void tw_consumer_release(tw_consumer *c, int part, int64_t number) {
  if (tw__parts_release(&c->parts, part, number)) tick(c);
  if ((c->event || c->stopped || c->watched) && !c->parts.kept)
    tw__loop_ready(&c->handle);
}

void tw_consumer_watch(tw_consumer *c, int on) {
  c->watched = on;
  if (on) tick(c);
}

void tw_consumer_interrupt(tw_consumer *c) {
  c->cut = 1;
}

int64_t tw_consumer_kept(const tw_consumer *c) {
  return c->parts.kept;
}

int64_t tw_consumer_position(const tw_consumer *c, int part) {
  return tw__part_watermark(&c->parts.list[part]);
}

struct tw__kafka_link *tw__consumer_link(tw_consumer *c) {
  if (!c->link) {
    c->link = tw__calloc(1, sizeof *c->link);
    if (!c->link) return NULL;
    c->link->consumer = c;
    c->link->refs = 1;
  }
  c->link->refs++;
  return c->link;
}

void tw__kafka_unlink(struct tw__kafka_link *link) {
  if (--link->refs == 0) tw__free(link);
}

int tw__consumer_part(const tw_consumer *c) {
  return c->messages[c->at].part;
}

/* ---- rebalances ---- */

int tw_consumer_event(const tw_consumer *c) {
  return c->event;
}

int tw_consumer_drained(tw_consumer *c) {
  if (c->event != TW_REBALANCE_REVOKE || since_ms(c->event_at) >= c->drain_ms) return 1;
  settle(c);
  int busy = c->out && c->at >= 0 && c->parts.list[c->messages[c->at].part].going;
  for (int k = 0; k < c->parts.count && !busy; k++) {
    const struct tw__part *part = &c->parts.list[k];
    busy = part->going && part->head < part->tail;
  }
  if (busy) tick(c); /* looks at the time */
  return !busy;
}

static void own(tw_consumer *c, int assign) {
  c->lot += assign;
  for (int i = 0; i < c->change->cnt; i++) {
    const rd_kafka_topic_partition_t *tp = &c->change->elems[i];
    int k = tw__parts_find(&c->parts, tp->topic, tp->partition);
    if (k < 0) continue;
    if (assign)
      tw__parts_assign(&c->parts, k);
    else
      tw__parts_revoke(&c->parts, k);
    c->parts.list[k].lot = c->lot;
  }
  if (!assign) clean_stash(c);
}

/* Assign in the cluster in this process, which answers at once: who leads the partitions and where
 * they are to be read from is asked before, as librdkafka would pause for 100 to 1000 ms in
 * between. What cannot be told is left to it. */
static rd_kafka_resp_err_t assign_here(tw_consumer *c) {
  rd_kafka_topic_partition_list_t *list = c->change;
  const struct rd_kafka_metadata *found;
  rd_kafka_topic_t **topics = tw__calloc((size_t)list->cnt, sizeof *topics);
  for (int i = 0; topics && i < list->cnt; i++) /* known as long as somebody has them */
    topics[i] = rd_kafka_topic_new(c->rk, list->elems[i].topic, NULL);
  if (topics && !rd_kafka_metadata(c->rk, 0, NULL, &found, LOOK_UP))
    rd_kafka_metadata_destroy(found);
  rd_kafka_resp_err_t err = rd_kafka_committed(c->rk, list, LOOK_UP);
  int refused = err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
  for (int i = 0; i < list->cnt; i++) {
    rd_kafka_topic_partition_t *tp = &list->elems[i];
    if (err || tp->err)
      tp->offset = RD_KAFKA_OFFSET_INVALID;
    else if (tp->offset < 0)
      tp->offset = c->begin;
    if (tp->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) refused = 1;
    tp->err = RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  err = refused ? RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                : rd_kafka_assign(c->rk, list);
  for (int i = 0; topics && i < list->cnt; i++)
    if (topics[i]) rd_kafka_topic_destroy(topics[i]);
  tw__free(topics);
  return err;
}

static int change_assignment(tw_consumer *c, int assign) {
  if (c->direct && assign) return failed_rebalance(c, NULL, assign_here(c));
  if (!c->direct && cooperative(c)) {
    rd_kafka_error_t *error = assign ? rd_kafka_incremental_assign(c->rk, c->change)
                                     : rd_kafka_incremental_unassign(c->rk, c->change);
    return failed_rebalance(c, error, 0);
  }
  return failed_rebalance(c, NULL, rd_kafka_assign(c->rk, assign ? c->change : NULL));
}

int tw_consumer_rebalance(tw_consumer *c) {
  int event = c->event;
  if (event == TW_REBALANCE_NONE) return 0;
  settle(c);
  if (event == TW_REBALANCE_REVOKE) store(c);
  if (event == TW_REBALANCE_REVOKE && c->direct && c->commit)
    rd_kafka_commit(c->rk, NULL, 0);
  own(c, event == TW_REBALANCE_ASSIGN);
  c->event = TW_REBALANCE_NONE;
  if (!c->stopped)
    set_paused(c, 0); /* would stay with the partitions wherever they go */
  int failed = change_assignment(c, event == TW_REBALANCE_ASSIGN);
  if (event == TW_REBALANCE_ASSIGN) c->assigned = 1;
  rd_kafka_topic_partition_list_destroy(c->change);
  c->change = NULL;
  tw__loop_ready(&c->handle); /* there may be more */
  if (failed) return TW_EIO;
  int count = 0;
  for (int k = 0; k < c->parts.count; k++) count += c->parts.list[k].assigned;
  return count;
}

int tw_consumer_propose(tw_consumer *c, const char *text) {
  if (c->closing) return TW_OK; /* librdkafka would not bear it */
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  char name[512];
  while (*text) {
    size_t len = strcspn(text, "\t");
    char *rest;
    snprintf(name, sizeof name, "%.*s", (int)len, text);
    long number = strtol(text + len + 1, &rest, 10);
    rd_kafka_topic_partition_list_add(list, name, (int32_t)number);
    text = rest + 1;
  }
  int event = list->cnt ? TW_REBALANCE_ASSIGN : TW_REBALANCE_REVOKE;
  for (int k = 0; event == TW_REBALANCE_REVOKE && k < c->parts.count; k++) {
    const struct tw__part *part = &c->parts.list[k];
    if (part->assigned)
      rd_kafka_topic_partition_list_add(list, part->topic, part->partition);
  }
  begin_event(c, event, list);
  rd_kafka_topic_partition_list_destroy(list);
  return TW_OK;
}

/* ---- the end ---- */

void tw_consumer_commit(tw_consumer *c) {
  if (!c->commit || c->closed) return;
  store(c);
  rd_kafka_commit(c->rk, NULL, 1);
}

void tw_consumer_stop(tw_consumer *c) {
  if (c->stopped) return;
  c->stopped = 1;
  store(c);
  set_paused(c, 1);
  tick(c);
}

/* Is a member that is not subscribed any more on its way into its group? An answer to its first
 * request is ignored; when it has a name there, or an assignor, the way has to be gone to its end. */
static int is_joining(tw_consumer *c) {
  char *member = rd_kafka_memberid(c->rk);
  const int named = member && *member;
  if (member) rd_kafka_mem_free(c->rk, member);
  const char *protocol = rd_kafka_rebalance_protocol(c->rk); /* NULL: it cannot tell */
  return named || !protocol || strcmp(protocol, "NONE") != 0;
}

/* Of one that cannot be destroyed while it joins its group for the first time: has it done so, or
 * not even begun, or taken too long? */
static int may_leave(tw_consumer *c) {
  if (!c->unsafe || c->assigned || c->closing) return 1;
  if (!c->leaving_at) c->leaving_at = tw_loop_now_ns();
  rd_kafka_unsubscribe(c->rk); /* or it could begin as soon as it was asked */
  c->unsafe = is_joining(c);
  if (!c->unsafe || since_ms(c->leaving_at) >= JOIN_PATIENCE * 1000) return 1;
  serve(c);
  if (c->event) tw_consumer_rebalance(c);
  tick(c);
  return c->assigned;
}

/* May a commit that has failed so succeed in a moment? */
static int may_commit_later(rd_kafka_resp_err_t err) {
  switch (err) {
  case RD_KAFKA_RESP_ERR__TRANSPORT:
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
  case RD_KAFKA_RESP_ERR__WAIT_COORD:
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
  case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
  case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
  case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_NOT_COORDINATOR: return 1;
  default: return 0;
  }
}

/* What leaving the group does for who has one: the last commit. Returns whether it is over. */
static int commit_at_last(tw_consumer *c) {
  if (!c->direct || !c->commit) return 1;
  const rd_kafka_resp_err_t err = rd_kafka_commit(c->rk, NULL, 0);
  if (may_commit_later(err) && since_ms(c->closing_at) < CLOSE_PATIENCE * 1000)
    return 0;
  note_commit(c->rk, err, NULL, c);
  return 1;
}

int tw_consumer_closed(tw_consumer *c) {
  if (c->closed) return 1;
  store(c);
  if (!may_leave(c)) return 0;
  if (!c->closing_at) {
    c->closing_at = tw_loop_now_ns();
    uv_timer_start(&c->tick, ticked, TICK_CLOSING, TICK_CLOSING);
    c->ticking = 1;
  }
  if (!c->closing) {
    if (!commit_at_last(c)) return 0;
    c->closing = 1;
    if (c->direct) {
      c->event = TW_REBALANCE_NONE;
      rd_kafka_assign(c->rk, NULL);
    }
    c->closer = rd_kafka_queue_new(c->rk);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->rk, c->closer);
    if (error) {
      rd_kafka_error_destroy(error);
      c->closed = 1;
      return 1;
    }
  }
  serve(c);
  if (c->event) tw_consumer_rebalance(c);
  if (rd_kafka_consumer_closed(c->rk) ||
      since_ms(c->closing_at) >= CLOSE_PATIENCE * 1000)
    c->closed = 1;
  return c->closed;
}

const char *tw_consumer_notice(tw_consumer *c) {
  return tw__kafka_say(&c->notice);
}

const char *tw_consumer_error(const tw_consumer *c) {
  return c->error;
}
