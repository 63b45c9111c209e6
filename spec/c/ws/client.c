/* client -- connects, says why it cannot, and sends again what was not confirmed. */
#include "peer.h"

static tw_ws *up;

static void dial_to_the_end(void) {
  CHECK(tw_ws_dial(up) == TW_OK);
  AWAIT(tw_ws_state(up) != TW_AGAIN);
}

/* A listening socket, and its port. */
static int listening(int *port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  CHECK(!bind(fd, (struct sockaddr *)&at, sizeof at) && !listen(fd, 8));
  getsockname(fd, (struct sockaddr *)&at, &len);
  *port = ntohs(at.sin_port);
  return fd;
}

static void says_what_is_wrong(void) {
  int port;
  const int fd = listening(&port);
  close(fd);
  up = client(port, options());
  CHECK(tw_ws_state(up) == TW_EIO);
  dial_to_the_end();
  CHECK(tw_ws_state(up) == TW_EIO);
  CHECKF(strstr(tw_ws_error(up), "refused") != NULL, "%s", tw_ws_error(up));
  CHECK(tw_ws_next(up) == TW_EOF);
  CHECK(tw_ws_code(up) == 1006 && tw_ws_status(up) == 0);
  over(up);
  tw_ws_options o = options();
  o.host = "no.such.name.invalid";
  up = client(80, o);
  dial_to_the_end();
  CHECK(tw_ws_state(up) == TW_EIO && *tw_ws_error(up));
  over(up);
  up = client(80, o); /* closed while it looks */
  CHECK(tw_ws_dial(up) == TW_OK && tw_ws_dial(up) == TW_EINVAL);
  over(up);
  for (int i = 0; i < 50; i++) turn(1);
}

static void is_refused(void) {
  int port;
  tw_ws_options o = options();
  o.path = "/elsewhere";
  tw_ws_options s = options();
  s.path = "/here";
  tw_ws *server = serve(s);
  port = tw_ws_port(server);
  up = client(port, o);
  dial_to_the_end();
  CHECK(tw_ws_state(up) == TW_EIO && tw_ws_status(up) == 404);
  CHECKF(!strcmp(tw_ws_error(up), "answered 404"), "%s", tw_ws_error(up));
  over(up);
  over(server);
}

static void times_out(void) {
  int port;
  const int fd = listening(&port);
  tw_ws_options o = options();
  o.shake_ms = 20;
  up = client(port, o);
  dial_to_the_end();
  CHECKF(!strcmp(tw_ws_error(up), "timeout"), "%s", tw_ws_error(up));
  over(up);
  close(fd);
}

/* The server goes when it has read so much, and another takes its place. */
static void sends_again(void) {
  tw_ws_options o = options();
  o.max_behind = 1000;
  tw_ws *server = serve(o);
  o.port = tw_ws_port(server);
  o.discard = 1;
  up = client(o.port, o);
  o.discard = 0;
  int64_t sent = 0, expected = 0, connections = 0;
  const int64_t count = 2000;
  while (tw_ws_confirmed(up) < (double)count) {
    if (tw_ws_state(up) == TW_EIO) {
      CHECK(tw_ws_dial(up) == TW_OK);
      connections++;
    }
    char text[20];
    while (sent < count && check_below(10)) {
      const int len = snprintf(text, sizeof text, "%lld", (long long)sent);
      if (tw_ws_send(up, text, len, 0) != TW_OK) break;
      sent++;
    }
    CHECK(tw_ws_sent(up) == (double)sent);
    turn(check_below(2));
    const int n = tw_ws_next(server);
    for (int i = 0; i < n; i++) {
      const tw_ws_message *message = &tw_ws_messages(server)[i];
      snprintf(text, sizeof text, "%.*s", (int)message->len, message->ptr);
      const long long number = atoll(text);
      /* none left out; of those that came before, all behind one come again */
      CHECKF(number <= expected, "%lld before %lld", number, (long long)expected);
      if (number == expected) expected++;
    }
    if (check_below(20) == 0 && connections < 50) {
      const double confirmed = tw_ws_confirmed(up);
      over(server); /* in the middle of anything */
      CHECK(confirmed <= (double)expected);
      server = serve(o);
    }
  }
  CHECK(expected == count && sent == count);
  over(up);
  over(server);
}

static void survives_no_memory(void) {
  tw_ws *server = serve(options());
  for (int64_t n = 1; n < 60; n++) {
    int count;
    up = client(tw_ws_port(server), options());
    tw_mem_fail_at(n);
    tw_ws_dial(up);
    for (int i = 0; i < 20; i++) {
      turn(i & 1);
      tw_ws_send(up, "abc", 3, 0);
      tw_ws_next(up);
      if (tw_ws_next(server) == TW_EPARSE) tw_ws_trouble(server, &count);
    }
    tw_mem_fail_at(0);
    over(up);
  }
  AWAIT(tw_ws_next(server) && tw_ws_busy(server) == 0);
  over(server);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  const int64_t before = tw_mem_bytes();
  says_what_is_wrong();
  is_refused();
  times_out();
  sends_again();
  survives_no_memory();
  CHECK(tw_mem_bytes() == before);
  tw_loop_close(loop);
  return check_close();
}
