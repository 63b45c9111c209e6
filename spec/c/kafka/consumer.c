/* consumer -- batches, what is kept, rebalances; on the cluster in this process. */
#include "kafka/kafka.h"

#include "../check.h"

static tw_loop *loop;
static tw_kafka_cluster *cluster;
static char error[300];

static tw_kafka_conf *settings(const char *group) {
  tw_kafka_conf *conf = tw_kafka_conf_open();
  const char *list[][2] = {
      {"bootstrap.servers", tw_kafka_cluster_brokers(cluster)},
      {"fetch.wait.max.ms", "10"},
      {"linger.ms", "0"},
      {"auto.offset.reset", "earliest"},
      {"enable.auto.offset.store", "false"},
      {"enable.partition.eof", "true"},
      {"group.id", group},
  };
  for (int i = 0; i < 7; i++)
    tw_kafka_conf_set(conf, list[i][0], list[i][1], error, sizeof error);
  return conf;
}

static int turn(void) {
  uint32_t ready[8];
  return tw_loop_poll(loop, 50, ready, 8);
}

static int64_t seconds(void) {
  return tw_loop_now_ns() / 1000000000;
}

/* Produce the numbers first .. first + n - 1 to a partition. */
static void fill(const char *topic, int partition, int first, int n) {
  tw_producer *p = tw_producer_open(loop, settings("none"), 0, error, sizeof error);
  int number = tw_producer_topic(p, topic);
  for (int i = 0; i < n; i++) {
    char text[20];
    tw_kafka_record r = {.value = text,
                         .value_len = sprintf(text, "%d", first + i),
                         .topic = number,
                         .partition = partition};
    if (i % 10 == 9) tw_producer_header(p, "h", "ead", 3);
    CHECK(tw_producer_send(p, &r) == TW_OK);
  }
  for (int64_t till = seconds() + 15; tw_producer_pending(p) && seconds() < till;) {
    turn();
    tw_producer_reports(p);
  }
  CHECK(tw_producer_pending(p) == 0);
  tw_producer_close(p);
}

static tw_consumer *opened(const char *group, int until_end) {
  tw_consumer_options o = {.topics = "t\n",
                           .commit = 1,
                           .direct = 1,
                           .until_end = until_end,
                           .batch = 7,
                           .drain_ms = 1000};
  tw_consumer *c = tw_consumer_open(loop, settings(group), &o, error, sizeof error);
  CHECKF(c != NULL, "%s", error);
  return c;
}

static int next(tw_consumer *c) {
  int n = TW_AGAIN;
  for (int64_t till = seconds() + 15; seconds() < till;) {
    if (tw_consumer_event(c) && tw_consumer_drained(c)) tw_consumer_rebalance(c);
    n = tw_consumer_next(c);
    if (n != TW_AGAIN) break;
    turn();
  }
  return n;
}

/* The first batch, full: they come one by one when one is in a hurry. */
static int next_full(tw_consumer *c) {
  struct timespec nap = {.tv_sec = 1, .tv_nsec = 500000000};
  while (tw_consumer_event(c)) tw_consumer_rebalance(c);
  nanosleep(&nap, NULL);
  return next(c);
}

static int number_of(const tw_kafka_message *m) {
  char text[20] = "";
  CHECK(m->value_len < 20);
  memcpy(text, m->value, (size_t)m->value_len);
  return atoi(text);
}

static void leave(tw_consumer *c) {
  tw_consumer_stop(c);
  for (int64_t till = seconds() + 15; !tw_consumer_closed(c) && seconds() < till;)
    turn();
  tw_consumer_close(c);
}

/* Read on to the end. Returns how many came; the numbers of a partition rise by one. */
static int read_all(const char *group, int *first) {
  tw_consumer *c = opened(group, 1);
  tw_consumer_propose(c, "t\t0\nt\t1\n");
  int last[2] = {-1, -1}, count = 0, n;
  while ((n = next(c)) > 0) {
    CHECK(n <= 7);
    int *at = tw_consumer_at(c);
    for (int i = 0; i < n; i++) {
      const tw_kafka_message *m = &tw_consumer_messages(c)[i];
      int p = tw_consumer_partition(c, m->part), x = number_of(m) % 1000;
      CHECK(!strcmp(tw_consumer_topic(c, m->part), "t"));
      if (last[p] < 0) first[p] = x;
      CHECKF(last[p] < 0 || x == last[p] + 1, "%d after %d", x, last[p]);
      CHECK(m->offset == x);
      CHECK(tw_consumer_timestamp(c, i) > 0);
      const char *name, *value;
      int64_t len;
      CHECK(tw_consumer_header(c, i, 0, &name, &value, &len) == (x % 10 == 9));
      CHECK(!tw_consumer_header(c, i, 1, &name, &value, &len));
      last[p] = x;
      *at = i;
      count++;
    }
    tw_consumer_back(c);
  }
  CHECKF(n == TW_EOF, "%d: %s", n, tw_consumer_error(c));
  leave(c);
  return count;
}

static void goes_on_where_it_stopped(void) {
  int first[2] = {-1, -1};
  CHECK(read_all("a", first) == 150 && first[0] == 0 && first[1] == 0);
  CHECK(read_all("a", first) == 0);
  fill("t", 1, 1050, 20);
  CHECK(read_all("a", first) == 20 && first[1] == 50);
}

