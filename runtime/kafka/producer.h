/* producer.h -- a producer, for the two files that know what is in it. */
#ifndef TIDEWAY_KAFKA_PRODUCER_H
#define TIDEWAY_KAFKA_PRODUCER_H

#include "kafka/kafka.h"
#include "kafka/later.h"

enum { TW_REPORTS = 1000 };

struct tw_producer {
  tw__handle handle; /* first */
  rd_kafka_t *rk;
  rd_kafka_queue_t *queue;
  struct tw__kafka_wake *wake;
  struct tw__topic *topics;
  int topic_count;
  rd_kafka_headers_t *headers; /* of the next record */
  int64_t pending;
  struct tw__block *blocks;
  struct tw__kept *spare;
  rd_kafka_event_t *event; /* that is being taken apart */
  tw_kafka_report report[TW_REPORTS];
  int broken;
  rd_kafka_resp_err_t refused; /* why the last record was */
  struct tw__kafka_notice notice;
  char error[TW_KAFKA_TEXT];

  /* transactions */
  int transactional;
  int begun; /* records can be produced */
  struct tw__later later;
  rd_kafka_resp_err_t lost_later; /* one of them was refused */
  int careful;           /* transactions for which no record waits in `later` */
  struct tw__step *step; /* under way */
  int state;             /* of the last step */
  int64_t patience_ns;   /* that a step may take */
};

/* ---- producer.c ---- */

/* Produce what has waited for the transaction, as far as there is room. */
void tw__producer_catch_up(tw_producer *p);

/* Free it. */
void tw__producer_end(tw_producer *p);

/* ---- transaction.c ---- */

/* It ends soon: there is no hope. */
void tw__step_give_up(struct tw__step *step);

/* The producer is closed: the step ends soon, and then the producer. */
void tw__step_orphan(struct tw__step *step);

#endif
