/* wire -- connections to a socket of our own: bytes, holding back, ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mqtt/wire.h"

#include "loop/loop.h"

#include "../check.h"

static tw_loop *loop;
static int listener, port;

/* What has been told. */
static int up, turns, downs, writes;
static int64_t got;
static char why[200];
static tw__wire *wire;
static int closes; /* when it is told that it is down */

static void on_up(void *ctx) {
  CHECK(ctx == &up);
  up++;
}

static void on_bytes(void *ctx, const char *bytes, int64_t len) {
  (void)ctx;
  for (int64_t i = 0; i < len; i++) CHECK(bytes[i] == (char)((got + i) % 251));
  got += len;
}

static void on_turn(void *ctx) {
  (void)ctx;
  turns++;
}

static void on_written(void *ctx) {
  (void)ctx;
  writes++;
}

static void on_down(void *ctx, const char *text) {
  (void)ctx;
  downs++;
  snprintf(why, sizeof why, "%s", text ? text : "closed");
  if (closes) tw__wire_close(wire);
}

static const struct tw__wire_events events = {on_up, on_bytes, on_turn, on_written,
                                              on_down};

static int poll_until(int *what, int value) {
  uint32_t ready[8];
  for (int i = 0; i < 12000 && *what < value; i++) tw_loop_poll(loop, 5, ready, 8);
  return *what >= value;
}

static void rounds(int n) {
  uint32_t ready[8];
  while (n--) tw_loop_poll(loop, 1, ready, 8);
}

/* How many bytes come, waiting for the first; 0: the end. */
static ssize_t heard(int fd, char *buf, size_t size) {
  ssize_t n = -1;
  for (int i = 0; i < 60000 && (n = recv(fd, buf, size, 0)) < 0; i++) rounds(1);
  return n;
}

/* Turns until so much has come, at least 20 of them. */
static int has_got(int64_t bytes) {
  rounds(20);
  for (int i = 0; i < 60000 && got < bytes; i++) rounds(1);
  return got == bytes;
}

static void listen_here(void) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&at, sizeof at);
  listen(listener, 10);
  getsockname(listener, (struct sockaddr *)&at, &len);
  port = ntohs(at.sin_port);
}

static int connected(const char *host) {
  up = turns = downs = writes = closes = 0;
  got = 0;
  wire = tw__wire_open(tw__loop_uv(loop), host, port, NULL, &events, &up);
  CHECK(wire != NULL);
  CHECK(poll_until(&up, 1));
  const int fd = accept(listener, NULL, NULL);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void both_ways(void) {
  static char bytes[3000000], buf[1 << 16];
  /* the name has an address on which nobody listens, too */
  const int fd = connected("localhost");
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i % 251);
  CHECK(tw__wire_send(wire, bytes, 10) == TW_OK && tw__wire_taken(wire) == 10);
  CHECK(tw__wire_written(wire) == 0); /* with the next turn */
  CHECK(poll_until(&writes, 1) && tw__wire_written(wire) == 10);
  CHECK(heard(fd, buf, sizeof buf) == 10);
  CHECK(tw__wire_send(wire, bytes, sizeof bytes) == TW_OK);
  int64_t read = 0;
  for (int i = 0; i < 60000 && read < (int64_t)sizeof bytes; i++) {
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) read += n;
    rounds(1);
  }
  CHECK(read == sizeof bytes && tw__wire_written(wire) == 10 + read);
  send(fd, bytes, 1000, 0);
  CHECK(has_got(1000));
  tw__wire_hold(wire, 1);
  CHECK(tw__wire_held(wire));
  send(fd, bytes + 1000 - 251 * 3, 753, 0); /* goes on where it was, modulo 251 */
  rounds(20);
  CHECK(got == 1000);
  tw__wire_hold(wire, 0);
  CHECK(has_got(1753));
  const int before = turns;
  tw__wire_watch(wire, 1);
  rounds(3);
  CHECK(turns > before);
  tw__wire_watch(wire, 0);
  tw__wire_send(wire, bytes, 5);
  tw__wire_finish(wire);
  rounds(5);
  CHECK(heard(fd, buf, sizeof buf) == 5 && heard(fd, buf, sizeof buf) == 0);
  close(fd);
  CHECK(poll_until(&downs, 1) && !strcmp(why, "closed"));
  CHECK(tw__wire_send(wire, bytes, 5) == TW_OK); /* it has been told */
  tw__wire_close(wire);
  rounds(3);
}

static void ends(void) {
  const struct linger reset = {.l_onoff = 1};
  static char bytes[1 << 20];
  int fd = connected("127.0.0.1");
  closes = 1;
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
  CHECK(poll_until(&downs, 1) && strstr(why, "reset"));
  rounds(3);
  fd = connected("127.0.0.1"); /* broken in the middle of what is sent */
  closes = 1;
  for (int i = 0; i < 20; i++) tw__wire_send(wire, bytes, sizeof bytes);
  rounds(2);
  close(fd);
  CHECK(poll_until(&downs, 1));
  rounds(3);
  fd = connected("127.0.0.1"); /* closed with something unsent: no event comes */
  tw__wire_send(wire, bytes, 5);
  tw__wire_close(wire);
  rounds(3);
  CHECK(downs == 0);
  close(fd);
}

static void nowhere(void) {
  close(listener);
  up = downs = closes = 0;
  wire = tw__wire_open(tw__loop_uv(loop), "localhost", port, NULL, &events, &up);
  CHECK(poll_until(&downs, 1) && strstr(why, "refused") && !up);
  tw__wire_close(wire);
  downs = 0;
  wire = tw__wire_open(tw__loop_uv(loop), "no-such-host.invalid", port, NULL, &events,
                       &up);
  CHECK(poll_until(&downs, 1) && !up);
  tw__wire_close(wire);
  downs = 0;
  wire = tw__wire_open(tw__loop_uv(loop), "127.0.0.1", port, NULL, &events, &up);
  tw__wire_close(wire); /* at once */
  rounds(5);
  CHECK(downs == 0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  loop = tw_loop_open();
  listen_here();
  both_ways();
  ends();
  nowhere();
  tw_loop_close(loop);
  return check_close();
}