/* What is kept stays, also the message on its way when the reader left. */
static void comes_back_to_what_is_kept(void) {
  tw_consumer *c = opened("b", 0);
  tw_consumer_propose(c, "t\t0\n");
  int64_t number[2] = {0};
  int count = 0, part = -1;
  for (int n; count < 40 && (n = next(c)) > 0;) {
    int *at = tw_consumer_at(c);
    for (int i = 0; i < n; i++, count++) { /* `count` is on its way */
      if (i) {
        int64_t before = tw_consumer_messages(c)[i - 1].offset;
        if (before == 20 || before == 30)
          number[before / 10 - 2] = tw_consumer_keep(c, i - 1);
      }
      part = tw_consumer_messages(c)[i].part;
      *at = i;
    }
    int64_t end = tw_consumer_messages(c)[n - 1].offset;
    if (end == 20 || end == 30) number[end / 10 - 2] = tw_consumer_keep(c, n - 1);
    tw_consumer_back(c);
  }
  CHECK(tw_consumer_kept(c) == 2);
  CHECK(tw_consumer_position(c, part) == 20);
  tw_consumer_release(c, part, number[0]);
  tw_consumer_release(c, part, 1000);
  CHECKF(tw_consumer_position(c, part) == 30, "%d", (int)tw_consumer_position(c, part));
  leave(c);
  int first[2] = {-1, -1};
  read_all("b", first);
  CHECKF(first[0] == 30, "%d", first[0]);
}

/* A batch is cut where partitions go; what is kept of them is waited for. */
static void gives_up_partitions(void) {
  tw_consumer *c = opened("c", 0);
  tw_consumer_propose(c, "t\t0\n");
  int n = next_full(c);
  CHECK(n > 2 && !*tw_consumer_cut(c));
  int part = tw_consumer_messages(c)[0].part;
  *tw_consumer_at(c) = 0;
  int64_t kept = tw_consumer_keep(c, 0);
  *tw_consumer_at(c) = 1;
  tw_consumer_propose(c, "");
  CHECK(*tw_consumer_cut(c) && tw_consumer_event(c) == TW_REBALANCE_REVOKE);
  CHECK(!tw_consumer_drained(c));
  tw_consumer_back(c);
  CHECK(!tw_consumer_drained(c) && tw_consumer_next(c) == TW_AGAIN);
  tw_consumer_release(c, part, kept);
  CHECK(tw_consumer_drained(c));
  CHECK(tw_consumer_rebalance(c) == 0);
  CHECK(tw_consumer_event(c) == TW_REBALANCE_NONE);
  CHECK(tw_consumer_next(c) == TW_AGAIN); /* the rest of the batch is dropped */
  tw_consumer_release(c, part, kept);     /* means nothing any more */
  CHECK(tw_consumer_kept(c) == 0);

  tw_consumer_propose(c, "t\t0\n"); /* comes back */
  n = next_full(c);
  CHECKF(n > 0 && tw_consumer_messages(c)[0].offset == 2, "%d",
         n > 0 ? (int)tw_consumer_messages(c)[0].offset : n);
  *tw_consumer_at(c) = 0;
  tw_consumer_keep(c, 0);
  tw_consumer_back(c);
  tw_consumer_propose(c, "");
  int64_t began = tw_loop_now_ns();
  while (!tw_consumer_drained(c)) turn(); /* only so long */
  CHECK(tw_loop_now_ns() - began > 900000000);
  tw_consumer_rebalance(c);
  tw_consumer_close(c); /* leaves the group by itself */
}

static void interrupts(void) {
  tw_consumer *c = opened("d", 0);
  tw_consumer_propose(c, "t\t0\n");
  int n = next_full(c);
  int64_t third = tw_consumer_messages(c)[2].offset;
  *tw_consumer_at(c) = 1;
  tw_consumer_interrupt(c);
  CHECK(*tw_consumer_cut(c));
  tw_consumer_back(c);
  int rest = next(c);
  CHECK(rest == n - 2 && tw_consumer_messages(c)[0].offset == third);
  CHECK(!*tw_consumer_cut(c));
  tw_consumer_back(c); /* none of them was delivered */
  tw_consumer_interrupt(c);
  rest = next(c);
  CHECKF(rest > 0 && tw_consumer_messages(c)[0].offset >= third, "%d", rest);
  leave(c);
}

static void survives_lack_of_memory(void) {
  for (int64_t nth = 1; nth < 8; nth++) {
    tw_kafka_conf *conf = settings("e");
    tw_consumer_options o = {.topics = "t\n", .direct = 1};
    tw_mem_fail_at(nth);
    tw_consumer *c = tw_consumer_open(loop, conf, &o, error, sizeof error);
    CHECK(c || error[0]);
    tw_consumer_close(c);
    tw_mem_fail_at(0);
  }
  turn();
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  cluster = tw_kafka_cluster_open(1);
  CHECK(tw_kafka_cluster_topic(cluster, "t", 2) == TW_OK);
  fill("t", 0, 0, 100);
  fill("t", 1, 1000, 50);
  goes_on_where_it_stopped();
  comes_back_to_what_is_kept();
  gives_up_partitions();
  interrupts();
  survives_lack_of_memory();
  tw_consumer *left = opened("f", 0); /* to the loop */
  CHECK(tw_consumer_id(left) > 0 && !tw_consumer_notice(left));
  tw_consumer_close(NULL);
  tw_loop_close(loop);
  tw_kafka_cluster_close(cluster);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
