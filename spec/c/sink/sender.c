/* sender -- what it took is what arrives, and it says so when the other side goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tideway.h"

#include "../neighbour.h"

static tw_loop *loop;
static int server;
static char port[8];

static void listen_again(void) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  server = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(!bind(server, (struct sockaddr *)&at, sizeof at) && !listen(server, 16));
  getsockname(server, (struct sockaddr *)&at, &len);
  snprintf(port, sizeof port, "%d", ntohs(at.sin_port));
}

/* Sends one record. Returns the state after it. */
static int send_one(tw_sender *s, const char *bytes, int64_t len, const char *delim,
                    int64_t dlen) {
  tw_queue *q = tw_queue_open(1);
  CHECK(!tw_queue_push_bytes(q, bytes, (size_t)len));
  const int64_t n = tw_sender_send(s, q, delim, dlen);
  tw_queue_close(q);
  if (n < 0) return (int)n;
  CHECK(n == (tw_sender_state(s) == TW_OK));
  return tw_sender_state(s);
}

static int settle(tw_sender *s) {
  uint32_t ready[8];
  for (int i = 0; i < 6000 && tw_sender_state(s) == TW_AGAIN; i++)
    tw_loop_poll(loop, 10, ready, 8);
  return tw_sender_state(s);
}

static tw_sender *dial(const char *host, int *client) {
  tw_sender *s = tw_sender_open(loop, host, port);
  CHECKF(settle(s) == TW_OK, "%s", tw_sender_error(s));
  *client = accept(server, NULL, NULL);
  fcntl(*client, F_SETFL, O_NONBLOCK);
  return s;
}

/* Records of all sizes, read now and then. */
static void sends_what_it_took(void) {
  enum { SIZE = 30 << 20 };
  int client;
  char *want = malloc(SIZE), *got = malloc(SIZE);
  int64_t len = 0, at = 0;
  uint32_t ready[8];
  tw_sender *s = dial("127.0.0.1", &client);
  while (len < 20 << 20) {
    const int64_t n = check_below(check_below(5) ? 200 : 3000000);
    for (int64_t i = 0; i < n; i++) want[len + i] = (char)(len + i * 7);
    const int rc = send_one(s, want + len, n, "<>", 2);
    CHECKF(rc == TW_OK || rc == TW_AGAIN, "%s", tw_sender_error(s));
    memcpy(want + len + n, "<>", 2);
    len += n + 2;
    for (int turns = 0; turns < 100000; turns++) {
      if (tw_sender_state(s) == TW_OK && check_below(3)) break;
      const ssize_t m = read(client, got + at, (size_t)(len - at));
      if (m > 0) at += m;
      tw_loop_poll(loop, turns < 1000 ? 0 : 1, ready, 8);
    }
    CHECK(tw_sender_state(s) == TW_OK);
  }
  CHECK(write(client, "ignored", 7) == 7); /* would make close a reset */
  tw_sender_close(s);
  fcntl(client, F_SETFL, 0);
  for (ssize_t n; (n = read(client, got + at, (size_t)(SIZE - at))) > 0;) at += n;
  CHECKF(at == len && !memcmp(want, got, (size_t)len), "%ld of %ld", (long)at,
         (long)len);
  close(client);
  free(want);
  free(got);
}

/* Many at a time: what has been taken and what has been begun is what arrives, in order. */
static void sends_queues(void) {
  enum { SIZE = 8 << 20 };
  int client;
  char *want = malloc(SIZE + (1 << 20)), *got = malloc(SIZE + (1 << 20));
  int64_t len = 0, at = 0;
  uint32_t ready[8];
  tw_queue *q = tw_queue_open(8);
  tw_sender *s = dial("127.0.0.1", &client);
  CHECK(tw_sender_send(s, q, "\n", 1) == 0);
  while (len < SIZE || q->tail > q->head) {
    for (int64_t k = len < SIZE ? check_below(900) : 0; k > 0; k--) {
      if (check_below(4) == 0) { /* half a number is exact */
        const double x = (double)check_below(100000) / 2;
        CHECK(!tw_queue_push_num(q, x));
        len += sprintf(want + len, "%.14g\n", x);
        continue;
      }
      const int64_t n = check_below(check_below(500) ? 60 : 300000);
      memset(want + len, 'a' + (int)(len % 26), (size_t)n);
      CHECK(!tw_queue_push_bytes(q, want + len, (size_t)n));
      want[len + n] = '\n';
      len += n + 1;
      if (len > SIZE) break;
    }
    const int64_t held = (int64_t)(q->tail - q->head);
    int64_t n = tw_sender_send(s, q, "\n", 1);
    CHECK(n >= 0 && n <= held && (n == held) == (tw_sender_state(s) == TW_OK));
    while (tw_sender_state(s) == TW_AGAIN || check_below(3)) {
      const ssize_t m = read(client, got + at, (size_t)check_below(200000) + 1);
      if (m > 0) at += m;
      tw_loop_poll(loop, 0, ready, 8);
    }
    CHECK(tw_sender_state(s) == TW_OK);
    tw_queue_drop(q, n < held ? n + 1 : n);
  }
  tw_sender_close(s);
  fcntl(client, F_SETFL, 0);
  for (ssize_t n; (n = read(client, got + at, 1 << 16)) > 0;) at += n;
  CHECKF(at == len && !memcmp(want, got, (size_t)len), "%ld of %ld", (long)at,
         (long)len);
  close(client);
  tw_queue_close(q);
  free(want);
  free(got);
}

