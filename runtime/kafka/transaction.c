/* transaction.c -- the steps of transactions: begin, commit, abort.
 *
 * They wait for the broker, so they are made on a thread of libuv's while the loop goes on; it
 * takes the reports meanwhile, without which no transaction ends. What librdkafka is asked for
 * it goes on with after a timeout, and the same call resumes it: so each call is a short one,
 * and a step ends soon after its time is over.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "kafka/producer.h"

enum {
  CALL_MS = 500,     /* of one call */
  OFFSETS_MS = 5000, /* of the one that cannot be resumed */
  FLUSH_MS = 2000,   /* of records that are to be aborted */
  REWIND_MS = 10000, /* of one call */
  AGAIN_US = 20000,  /* until the next call */
  ABORTS = 20,       /* calls that say that another abort is needed */
};

struct tw__step {
  uv_work_t work;        /* first */
  tw_producer *producer; /* closed: what the thread uses is its own then */
  struct tw__kafka_link *link;
  rd_kafka_t *rk, *group; /* the consumer's */
  int kind, result, closed;
  int grouped; /* the group has members */
  int flushed, aborts;
  int sent;              /* the offsets are part of the transaction */
  _Atomic int64_t until; /* ns */
  rd_kafka_topic_partition_list_t *offsets;
  char error[TW_KAFKA_TEXT];
};

/* ---- on the thread ---- */

/* How long a call may take; 1: no longer. */
static int time_left(struct tw__step *step, int most) {
  int64_t ms = (atomic_load(&step->until) - tw_loop_now_ns()) / 1000000;
  return ms < 1 ? 1 : ms < most ? (int)ms : most;
}

static int is_late(struct tw__step *step) {
  return tw_loop_now_ns() >= atomic_load(&step->until);
}

/* Returns TW_AGAIN when the call is to be repeated. error: taken. */
static int judge(struct tw__step *step, rd_kafka_error_t *error) {
  if (!error) return TW_OK;
  snprintf(step->error, sizeof step->error, "%s", rd_kafka_error_string(error));
  int result = rd_kafka_error_is_retriable(error)         ? TW_AGAIN
               : rd_kafka_error_txn_requires_abort(error) ? TW_ECORRUPT
                                                          : TW_EIO;
  rd_kafka_error_destroy(error);
  return result;
}

/* Why it takes so long (the coordinator is loading ...) is not marked as something to be tried
 * again; only what is fatal is meant to end it. */
static int init(struct tw__step *step) {
  rd_kafka_error_t *error =
      rd_kafka_init_transactions(step->rk, time_left(step, CALL_MS));
  int wrong = error && (rd_kafka_error_is_fatal(error) ||
                        rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__STATE);
  int result = judge(step, error);
  return result && !wrong ? TW_AGAIN : result;
}

/* Has the group put it out? Then librdkafka's metadata of the group name no member, and the
 * broker would take the offsets from anybody; without that it refuses those of a generation that
 * is over. It is no member again before its partitions have been given up. */
static int is_out(const struct tw__step *step) {
  if (!step->grouped) return 0;
  char *id = rd_kafka_memberid(step->group);
  int out = !id || !id[0];
  if (id) rd_kafka_mem_free(step->group, id);
  return out;
}

static int send_offsets(struct tw__step *step) {
  rd_kafka_consumer_group_metadata_t *group =
      rd_kafka_consumer_group_metadata(step->group);
  int result = TW_ECORRUPT;
  if (!group || is_out(step)) /* in this order */
    snprintf(step->error, sizeof step->error,
             "the consumer is no member of its group any more");
  else
    result =
        judge(step, rd_kafka_send_offsets_to_transaction(step->rk, step->offsets, group,
                                                         time_left(step, OFFSETS_MS)));
  if (group) rd_kafka_consumer_group_metadata_destroy(group);
  step->sent = !result;
  return result;
}

static int commit(struct tw__step *step) {
  if (rd_kafka_flush(step->rk, time_left(step, CALL_MS))) {
    snprintf(step->error, sizeof step->error, "%d records have not been delivered yet",
             rd_kafka_outq_len(step->rk));
    return TW_AGAIN;
  }
  if (step->offsets && !step->sent) {
    int result = send_offsets(step);
    if (result) return result;
  }
  return judge(step, rd_kafka_commit_transaction(step->rk, time_left(step, CALL_MS)));
}

/* While the partitions of a transaction are still being added to it (which takes until those of
 * the one before are done with), the broker finds that there is none, and an abort is a fatal
 * error. So what is on its way arrives first, if it can. */
static int undo(struct tw__step *step) {
  if (!step->flushed) rd_kafka_flush(step->rk, time_left(step, FLUSH_MS));
  step->flushed = 1;
  int result =
      judge(step, rd_kafka_abort_transaction(step->rk, time_left(step, CALL_MS)));
  return result == TW_ECORRUPT && step->aborts++ < ABORTS ? TW_AGAIN : result;
}

