/* transaction -- steps, and records between them; on the cluster in this process. */
#include "producing.h"

/* Wait for the end of the step. */
static int finished(tw_producer *p) {
  for (int64_t till = seconds() + 15;
       tw_producer_stepped(p) == TW_AGAIN && seconds() < till;) {
    turn();
    tw_producer_reports(p);
  }
  return tw_producer_stepped(p);
}

static int stepped(tw_producer *p, int step) {
  tw_producer_step(p, step, NULL);
  return finished(p);
}

static void steps_through_transactions(void) {
  tw_producer *p = opened("transactional.id", "spec");
  tw_kafka_record r = record("t", 0);
  CHECKF(stepped(p, TW_TXN_INIT) == TW_OK, "%s", tw_producer_error(p));
  r.topic = tw_producer_topic(p, "one");
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < 10; i++) CHECK(tw_producer_send(p, &r) == TW_OK);
    CHECKF(stepped(p, round % 2 ? TW_TXN_ABORT : TW_TXN_COMMIT) == TW_OK, "%s",
           tw_producer_error(p));
  }
  rd_kafka_resp_err_t refused[] = {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE};
  rd_kafka_mock_push_request_errors_array(tw_kafka_cluster_mock(cluster), 0, 1,
                                          refused);
  CHECK(tw_producer_send(p, &r) == TW_OK);
  CHECKF(stepped(p, TW_TXN_COMMIT) == TW_ECORRUPT, "%d", tw_producer_stepped(p));
  CHECK(tw_producer_error(p)[0]);
  CHECKF(stepped(p, TW_TXN_ABORT) == TW_OK, "%s", tw_producer_error(p));
  /* librdkafka 2.0 may find the sequence numbers of the record that failed missing: once more */
  int result = TW_ECORRUPT;
  for (int i = 0; i < 5 && result == TW_ECORRUPT; i++) {
    if (i) CHECKF(stepped(p, TW_TXN_ABORT) == TW_OK, "%s", tw_producer_error(p));
    CHECK(tw_producer_send(p, &r) == TW_OK);
    result = stepped(p, TW_TXN_COMMIT);
  }
  CHECKF(result == TW_OK, "%s", tw_producer_error(p));
  tw_producer_step(p, TW_TXN_COMMIT, NULL); /* closed while its thread is at it */
  CHECK(tw_producer_send(p, &r) == TW_OK);
  tw_producer_close(p);
  for (int i = 0; i < 10; i++) turn();
}

/* From the begin of a step to the next transaction; then they are sent in order. */
static void lets_records_wait_for_the_next_transaction(void) {
  tw_producer *p = opened("transactional.id", "later");
  tw_kafka_record r = record("early", 0);
  r.topic = tw_producer_topic(p, "later");
  CHECK(tw_producer_send(p, &r) == TW_OK && tw_producer_waiting(p) == 1);
  CHECK(stepped(p, TW_TXN_INIT) == TW_OK && tw_producer_waiting(p) == 0);
  for (int i = 0; i < 50; i++) CHECK(tw_producer_send(p, &r) == TW_OK);
  CHECK(tw_producer_waiting(p) == 0);
  tw_producer_step(p, TW_TXN_COMMIT, NULL);
  for (int i = 0; i < 3; i++) {
    CHECK(tw_producer_header(p, "n", "v", 1) == TW_OK);
    CHECK(tw_producer_send(p, &r) == TW_OK);
  }
  CHECK(tw_producer_waiting(p) == 3);
  CHECK(finished(p) == TW_OK && tw_producer_waiting(p) == 0);
  int64_t before = tw_producer_pending(p);
  tw_producer_step(p, TW_TXN_ABORT, NULL);
  CHECK(tw_producer_send(p, &r) == TW_OK);
  CHECK(finished(p) == TW_OK);
  CHECKF(tw_producer_pending(p) <= before + 1, "%d", (int)tw_producer_pending(p));
  CHECK(stepped(p, TW_TXN_COMMIT) == TW_OK && tw_producer_pending(p) == 0);
  tw_producer_close(p);
}

