/* conf -- settings by librdkafka's names, and the cluster in this process. */
#include "kafka/kafka.h"

#include "../check.h"

static void takes_settings(void) {
  char error[200] = "";
  tw_kafka_conf *conf = tw_kafka_conf_open();
  CHECK(tw_kafka_conf_set(conf, "linger.ms", "7", error, sizeof error) == TW_OK);
  CHECK(tw_kafka_conf_set(conf, "linger.mss", "7", error, sizeof error) == TW_EINVAL);
  CHECKF(strstr(error, "linger.mss") != NULL, "%s", error);
  CHECK(tw_kafka_conf_set(conf, "batch.size", "many", error, sizeof error) ==
        TW_EINVAL);
  CHECKF(strstr(error, "batch.size") != NULL, "%s", error);
  char cut[8] = "";
  CHECK(tw_kafka_conf_set(conf, "acks", "perhaps", cut, sizeof cut) == TW_EINVAL);
  CHECK(strlen(cut) < sizeof cut);

  rd_kafka_conf_t *rd = tw__kafka_conf_take(conf);
  char value[20];
  size_t size = sizeof value;
  CHECK(!rd_kafka_conf_get(rd, "linger.ms", value, &size) && !strcmp(value, "7"));
  rd_kafka_conf_destroy(rd);
  tw_kafka_conf_close(tw_kafka_conf_open());
  tw_kafka_conf_close(NULL);
}

static void makes_topics(void) {
  tw_kafka_cluster *cluster = tw_kafka_cluster_open(2);
  CHECK(cluster != NULL && tw_kafka_cluster_mock(cluster) != NULL);
  const char *brokers = tw_kafka_cluster_brokers(cluster);
  CHECKF(strstr(brokers, "127.0.0.1:") && strchr(brokers, ','), "%s", brokers);
  CHECK(tw_kafka_cluster_topic(cluster, "one", 3) == TW_OK);
  CHECK(tw_kafka_cluster_topic(cluster, "one", 3) == TW_EINVAL);
  tw_kafka_cluster_close(cluster);
  tw_kafka_cluster_close(NULL);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(tw_kafka_abi() == TW_ABI);
  CHECK(!strcmp(tw_kafka_version(), rd_kafka_version_str()));
  CHECK(strstr(tw_kafka_error_text(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT), "timed out"));
  takes_settings();
  makes_topics();
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
