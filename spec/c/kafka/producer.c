/* producer -- records and their reports; on the cluster in this process. */
#include "producing.h"

/* Take reports until nothing is pending. Returns how many said ok; the last id and error. */
static int arrived(tw_producer *p, uint64_t *id, int *code) {
  int ok = 0;
  for (int64_t till = seconds() + 15; tw_producer_pending(p) && seconds() < till;) {
    turn();
    int n = tw_producer_reports(p);
    for (int i = 0; i < n; i++) {
      *id = tw_producer_report(p)[i].id;
      *code = tw_producer_report(p)[i].error;
      ok += !*code;
    }
  }
  CHECK(tw_producer_pending(p) == 0);
  return ok;
}

static void reports_what_has_an_id(void) {
  tw_producer *p = opened(NULL, NULL);
  int topic = tw_producer_topic(p, "one"), code = 0;
  uint64_t id = 0;
  CHECK(topic >= 0 && topic == tw_producer_topic(p, "one"));
  CHECK(tw_producer_topic(p, "two") != topic);
  tw_kafka_record r = record("a", 7);
  r.topic = topic;
  CHECK(tw_producer_send(p, &r) == TW_OK);
  for (int i = 0; i < 2000; i++) {
    r = record(i % 3 ? "b" : NULL, 0);
    r.topic = topic;
    r.key = "k";
    r.key_len = 1;
    CHECK(tw_producer_send(p, &r) == TW_OK);
  }
  CHECK(tw_producer_pending(p) == 2001);
  CHECK(arrived(p, &id, &code) == 1 && id == 7 && !code);
  for (uint64_t i = 1; i <= 2500; i++) { /* more than fit into one look */
    r = record("c", i);
    r.topic = topic;
    CHECK(tw_producer_send(p, &r) == TW_OK);
  }
  CHECK(arrived(p, &id, &code) == 2500);
  tw_producer_close(p);
}

static void reports_failures(void) {
  tw_producer *p = opened("message.max.bytes", "1000");
  uint64_t id = 1;
  int code = 0;
  char large[2000];
  tw_kafka_record r = record("x", 0);
  r.topic = tw_producer_topic(p, "one");
  r.partition = 100;
  int status = tw_producer_send(p, &r); /* the topic's size may not be known yet */
  if (!status) CHECK(arrived(p, &id, &code) == 0 && id == 0 && code);
  r.partition = -1;
  r.value = large;
  r.value_len = sizeof large;
  memset(large, 'x', sizeof large);
  CHECK(tw_producer_send(p, &r) == TW_EINVAL);
  CHECKF(strstr(tw_producer_error(p), "one: ") && strstr(tw_producer_error(p), "large"),
         "%s", tw_producer_error(p));
  r.value_len = 10;
  r.id = 3;
  rd_kafka_resp_err_t refused[] = {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE};
  rd_kafka_mock_push_request_errors_array(tw_kafka_cluster_mock(cluster), 0, 1,
                                          refused);
  CHECK(tw_producer_send(p, &r) == TW_OK);
  CHECK(arrived(p, &id, &code) == 0 && id == 3);
  CHECK(code == refused[0] && tw_kafka_error_text(code)[0]);
  CHECK(tw_producer_send(p, &r) == TW_OK);
  CHECKF(arrived(p, &id, &code) == 1, "%s", tw_kafka_error_text(code));
  tw_producer_close(p);
}

static void says_when_it_is_full(void) {
  tw_producer *p = opened("queue.buffering.max.messages", "10");
  uint64_t id;
  int code, sent = 0, full = 0;
  tw_kafka_record r = record("x", 1);
  r.topic = tw_producer_topic(p, "one");
  while (sent < 500) {
    int status = tw_producer_send(p, &r);
    CHECK(status == TW_OK || status == TW_AGAIN);
    if (status == TW_OK) {
      sent++;
      continue;
    }
    full++;
    CHECK(tw_producer_pending(p) > 0);
    turn();
    tw_producer_reports(p);
  }
  arrived(p, &id, &code);
  CHECK(full > 0);
  tw_producer_close(p);
}

static void survives_lack_of_memory(void) {
  for (int64_t nth = 1; nth < 12; nth++) {
    tw_kafka_conf *conf = settings(NULL, NULL);
    tw_mem_fail_at(nth);
    tw_producer *p = tw_producer_open(loop, conf, 0, error, sizeof error);
    int topic = p ? tw_producer_topic(p, "one") : -1;
    if (p && topic >= 0) {
      tw_kafka_record r = record("x", 0);
      r.topic = topic;
      CHECK(tw_producer_header(p, "n", "v", 1) == TW_OK);
      CHECK(tw_producer_send(p, &r) == TW_OK);
    }
    CHECK(p || error[0]);
    tw_producer_close(p);
    tw_mem_fail_at(0);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  cluster = tw_kafka_cluster_open(1);
  CHECK(cluster != NULL);
  reports_what_has_an_id();
  reports_failures();
  says_when_it_is_full();
  survives_lack_of_memory();
  tw_producer *left = opened(NULL, NULL); /* to the loop */
  CHECK(tw_producer_id(left) > 0 && !tw_producer_notice(left));
  tw_producer_close(NULL);
  tw_loop_close(loop);
  tw_kafka_cluster_close(cluster);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
