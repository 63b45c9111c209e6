/* conf.c -- settings by librdkafka's own names, and the cluster in this process. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "kafka/kafka.h"

#include <librdkafka/rdkafka_mock.h> /* after rdkafka.h */

struct tw_kafka_conf {
  rd_kafka_conf_t *rd;
};

int tw_kafka_abi(void) {
  return TW_ABI;
}

const char *tw_kafka_version(void) {
  return rd_kafka_version_str();
}

const char *tw_kafka_error_text(int error) {
  return rd_kafka_err2str((rd_kafka_resp_err_t)error);
}

tw_kafka_conf *tw_kafka_conf_open(void) {
  tw_kafka_conf *conf = tw__malloc(sizeof *conf);
  if (conf) conf->rd = rd_kafka_conf_new();
  return conf;
}

void tw_kafka_conf_close(tw_kafka_conf *conf) {
  if (!conf) return;
  rd_kafka_conf_destroy(conf->rd);
  tw__free(conf);
}

int tw_kafka_conf_set(tw_kafka_conf *conf, const char *name, const char *value,
                      char *error, int64_t size) {
  rd_kafka_conf_res_t result =
      rd_kafka_conf_set(conf->rd, name, value, error, (size_t)size);
  return result == RD_KAFKA_CONF_OK ? TW_OK : TW_EINVAL;
}

rd_kafka_conf_t *tw__kafka_conf_take(tw_kafka_conf *conf) {
  rd_kafka_conf_t *rd = conf->rd;
  tw__free(conf);
  return rd;
}

/* ---- the cluster in this process ---- */

struct tw_kafka_cluster {
  rd_kafka_t *rk; /* that the mock hangs on */
  rd_kafka_mock_cluster_t *mock;
  int shares; /* of the shared one: how many have it */
};

static pthread_mutex_t sharing = PTHREAD_MUTEX_INITIALIZER;
static tw_kafka_cluster *shared; /* under sharing */

/* The mock's thread takes a poll() that a signal has interrupted for its end, and frees the
 * mock under our hands; libuv has SIGCHLD handled by whichever thread gets it. librdkafka
 * blocks all signals in its other threads, but not in this one (2.0.2). */
static rd_kafka_mock_cluster_t *mock_open(rd_kafka_t *rk, int brokers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  rd_kafka_mock_cluster_t *mock = rd_kafka_mock_cluster_new(rk, brokers);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return mock;
}

tw_kafka_cluster *tw_kafka_cluster_open(int brokers) {
  tw_kafka_cluster *cluster = tw__calloc(1, sizeof *cluster);
  if (!cluster) return NULL;
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, NULL);
  /* its answers would wait for the clients' late acknowledgements, 40 ms */
  rd_kafka_conf_set(conf, "socket.nagle.disable", "true", NULL, 0);
  cluster->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
  if (!cluster->rk) rd_kafka_conf_destroy(conf);
  if (cluster->rk) cluster->mock = mock_open(cluster->rk, brokers);
  if (cluster->mock) return cluster;
  tw_kafka_cluster_close(cluster);
  return NULL;
}

tw_kafka_cluster *tw_kafka_cluster_share(int brokers) {
  pthread_mutex_lock(&sharing);
  if (!shared) shared = tw_kafka_cluster_open(brokers);
  if (shared) shared->shares++;
  tw_kafka_cluster *cluster = shared;
  pthread_mutex_unlock(&sharing);
  return cluster;
}

/* Returns whether somebody else has it still. */
static int let_go(tw_kafka_cluster *cluster) {
  pthread_mutex_lock(&sharing);
  const int left = cluster == shared ? --cluster->shares : 0;
  if (cluster == shared && left == 0) shared = NULL;
  pthread_mutex_unlock(&sharing);
  return left > 0;
}

void tw_kafka_cluster_close(tw_kafka_cluster *cluster) {
  if (!cluster || let_go(cluster)) return;
  if (cluster->mock) rd_kafka_mock_cluster_destroy(cluster->mock);
  if (cluster->rk) rd_kafka_destroy(cluster->rk);
  tw__free(cluster);
}

const char *tw_kafka_cluster_brokers(const tw_kafka_cluster *cluster) {
  return rd_kafka_mock_cluster_bootstraps(cluster->mock);
}

void *tw_kafka_cluster_mock(const tw_kafka_cluster *cluster) {
  return cluster->mock;
}

int tw_kafka_cluster_topic(tw_kafka_cluster *cluster, const char *name,
                           int partitions) {
  const rd_kafka_resp_err_t error =
      rd_kafka_mock_topic_create(cluster->mock, name, partitions, 1);
  if (!error) return TW_OK;
  return error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS && cluster->shares ? TW_OK
                                                                            : TW_EINVAL;
}
