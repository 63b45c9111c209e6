/* dial.h -- a loop that is turned by hand, and clients on loopback beside it; for the C specs of
 * what listens. Included once. */
#ifndef TIDEWAY_SPEC_DIAL_H
#define TIDEWAY_SPEC_DIAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "tideway.h"

static tw_loop *loop;

static void turn(int64_t ms) {
  uint32_t ready[64];
  tw_loop_poll(loop, ms, ready, 64);
}

/* A connection to a port of 127.0.0.1, which does not wait. */
static int dial_port(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/* Send what goes at once. Returns how much. */
__attribute__((unused)) static int64_t push(int fd, const char *bytes, int64_t len) {
  const ssize_t n = send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
  return n > 0 ? n : 0;
}

#endif