static void notices_that_the_other_side_went(void) {
  int client;
  tw_sender *s = dial("127.0.0.1", &client);
  CHECK(send_one(s, "a", 1, "\n", 1) == TW_OK);
  char got[3];
  fcntl(client, F_SETFL, 0);
  CHECK(read(client, got, 2) == 2);
  close(client);
  CHECK(send_one(s, "b", 1, "\n", 1) == TW_EIO);
  CHECKF(!strcmp(tw_sender_error(s), "closed by the other side"), "%s",
         tw_sender_error(s));
  CHECK(send_one(s, "c", 1, "\n", 1) == TW_EIO);
  tw_sender_close(s);

  s = dial("127.0.0.1", &client);
  static char much[32 << 20];
  const struct linger hard = {.l_onoff = 1};
  CHECK(send_one(s, much, sizeof much, "\n", 1) == TW_AGAIN);
  CHECK(send_one(s, "b", 1, "\n", 1) == TW_EINVAL);
  setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(client);
  CHECK(settle(s) == TW_EIO);
  tw_sender_close(s);
}

static void says_why_it_cannot_connect(void) {
  tw_sender *s = tw_sender_open(loop, "127.0.0.1", "1");
  CHECK(settle(s) == TW_EIO);
  CHECKF(strstr(tw_sender_error(s), "refused"), "%s", tw_sender_error(s));
  tw_sender_close(s);
  s = tw_sender_open(loop, "no such host", port);
  CHECK(!s || settle(s) == TW_EIO);
  tw_sender_close(s);
  tw_sender_close(tw_sender_open(loop, "127.0.0.1", port)); /* at once */
}

/* Between its failure and its end its descriptor's number is given to somebody else. */
static void leaves_alone_who_comes_after_it(void) {
  int client;
  tw_sender *s = tw_sender_open(loop, "127.0.0.1", "1");
  CHECK(settle(s) == TW_EIO);
  neighbours_move_in(loop);
  tw_sender_close(s);
  CHECK(neighbours_are_heard(loop));
  s = dial("127.0.0.1", &client);
  close(client);
  for (int i = 0; i < 6000 && tw_sender_state(s) == TW_OK; i++) {
    uint32_t ready[8];
    tw_loop_poll(loop, 10, ready, 8);
  }
  CHECK(tw_sender_state(s) == TW_EIO);
  neighbours_move_in(loop);
  tw_sender_close(s);
  CHECK(neighbours_are_heard(loop));
}

/* A name may have addresses where nobody listens. */
static void tries_all_addresses(void) {
  int client;
  tw_sender_close(dial("localhost", &client));
  close(client);
}

static void survives_lack_of_memory(void) {
  tw_mem_fail_at(1);
  CHECK(!tw_sender_open(loop, "127.0.0.1", port));
  tw_mem_fail_at(0);
  int client;
  tw_sender *s = dial("127.0.0.1", &client);
  static char much[32 << 20];
  tw_queue *q = tw_queue_open(1);
  CHECK(!tw_queue_push_bytes(q, much, sizeof much));
  tw_mem_fail_at(1);
  CHECK(tw_sender_send(s, q, "\n", 1) == 0 && tw_sender_state(s) == TW_EIO);
  tw_mem_fail_at(0);
  tw_queue_close(q);
  CHECKF(!strcmp(tw_sender_error(s), "no memory"), "%s", tw_sender_error(s));
  tw_sender_close(s);
  close(client);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  listen_again();
  sends_what_it_took();
  sends_queues();
  notices_that_the_other_side_went();
  says_why_it_cannot_connect();
  leaves_alone_who_comes_after_it();
  tries_all_addresses();
  survives_lack_of_memory();
  CHECK(tw_sender_open(loop, "127.0.0.1", port) != NULL);
  tw_loop_close(loop); /* closes what is open */
  close(server);
  return check_close();
}