static void bounds_what_waits(void) {
  static char large[1 << 20];
  tw_producer *p = opened("transactional.id", "bounded");
  tw_kafka_record r = record("x", 0);
  r.topic = tw_producer_topic(p, "bounded");
  r.value = large;
  r.value_len = sizeof large / 2;
  int n = 0, status = TW_OK;
  while (n < 1000 && (status = tw_producer_send(p, &r)) == TW_OK) n++;
  CHECKF(status == TW_AGAIN && n > 100 && n < 200, "%d", n);
  CHECK(tw_producer_pending(p) == n && tw_producer_waiting(p) == n);
  tw_producer_step(p, TW_TXN_ABORT, NULL); /* void, but what waits is gone */
  CHECK(tw_producer_waiting(p) == 0 && tw_producer_pending(p) == 0);
  finished(p);
  tw_producer_close(p);
}

/* One that librdkafka refuses when its time has come is reported; after that none waits, and who sends
 * it again is told. */
static void reports_what_could_not_be_sent_later(void) {
  static char large[3000];
  tw_kafka_conf *conf = settings("transactional.id", "refused");
  CHECK(!tw_kafka_conf_set(conf, "message.max.bytes", "1000", error, sizeof error));
  tw_producer *p = tw_producer_open(loop, conf, 0, error, sizeof error);
  tw_kafka_record r = record("x", 0);
  r.topic = tw_producer_topic(p, "refused");
  r.value = large;
  r.value_len = sizeof large;
  CHECK(tw_producer_send(p, &r) == TW_OK);
  tw_producer_step(p, TW_TXN_INIT, NULL);
  int reported = 0;
  for (int64_t till = seconds() + 15; !reported && seconds() < till;) {
    turn();
    for (int n = tw_producer_reports(p), i = 0; i < n; i++)
      reported = tw_producer_report(p)[i].error;
  }
  CHECKF(reported == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "%d", reported);
  CHECK(tw_producer_pending(p) == 0);
  tw_producer_step(p, TW_TXN_ABORT, NULL);
  CHECK(tw_producer_send(p, &r) == TW_AGAIN);
  CHECKF(finished(p) == TW_OK, "%s", tw_producer_error(p));
  CHECK(tw_producer_send(p, &r) == TW_EINVAL);
  r.value_len = 1;
  for (int i = 0; i <= 100; i++) {
    tw_producer_step(p, TW_TXN_COMMIT, NULL);
    int status = tw_producer_send(p, &r);
    CHECKF(status == (i < 100 ? TW_AGAIN : TW_OK), "%d: %d", i, status);
    CHECKF(finished(p) == TW_OK, "%s", tw_producer_error(p));
  }
  /* librdkafka 2.0 may assert when it is destroyed while a partition is being added */
  CHECKF(stepped(p, TW_TXN_COMMIT) == TW_OK, "%s", tw_producer_error(p));
  tw_producer_close(p);
}

/* Nobody is there: a step goes on until it is told to hurry. */
static void ends_in_time(void) {
  tw_kafka_conf *conf = settings("transactional.id", "alone");
  CHECK(!tw_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", error,
                           sizeof error));
  tw_producer *p = tw_producer_open(loop, conf, 0, error, sizeof error);
  tw_producer_step(p, TW_TXN_INIT, NULL);
  for (int64_t till = tw_loop_now_ns() + 1200000000; tw_loop_now_ns() < till;) turn();
  CHECK(tw_producer_stepped(p) == TW_AGAIN);
  int64_t began = tw_loop_now_ns();
  tw_producer_hurry(p, 0);
  CHECK(finished(p) == TW_EIO && tw_producer_error(p)[0]);
  CHECKF(tw_loop_now_ns() - began < 5000000000, "%g s",
         (double)(tw_loop_now_ns() - began) * 1e-9);
  CHECK(stepped(p, TW_TXN_INIT) == TW_EIO); /* and the next */
  tw_producer_close(p);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  cluster = tw_kafka_cluster_open(1);
  CHECK(cluster != NULL);
  steps_through_transactions();
  lets_records_wait_for_the_next_transaction();
  bounds_what_waits();
  reports_what_could_not_be_sent_later();
  ends_in_time();
  tw_loop_close(loop);
  tw_kafka_cluster_close(cluster);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
