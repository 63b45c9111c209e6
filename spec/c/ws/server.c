/* server -- takes clients in up to its limit, and says what is wrong with a port. */
#include "peer.h"

static void says_what_is_wrong(void) {
  tw_ws_options o = options();
  tw_ws *first = serve(o);
  o.port = tw_ws_port(first);
  CHECK(!tw_ws_serve(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "in use") != NULL, "%s", error);
  o.host = "nowhere";
  CHECK(!tw_ws_serve(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "no IP address") != NULL, "%s", error);
  o.host = "127.0.0.1";
  o.cert_file = o.key_file = "/nowhere";
  CHECK(!tw_ws_serve(loop, &o, error, sizeof error));
  CHECKF(strstr(error, "/nowhere") != NULL, "%s", error);
  over(first);
}

static void has_a_limit(void) {
  tw_ws_options o = options();
  o.max_connections = 2;
  tw_ws *server = serve(o);
  const int a = joined(tw_ws_port(server)), b = joined(tw_ws_port(server));
  const int c = dial(tw_ws_port(server));
  say(c, REQUEST, sizeof REQUEST - 1);
  for (int i = 0; i < 20; i++) turn(1);
  CHECK(tw_ws_busy(server) == 2);
  close(a);
  AWAIT(tw_ws_next(server) == TW_AGAIN && tw_ws_count(server, TW_WS_CONNECTIONS) == 3);
  CHECK(hear(c, 129) == 129);
  close(b);
  close(c);
  AWAIT(tw_ws_next(server) == TW_AGAIN && tw_ws_busy(server) == 0);
  CHECK(tw_ws_count(server, TW_WS_BROKEN) == 3);
  over(server);
}

static void refuses(void) {
  tw_ws *server = serve(options());
  const int fd = dial(tw_ws_port(server));
  say(fd, "nonsense\r\n\r\n", 12);
  CHECK(hear(fd, 1000) > 0);
  CHECKF(!strncmp(heard, "HTTP/1.1 400 Bad Request\r\n", 26), "%s", heard);
  close(fd);
  AWAIT(tw_ws_busy(server) == 0);
  CHECK(tw_ws_count(server, TW_WS_REFUSED) == 1);
  CHECK(tw_ws_count(server, TW_WS_CONNECTIONS) == 0);
  over(server);
}

/* Whichever allocation fails, at most that client is lost. */
static void survives_no_memory(void) {
  for (int64_t n = 1; n < 60; n++) {
    tw_ws *server = serve(options());
    const int fd = dial(tw_ws_port(server));
    tw_mem_fail_at(n);
    say(fd, REQUEST, sizeof REQUEST - 1);
    for (int i = 0; i < 5; i++) turn(0);
    tw_mem_fail_at(0);
    char text[5000] = "x";
    send(fd, "", 0, MSG_NOSIGNAL);
    tw__ws_frame *frame = tw__ws_frame_make(TW__WS_BINARY, text, sizeof text, 1);
    tw_mem_fail_at(n);
    const ssize_t sent = send(fd, frame->bytes, (size_t)frame->len, MSG_NOSIGNAL);
    (void)sent;
    for (int i = 0; i < 5; i++) {
      int count;
      turn(0);
      if (tw_ws_next(server) == TW_EPARSE) tw_ws_trouble(server, &count);
    }
    tw_ws_send(server, text, sizeof text, 1);
    for (int i = 0; i < 5; i++) turn(0);
    tw_mem_fail_at(0);
    tw__ws_frame_unref(frame);
    close(fd);
    over(server);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  const int64_t before = tw_mem_bytes();
  says_what_is_wrong();
  has_a_limit();
  refuses();
  survives_no_memory();
  CHECK(tw_mem_bytes() == before);
  tw_loop_close(loop);
  return check_close();
}
