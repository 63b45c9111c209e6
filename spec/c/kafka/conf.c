/* conf -- settings by librdkafka's names, and the cluster in this process. */
#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* The thread of this process that librdkafka's mock runs in; 0: there is none. */
static int mock_thread(void) {
  int found = 0;
  DIR *tasks = opendir("/proc/self/task");
  for (struct dirent *task; !found && (task = readdir(tasks));) {
    char path[300], name[20] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    if (fgets(name, sizeof name, file) && !strcmp(name, "rdk:mock\n"))
      found = atoi(task->d_name);
    fclose(file);
  }
  closedir(tasks);
  return found;
}

static void handle(int signal) {
  (void)signal;
}

/* A child's end, say, while the program's own thread has signals blocked. */
static void outlives_signals(void) {
  struct sigaction action = {.sa_handler = handle}, before;
  sigaction(SIGUSR1, &action, &before);
  tw_kafka_cluster *cluster = tw_kafka_cluster_open(1);
  int thread = 0;
  for (int i = 0; i < 1000 && !thread; i++) {
    usleep(10000);
    thread = mock_thread();
  }
  CHECK(thread != 0);
  syscall(SYS_tgkill, getpid(), thread, SIGUSR1);
  usleep(100000);
  CHECK(mock_thread() == thread);
  if (mock_thread() == thread) { /* else nothing is left to ask */
    CHECK(tw_kafka_cluster_topic(cluster, "one", 3) == TW_OK);
    tw_kafka_cluster_close(cluster);
  }
  sigaction(SIGUSR1, &before, NULL);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(tw_kafka_abi() == TW_ABI);
  CHECK(!strcmp(tw_kafka_version(), rd_kafka_version_str()));
  CHECK(strstr(tw_kafka_error_text(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT), "timed out"));
  takes_settings();
  makes_topics();
  outlives_signals();
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
