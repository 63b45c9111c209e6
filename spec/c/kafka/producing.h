/* producing.h -- what the specs of producers share: a cluster in this process, clients of it. */
#ifndef TIDEWAY_SPEC_PRODUCING_H
#define TIDEWAY_SPEC_PRODUCING_H

#include "kafka/kafka.h"

#include "../check.h"

#include <librdkafka/rdkafka_mock.h> /* after rdkafka.h */

static tw_loop *loop;
static tw_kafka_cluster *cluster;
static char error[300];

static tw_kafka_conf *settings(const char *name, const char *value) {
  tw_kafka_conf *conf = tw_kafka_conf_open();
  const char *list[][2] = {
      {"bootstrap.servers", tw_kafka_cluster_brokers(cluster)},
      {"linger.ms", "0"},
      {"retry.backoff.ms", "10"},
      {name, value},
  };
  for (int i = 0; i < 4; i++)
    if (list[i][0])
      CHECKF(!tw_kafka_conf_set(conf, list[i][0], list[i][1], error, sizeof error),
             "%s", error);
  return conf;
}

__attribute__((unused)) static tw_producer *opened(const char *name,
                                                   const char *value) {
  tw_producer *p =
      tw_producer_open(loop, settings(name, value), 0, error, sizeof error);
  CHECKF(p != NULL, "%s", error);
  return p;
}

__attribute__((unused)) static tw_kafka_record record(const char *value, uint64_t id) {
  return (tw_kafka_record){.value = value,
                           .value_len = value ? (int64_t)strlen(value) : 0,
                           .id = id,
                           .partition = -1};
}

__attribute__((unused)) static void turn(void) {
  uint32_t ready[8];
  tw_loop_poll(loop, 50, ready, 8);
}

__attribute__((unused)) static int64_t seconds(void) {
  return tw_loop_now_ns() / 1000000000;
}

#endif
