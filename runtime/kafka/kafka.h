/* kafka.h -- what the files of this folder share.
 *
 * librdkafka has threads of its own; all that is called here runs on the loop's, but the
 * steps of transactions.
 */
#ifndef TIDEWAY_KAFKA_KAFKA_H
#define TIDEWAY_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "kafka/parts.h"
#include "loop/loop.h"

/* ---- conf.c ---- */

/* Its settings, which go to the caller; the conf is freed. */
rd_kafka_conf_t *tw__kafka_conf_take(tw_kafka_conf *conf);

/* ---- wake.c ---- */

/* Says when something has come to an empty queue: librdkafka's threads write to `fd`. */
struct tw__kafka_wake {
  uv_poll_t poll; /* first */
  rd_kafka_queue_t *queue;
  int fd;
  void (*fn)(void *arg);
  void *arg;
};

/* fn(arg) is called on the loop. The queue is taken, also on failure. NULL: no memory or
 * descriptors. */
struct tw__kafka_wake *tw__kafka_wake_open(tw_loop *loop, rd_kafka_queue_t *queue,
                                           void (*fn)(void *), void *arg);
void tw__kafka_wake_close(struct tw__kafka_wake *wake);

/* ---- notices: the last thing that a person should hear of ---- */

enum { TW_KAFKA_TEXT = 512 };

struct tw__kafka_notice {
  char text[TW_KAFKA_TEXT]; /* "": none */
  char said[TW_KAFKA_TEXT]; /* the one that was handed out */
  char why[TW_KAFKA_TEXT];  /* a broker could not be reached */
  int down;                 /* all brokers were down */
};

/* What librdkafka reports on a client as a whole. Returns 1 when it can do no more. */
int tw__kafka_trouble(struct tw__kafka_notice *notice, rd_kafka_t *rk, int err,
                      const char *reason);
const char *tw__kafka_say(struct tw__kafka_notice *notice);

/* ---- consumer.c, for producers ---- */

/* What is left of a consumer while records made of its messages are on their way, or a
 * transaction of theirs is being ended. */
struct tw__kafka_link {
  tw_consumer *consumer; /* NULL: closed */
  int refs;
  int users; /* steps of transactions, whose threads use the client */
};

struct tw__kafka_link *tw__consumer_link(tw_consumer *consumer);
void tw__kafka_unlink(struct tw__kafka_link *link);

/* The part of the message on its way. */
int tw__consumer_part(const tw_consumer *consumer);

/* ---- consumer.c, for transactions ---- */

rd_kafka_t *tw__consumer_rk(tw_consumer *consumer);

/* Is it a member of a group? Not with partitions by tw_consumer_propose. */
int tw__consumer_grouped(const tw_consumer *consumer);

/* The offsets of what is through and was not committed; new. NULL: none. */
rd_kafka_topic_partition_list_t *tw__consumer_offsets(tw_consumer *consumer);

/* They have been committed. */
void tw__consumer_committed(tw_consumer *consumer,
                            const rd_kafka_topic_partition_list_t *offsets);

/* Where the partitions are to be read on after an abort; new. NULL: none. */
rd_kafka_topic_partition_list_t *tw__consumer_origin(tw_consumer *consumer);

/* Nothing of what was handed out counts any more. */
void tw__consumer_rewound(tw_consumer *consumer);

#endif