/* A broker that comes back takes longer than one call. */
static int rewind_consumer(struct tw__step *step) {
  int result = TW_OK, timed_out = 1;
  while (step->offsets && timed_out) {
    if (is_late(step)) return TW_OK;
    rd_kafka_error_t *error = rd_kafka_seek_partitions(step->group, step->offsets,
                                                       time_left(step, REWIND_MS));
    timed_out = error && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT;
    result = judge(step, error);
  }
  for (int i = 0; !result && step->offsets && i < step->offsets->cnt; i++)
    if (step->offsets->elems[i].err) {
      snprintf(step->error, sizeof step->error, "%s",
               rd_kafka_err2str(step->offsets->elems[i].err));
      result = TW_EIO;
    }
  return result == TW_AGAIN ? TW_EIO : result;
}

static int attempt(struct tw__step *step) {
  switch (step->kind) {
  case TW_TXN_INIT: return init(step);
  case TW_TXN_COMMIT: return commit(step);
  default: return undo(step);
  }
}

static void work(uv_work_t *work) {
  struct tw__step *step = (struct tw__step *)work;
  int result;
  while ((result = attempt(step)) == TW_AGAIN && !is_late(step)) usleep(AGAIN_US);
  if (!result && step->kind == TW_TXN_ABORT) result = rewind_consumer(step);
  if (!result) result = judge(step, rd_kafka_begin_transaction(step->rk));
  step->result = result == TW_AGAIN ? TW_EIO : result; /* its time is over */
}

/* ---- on the loop ---- */

static void free_step(struct tw__step *step) {
  if (step->link) {
    step->link->users--;
    tw__kafka_unlink(step->link);
  }
  if (step->offsets) rd_kafka_topic_partition_list_destroy(step->offsets);
  tw__free(step);
}

static void worked(uv_work_t *done, int status) {
  struct tw__step *step = (struct tw__step *)done;
  (void)status;
  tw_producer *p = step->producer;
  tw_consumer *consumer = step->link ? step->link->consumer : NULL;
  if (step->closed) {
    free_step(step);
    tw__producer_end(p);
    return;
  }
  if (!step->result && consumer && step->kind == TW_TXN_COMMIT && step->offsets)
    tw__consumer_committed(consumer, step->offsets);
  if (!step->result && consumer && step->kind == TW_TXN_ABORT)
    tw__consumer_rewound(consumer);
  if (step->result && !p->broken) memcpy(p->error, step->error, sizeof p->error);
  p->state = step->result;
  p->step = NULL;
  p->begun = !step->result;
  if (p->begun && step->kind == TW_TXN_COMMIT && p->careful) p->careful--;
  free_step(step);
  if (p->begun) tw__producer_catch_up(p);
  tw__loop_ready(&p->handle);
}

/* What the step is to know of the consumer. Returns TW_OK or TW_ENOMEM. */
static int look_at(struct tw__step *step, tw_consumer *consumer) {
  if (!consumer) return TW_OK;
  step->link = tw__consumer_link(consumer);
  if (!step->link) return TW_ENOMEM;
  step->link->users++;
  step->group = tw__consumer_rk(consumer);
  step->grouped = tw__consumer_grouped(consumer);
  if (step->kind == TW_TXN_COMMIT) step->offsets = tw__consumer_offsets(consumer);
  if (step->kind == TW_TXN_ABORT) step->offsets = tw__consumer_origin(consumer);
  return TW_OK;
}

static int64_t deadline(const tw_producer *p) {
  return p->patience_ns == INT64_MAX ? INT64_MAX : tw_loop_now_ns() + p->patience_ns;
}

void tw_producer_step(tw_producer *p, int kind, tw_consumer *consumer) {
  struct tw__step *step = tw__calloc(1, sizeof *step);
  p->state = TW_EIO;
  if (!step) {
    snprintf(p->error, sizeof p->error, "no memory");
    return;
  }
  step->producer = p;
  step->rk = p->rk;
  step->kind = kind;
  atomic_store(&step->until, deadline(p));
  if (look_at(step, consumer) ||
      uv_queue_work(tw__loop_uv(p->handle.loop), &step->work, work, worked)) {
    snprintf(p->error, sizeof p->error, "no memory");
    free_step(step);
    return;
  }
  p->begun = 0;
  if (kind == TW_TXN_ABORT) {
    p->pending -= p->later.count;
    tw__later_clear(&p->later);
  }
  p->step = step;
  p->state = TW_AGAIN;
}

int tw_producer_stepped(const tw_producer *p) {
  return p->state;
}

void tw_producer_hurry(tw_producer *p, int64_t ms) {
  p->patience_ns = ms * 1000000;
  if (p->step) atomic_store(&p->step->until, deadline(p));
}

void tw__step_give_up(struct tw__step *step) {
  atomic_store(&step->until, 0);
}

void tw__step_orphan(struct tw__step *step) {
  step->closed = 1;
  tw__step_give_up(step);
}
