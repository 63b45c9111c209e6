/* kafka.c -- librdkafka as a straightforward C program uses it, and a broker to use it on.
 *
 *     kafka broker TOPIC N PARTITIONS          a mock cluster, fed; ends with its input
 *     kafka feed BROKERS TOPIC N PARTITIONS    make a topic of a real broker, and feed it
 *     kafka topic BROKERS TOPIC PARTITIONS     make an empty one
 *     kafka consume BROKERS TOPIC N [BATCH]    count the messages that contain ERROR
 *     kafka poll BROKERS TOPIC N               the same, message by message
 *     kafka copy BROKERS TOPIC TO N [BATCH]    produce each message to TO, until all are reported
 *
 * The last three print: M messages/s, ns of the program's own thread per message, ns of all
 * threads, the count, MB resident at most; times are from the first message on. */
#define _GNU_SOURCE
#include "has.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum {
  SIZE = 100,
  ERRORS = 100,
  WAIT = 10000
}; /* every ERRORS-th message contains it */

static void fail(const char *what, const char *why) {
  fprintf(stderr, "kafka: %s: %s\n", what, why);
  exit(1);
}

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A handle with these settings: name, value, ..., NULL. */
static rd_kafka_t *open_kafka(rd_kafka_type_t type, const char *const *settings,
                              void (*report)(rd_kafka_t *, const rd_kafka_message_t *,
                                             void *)) {
  char why[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  for (; *settings; settings += 2)
    if (rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof why))
      fail(settings[0], why);
  if (report) rd_kafka_conf_set_dr_msg_cb(conf, report);
  rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
  if (!rk) fail("rd_kafka_new", why);
  return rk;
}

/* Producing ------------------------------------------------------------------------- */

static int64_t reported;

static void count_report(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque) {
  (void)rk, (void)opaque;
  if (msg->err) fail("produce", rd_kafka_err2str(msg->err));
  reported++;
}

static rd_kafka_t *open_producer(const char *brokers) {
  const char *settings[] = {"bootstrap.servers",
                            brokers,
                            "enable.idempotence",
                            "true",
                            "queue.buffering.max.messages",
                            "1000000",
                            NULL};
  return open_kafka(RD_KAFKA_PRODUCER, settings, count_report);
}

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                    const rd_kafka_message_t *msg) {
  while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, msg->payload, msg->len,
                          msg->key, msg->key_len, NULL)) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
      fail("produce", rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_poll(rk, 10);
  }
}

static void drain(rd_kafka_t *rk, int64_t until) {
  while (reported < until) rd_kafka_poll(rk, 100);
}

static void feed(rd_kafka_t *rk, const char *name, int64_t n, int32_t partitions) {
  rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
  char text[2 * SIZE];
  rd_kafka_message_t msg = {.payload = text, .len = SIZE};
  int64_t before = reported;
  for (int64_t i = 0; i < n; i++) {
    snprintf(text, sizeof text,
             "%012lld an event of a log that somebody keeps, and %-45s", (long long)i,
             i % ERRORS == ERRORS / 2 ? "an ERROR in it" : "nothing in it");
    produce(rk, topic, (int32_t)(i % partitions), &msg);
    if (i % 1000 == 0) rd_kafka_poll(rk, 0);
  }
  drain(rk, before + n);
  rd_kafka_topic_destroy(topic);
}

static void make_topic(rd_kafka_t *rk, const char *name, int partitions) {
  char why[256];
  rd_kafka_NewTopic_t *topic =
      rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
  if (!topic) fail(name, why);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT);
  if (!event || rd_kafka_event_error(event)) fail(name, "cannot be made");
  size_t n;
  const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
      rd_kafka_event_CreateTopics_result(event), &n);
  if (rd_kafka_topic_result_error(results[0]))
    fail(name, rd_kafka_topic_result_error_string(results[0]));
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_NewTopic_destroy(topic);
}

/* Feeds the topic; then answers an empty line with where the cluster is, another one by
 * making the topic of that name: the mock knows no CreateTopics. */
static void be_broker(const char *name, int64_t n, int partitions) {
  const char *settings[] = {"client.id", "mock", NULL};
  rd_kafka_t *host = open_kafka(RD_KAFKA_PRODUCER, settings, NULL);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
  rd_kafka_mock_topic_create(cluster, name, partitions, 1);
  rd_kafka_t *rk = open_producer(rd_kafka_mock_cluster_bootstraps(cluster));
  feed(rk, name, n, partitions);
  rd_kafka_destroy(rk);
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (*line) rd_kafka_mock_topic_create(cluster, line, partitions, 1);
    printf("%s\n", *line ? line : rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
  }
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(host);
}

/* Consuming ------------------------------------------------------------------------- */

/* All partitions of the topic from their beginnings; no group to join first. librdkafka 2.0
 * sleeps up to a second once its queue is full, so that the queue is given room. */
static rd_kafka_t *open_consumer(const char *brokers, const char *topic) {
  const char *settings[] = {"bootstrap.servers",
                            brokers,
                            "group.id",
                            "bench-c",
                            "queued.min.messages",
                            "10000000",
                            "queued.max.messages.kbytes",
                            "1048576",
                            NULL};
  rd_kafka_t *rk = open_kafka(RD_KAFKA_CONSUMER, settings, NULL);
  rd_kafka_poll_set_consumer(rk);
  rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
  const struct rd_kafka_metadata *meta;
  rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, handle, &meta, WAIT);
  if (err) fail(topic, rd_kafka_err2str(err));
  int partitions = meta->topics[0].partition_cnt;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int i = 0; i < partitions; i++)
    rd_kafka_topic_partition_list_add(list, topic, i)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_metadata_destroy(meta);
  rd_kafka_topic_destroy(handle);
  return rk;
}

