/* wake -- what comes to a queue of librdkafka's wakes the loop; troubles are put in words. */
#include "kafka/kafka.h"

#include "../check.h"

static tw_loop *loop;
static int woken;

static void count(void *arg) {
  CHECK(arg == &woken);
  woken++;
}

static void turn(int64_t ms) {
  uint32_t ready[4];
  tw_loop_poll(loop, ms, ready, 4);
}

/* An event for the queue, made on a thread of librdkafka's: a request that times out. */
static void ask(rd_kafka_t *rk, rd_kafka_queue_t *queue) {
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DELETETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(options, 5, NULL, 0);
  rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new("t");
  rd_kafka_DeleteTopics(rk, &topic, 1, options, queue);
  rd_kafka_DeleteTopic_destroy(topic);
  rd_kafka_AdminOptions_destroy(options);
}

static int drain(rd_kafka_queue_t *queue) {
  int n = 0;
  rd_kafka_event_t *event;
  while ((event = rd_kafka_queue_poll(queue, 0))) {
    rd_kafka_event_destroy(event);
    n++;
  }
  return n;
}

static void wakes(void) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, NULL);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk), *same = rd_kafka_queue_new(rk);
  rd_kafka_queue_forward(same, queue);
  struct tw__kafka_wake *wake = tw__kafka_wake_open(loop, queue, count, &woken);
  CHECK(wake != NULL);
  for (int i = 0; i < 5; i++) {
    woken = 0;
    ask(rk, queue);
    int64_t till = tw_loop_now_ns() + 10000000000;
    while (!woken && tw_loop_now_ns() < till) turn(100);
    CHECKF(woken == 1, "%d", woken);
    CHECK(drain(queue) == 1);
    turn(5);
    CHECKF(woken == 1, "%d", woken); /* nothing came, nobody is woken */
  }
  tw__kafka_wake_close(wake);
  tw__kafka_wake_close(NULL);
  turn(0);
  rd_kafka_queue_destroy(same);
  rd_kafka_destroy(rk);
}

static const char *says(struct tw__kafka_notice *notice, int err, const char *reason) {
  CHECK(!tw__kafka_trouble(notice, NULL, err, reason));
  return tw__kafka_say(notice);
}

static void finds_words(void) {
  struct tw__kafka_notice *notice = calloc(1, sizeof *notice);
  CHECK(!tw__kafka_say(notice));
  CHECK(!says(notice, RD_KAFKA_RESP_ERR__TRANSPORT, "connection refused"));
  const char *text = says(notice, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "2/2 are down");
  CHECKF(text && !strcmp(text, "no broker can be reached: connection refused; "
                               "trying again"),
         "%s", text ? text : "nothing");
  CHECK(!says(notice, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "2/2 are down"));
  text = says(notice, RD_KAFKA_RESP_ERR__TIMED_OUT, "one");
  CHECK(text && !strcmp(text, "one"));
  CHECK(!says(notice, RD_KAFKA_RESP_ERR__TIMED_OUT, "one")); /* is not said twice */
  CHECK(says(notice, RD_KAFKA_RESP_ERR__TIMED_OUT, "two") != NULL);
  CHECK(tw__kafka_trouble(notice, NULL, RD_KAFKA_RESP_ERR__AUTHENTICATION, "no"));

  char large[3 * TW_KAFKA_TEXT];
  memset(large, 'x', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  notice->down = 0;
  says(notice, RD_KAFKA_RESP_ERR__RESOLVE, large);
  text = says(notice, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, large);
  CHECK(text && strlen(text) < TW_KAFKA_TEXT && strstr(text, "; trying again"));
  text = says(notice, RD_KAFKA_RESP_ERR__TIMED_OUT, large);
  CHECK(text && strlen(text) == TW_KAFKA_TEXT - 1);
  free(notice);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  wakes();
  finds_words();
  tw_loop_close(loop);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
