/* sender -- what it took is what arrives, and it says so when the other side goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tideway.h"

#include "../check.h"

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

static int settle(tw_sender *s) {
  uint32_t ready[8];
  for (int i = 0; i < 1000 && tw_sender_state(s) == TW_AGAIN; i++)
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
    const int rc = tw_sender_send(s, want + len, n, "<>", 2);
    CHECKF(rc == TW_OK || rc == TW_AGAIN, "%s", tw_sender_error(s));
    memcpy(want + len + n, "<>", 2);
    len += n + 2;
    for (int turns = 0; turns < 100000; turns++) {
      if (tw_sender_state(s) == TW_OK && check_below(3)) break;
      const ssize_t m = read(client, got + at, (size_t)(len - at));
      if (m > 0) at += m;
      tw_loop_poll(loop, 0, ready, 8);
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

static void notices_that_the_other_side_went(void) {
  int client;
  tw_sender *s = dial("127.0.0.1", &client);
  CHECK(tw_sender_send(s, "a", 1, "\n", 1) == TW_OK);
  char got[3];
  fcntl(client, F_SETFL, 0);
  CHECK(read(client, got, 2) == 2);
  close(client);
  CHECK(tw_sender_send(s, "b", 1, "\n", 1) == TW_EIO);
  CHECKF(!strcmp(tw_sender_error(s), "closed by the other side"), "%s",
         tw_sender_error(s));
  CHECK(tw_sender_send(s, "c", 1, "\n", 1) == TW_EIO);
  tw_sender_close(s);

  s = dial("127.0.0.1", &client);
  static char much[32 << 20];
  const struct linger hard = {.l_onoff = 1};
  CHECK(tw_sender_send(s, much, sizeof much, "\n", 1) == TW_AGAIN);
  CHECK(tw_sender_send(s, "b", 1, "\n", 1) == TW_EINVAL);
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
  tw_mem_fail_at(1);
  CHECK(tw_sender_send(s, much, sizeof much, "\n", 1) == TW_EIO);
  tw_mem_fail_at(0);
  CHECKF(!strcmp(tw_sender_error(s), "no memory"), "%s", tw_sender_error(s));
  tw_sender_close(s);
  close(client);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  listen_again();
  sends_what_it_took();
  notices_that_the_other_side_went();
  says_why_it_cannot_connect();
  tries_all_addresses();
  survives_lack_of_memory();
  CHECK(tw_sender_open(loop, "127.0.0.1", port) != NULL);
  tw_loop_close(loop); /* closes what is open */
  close(server);
  return check_close();
}