static double began, thread_began, all_began;

static void begin(void) {
  began = now(CLOCK_MONOTONIC);
  thread_began = now(CLOCK_THREAD_CPUTIME_ID);
  all_began = now(CLOCK_PROCESS_CPUTIME_ID);
}

static void report(int64_t n, int64_t count) {
  double wall = now(CLOCK_MONOTONIC) - began;
  double thread = now(CLOCK_THREAD_CPUTIME_ID) - thread_began;
  double all = now(CLOCK_PROCESS_CPUTIME_ID) - all_began;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("%.4f\t%.1f\t%.1f\t%lld\t%.1f\n", (double)n / wall / 1e6,
         thread / (double)n * 1e9, all / (double)n * 1e9, (long long)count,
         (double)used.ru_maxrss / 1024);
}

/* Up to `batch` messages; those that are errors are fatal here. */
static ssize_t take(rd_kafka_queue_t *queue, rd_kafka_message_t **msgs, size_t batch) {
  ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, msgs, batch);
  for (ssize_t i = 0; i < n; i++)
    if (msgs[i]->err) fail("consume", rd_kafka_message_errstr(msgs[i]));
  return n;
}

static void consume(const char *brokers, const char *topic, int64_t n, size_t batch) {
  rd_kafka_t *rk = open_consumer(brokers, topic);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
  rd_kafka_message_t **msgs = calloc(batch, sizeof *msgs);
  int (*has)(const char *, size_t) = has_best();
  int64_t seen = 0, found = 0;
  while (seen < n) {
    ssize_t got = take(queue, msgs, batch);
    if (got > 0 && seen == 0) begin();
    for (ssize_t i = 0; i < got; i++) {
      found += has(msgs[i]->payload, msgs[i]->len);
      rd_kafka_message_destroy(msgs[i]);
    }
    seen += got > 0 ? got : 0;
  }
  report(seen, found);
  free(msgs);
  rd_kafka_queue_destroy(queue);
  rd_kafka_consumer_close(rk);
  rd_kafka_destroy(rk);
}

static void poll_each(const char *brokers, const char *topic, int64_t n) {
  rd_kafka_t *rk = open_consumer(brokers, topic);
  int (*has)(const char *, size_t) = has_best();
  int64_t seen = 0, found = 0;
  while (seen < n) {
    rd_kafka_message_t *msg = rd_kafka_consumer_poll(rk, 1000);
    if (!msg) continue;
    if (msg->err) fail("poll", rd_kafka_message_errstr(msg));
    if (seen++ == 0) begin();
    found += has(msg->payload, msg->len);
    rd_kafka_message_destroy(msg);
  }
  report(seen, found);
  rd_kafka_consumer_close(rk);
  rd_kafka_destroy(rk);
}

static void copy(const char *brokers, const char *from, const char *to, int64_t n,
                 size_t batch) {
  rd_kafka_t *in = open_consumer(brokers, from), *out = open_producer(brokers);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(in);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(out, to, NULL);
  rd_kafka_message_t **msgs = calloc(batch, sizeof *msgs);
  int64_t seen = 0;
  while (seen < n) {
    ssize_t got = take(queue, msgs, batch);
    if (got > 0 && seen == 0) begin();
    for (ssize_t i = 0; i < got; i++) {
      if (seen + i < n) produce(out, topic, RD_KAFKA_PARTITION_UA, msgs[i]);
      rd_kafka_message_destroy(msgs[i]);
    }
    seen += got > 0 ? got : 0;
    rd_kafka_poll(out, 0);
  }
  drain(out, n);
  report(n, reported);
  free(msgs);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(out);
  rd_kafka_queue_destroy(queue);
  rd_kafka_consumer_close(in);
  rd_kafka_destroy(in);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  size_t batch = 1000;
  if (strcmp(mode, "broker") == 0 && argc == 5) {
    be_broker(argv[2], atoll(argv[3]), atoi(argv[4]));
  } else if (strcmp(mode, "feed") == 0 && argc == 6) {
    rd_kafka_t *rk = open_producer(argv[2]);
    make_topic(rk, argv[3], atoi(argv[5]));
    feed(rk, argv[3], atoll(argv[4]), atoi(argv[5]));
    rd_kafka_destroy(rk);
  } else if (strcmp(mode, "topic") == 0 && argc == 5) {
    rd_kafka_t *rk = open_producer(argv[2]);
    make_topic(rk, argv[3], atoi(argv[4]));
    rd_kafka_destroy(rk);
  } else if (strcmp(mode, "consume") == 0 && argc >= 5) {
    if (argc > 5) batch = (size_t)atoll(argv[5]);
    consume(argv[2], argv[3], atoll(argv[4]), batch);
  } else if (strcmp(mode, "poll") == 0 && argc == 5) {
    poll_each(argv[2], argv[3], atoll(argv[4]));
  } else if (strcmp(mode, "copy") == 0 && argc >= 6) {
    if (argc > 6) batch = (size_t)atoll(argv[6]);
    copy(argv[2], argv[3], argv[4], atoll(argv[5]), batch);
  } else {
    return 2;
  }
  return 0;
}
