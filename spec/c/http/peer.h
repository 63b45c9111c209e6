/* peer.h -- a server, and clients by hand; for the C specs of the HTTP server. Included once. */
#ifndef TIDEWAY_SPEC_HTTP_PEER_H
#define TIDEWAY_SPEC_HTTP_PEER_H

#include "../dial.h"

static tw_httpd *server;
static char reply[1 << 20];

__attribute__((unused)) static tw_httpd_options options(void) {
  return (tw_httpd_options){.host = "127.0.0.1",
                            .backlog = 64,
                            .max_connections = 2000,
                            .max_head = 1000,
                            .max_body = 100000,
                            .max_held = 1 << 20,
                            .read_ms = 30000,
                            .idle_ms = 30000};
}

__attribute__((unused)) static void open_server(tw_httpd_options o) {
  char error[200];
  server = tw_httpd_open(loop, &o, error, sizeof error);
  CHECKF(server != NULL, "%s", error);
  CHECK(tw_httpd_listen(server, error, sizeof error) == TW_OK);
}

__attribute__((unused)) static int dial(void) {
  return dial_port(tw_httpd_port(server));
}

__attribute__((unused)) static void say(int fd, const char *text, size_t len) {
  while (len) {
    const ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
    if (n > 0) {
      text += n;
      len -= (size_t)n;
    } else if (errno == EAGAIN) {
      turn(0);
    } else {
      return; /* refused meanwhile */
    }
  }
}

/* What there is to read, until it ends with `end` or the connection does. */
__attribute__((unused)) static const char *hear(int fd, const char *end) {
  size_t len = 0;
  const int64_t till = tw_loop_now_ns() + 60000000000;
  reply[0] = '\0';
  while (tw_loop_now_ns() < till) {
    turn(0);
    const ssize_t n = recv(fd, reply + len, sizeof reply - len - 1, 0);
    if (n == 0) return reply;
    if (n < 0) {
      if (errno != EAGAIN) return reply;
      turn(1);
      continue;
    }
    len += (size_t)n;
    reply[len] = '\0';
    const size_t wanted = end ? strlen(end) : 0;
    if (end && len >= wanted && !strcmp(reply + len - wanted, end)) return reply;
  }
  return "timeout";
}

/* The next request, waiting for it. */
__attribute__((unused)) static const tw_httpd_request *next(void) {
  for (int i = 0; i < 60000; i++) {
    if (tw_httpd_next(server)) return tw_httpd_requests(server);
    turn(1);
  }
  return NULL;
}

__attribute__((unused)) static void ok(double id, const char *body) {
  CHECK(tw_httpd_answer(server, id, 200, "", 0, body, (int64_t)strlen(body)) == 1);
}

#endif
