/* conn -- messages arrive whole and in order, both ways; nonsense closes one connection only; who is
 * silent or slow is let go. */
#include "peer.h"

/* Random messages from a client to a server that reads now and then, in fragments of TCP. */
static void carries_messages(int down) {
  static char text[200000];
  tw_ws_options o = options();
  o.max_message = sizeof text;
  tw_ws_options sender = o; /* which has its pongs read as they come */
  sender.discard = 1;
  tw_ws *server = serve(down ? sender : o);
  tw_ws *up = client(tw_ws_port(server), down ? o : sender);
  CHECK(tw_ws_dial(up) == TW_OK);
  AWAIT(tw_ws_state(up) == TW_OK && tw_ws_count(server, TW_WS_CONNECTED) == 1);
  tw_ws *from = down ? server : up, *to = down ? up : server;
  for (int64_t i = 0; i < (int64_t)sizeof text; i++) text[i] = (char)('a' + i % 26);
  int64_t sent = 0, got = 0;
  static int64_t lengths[2000];
  const int64_t count = check_long ? 2000 : 400;
  while (got < count) {
    while (sent < count && check_below(20)) {
      const int64_t len =
          check_below(check_below(20) ? 200 : (int64_t)sizeof text - 26);
      const int rc = tw_ws_send(from, text + sent % 26, len, (int)(sent & 1));
      if (rc == TW_AGAIN) break;
      CHECK(rc == TW_OK);
      lengths[sent++] = len;
    }
    turn(check_below(3) ? 0 : 1);
    if (check_below(2)) continue;
    const int n = tw_ws_next(to);
    CHECKF(n > 0 || n == TW_AGAIN, "%d %s", n, to->trouble);
    for (int i = 0; i < n; i++, got++) {
      const tw_ws_message *message = &tw_ws_messages(to)[i];
      CHECK(message->len == lengths[got]);
      CHECK(message->binary == (got & 1));
      CHECK(!memcmp(message->ptr, text + got % 26, (size_t)message->len));
    }
  }
  /* who holds messages reads no pings */
  if (!down) AWAIT(tw_ws_next(to) && tw_ws_confirmed(up) == (double)count);
  tw_ws_finish(from, 1000, "");
  AWAIT(tw_ws_next(to) && tw_ws_busy(server) == 0 && tw_ws_busy(up) == 0);
  CHECK(tw_ws_count(server, TW_WS_BROKEN) == 0);
  CHECK(tw_ws_count(from == up ? server : up, TW_WS_VIOLATED) == 0);
  over(up);
  over(server);
}

/* Frames with bytes changed: whatever becomes of them, another client is served. */
static void survives_nonsense(void) {
  tw_ws *server = serve(options());
  const int good = joined(tw_ws_port(server));
  int64_t goods = 0;
  for (int k = 0; k < (check_long ? 5000 : 200); k++) {
    char bytes[2000];
    int64_t len = 0;
    const int fd = joined(tw_ws_port(server));
    for (int64_t n = 1 + check_below(5); n > 0; n--) {
      static const int opcodes[] = {0, 1, 2, 8, 9, 10, 3};
      char payload[200];
      for (int i = 0; i < 200; i++)
        payload[i] = (char)(check_below(8) ? 'a' : check_below(256));
      tw__ws_frame *frame = tw__ws_frame_make(opcodes[check_below(7)], payload,
                                              check_below(200), check_below(10) > 0);
      memcpy(bytes + len, frame->bytes, (size_t)frame->len);
      if (check_below(3) == 0) bytes[len] = (char)(bytes[len] ^ (1 << check_below(8)));
      if (check_below(6) == 0) bytes[len + 1] = (char)check_below(256);
      len += frame->len;
      tw__ws_frame_unref(frame);
    }
    say(fd, bytes, len);
    say_frame(good, TW__WS_TEXT, "good", 4);
    goods++;
    for (int i = 0; i < 3; i++) {
      turn(0);
      const int n = tw_ws_next(server);
      int count;
      if (n == TW_EPARSE) CHECK(*tw_ws_trouble(server, &count) && count > 0);
      for (int m = 0; m < n; m++)
        if (tw_ws_messages(server)[m].client == 1) {
          CHECK(is(server, m, "good"));
          goods--;
        }
    }
    close(fd);
  }
  while (goods > 0) {
    const int n = next(server);
    int count;
    if (n == TW_EPARSE) tw_ws_trouble(server, &count);
    if (n == TW_AGAIN) break;
    for (int m = 0; m < n; m++) goods -= tw_ws_messages(server)[m].client == 1;
  }
  CHECK(goods == 0);
  close(good);
  AWAIT(tw_ws_next(server) && tw_ws_busy(server) == 0);
  over(server);
}

/* What came before a reset that comes with it, and then the end of the connection. */
static void reads_those_that_break_off(void) {
  const struct linger hard = {.l_onoff = 1};
  tw_ws *server = serve(options());
  const int fd = joined(tw_ws_port(server));
  say_frame(fd, TW__WS_TEXT, "last", 4);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close(fd);
  CHECK(next(server) == 1 && is(server, 0, "last"));
  AWAIT(tw_ws_next(server) && tw_ws_busy(server) == 0);
  CHECK(tw_ws_count(server, TW_WS_BROKEN) == 1);
  over(server);
}

static void lets_go_of_the_silent(void) {
  tw_ws_options o = options();
  int count;
  o.ping_ms = 20;
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  CHECK(hear(fd, 2) == 2 && !memcmp(heard, "\x89\x00", 2));
  CHECK(hear(fd, 1) == 0);
  CHECK(tw_ws_count(server, TW_WS_SILENT) == 1);
  CHECK(strstr(tw_ws_trouble(server, &count), "no answer to a ping") && count == 1);
  close(fd);
  over(server);
}

/* The answer is there, but who asked did not run for a while. */
static void blames_nobody_for_its_own_pauses(void) {
  const struct timespec pause = {.tv_nsec = 100000000};
  tw_ws_options o = options();
  o.ping_ms = 20;
  o.discard = 1; /* pongs are read as they come */
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  for (int i = 0; i < 3; i++) {
    CHECK(hear(fd, 2) == 2 && !memcmp(heard, "\x89\x00", 2));
    say_frame(fd, 10, "", 0);
    nanosleep(&pause, NULL);
  }
  CHECK(tw_ws_count(server, TW_WS_SILENT) == 0);
  close(fd);
  over(server);
}

static void lets_go_of_the_slow(void) {
  static char text[1 << 20];
  tw_ws_options o = options();
  o.patience_ms = 20;
  o.close_ms = 20;
  o.discard = 1;
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  int64_t sent = 0;
  while (tw_ws_send(server, text, sizeof text, 1) == TW_OK && sent < 100) {
    turn(0);
    sent++;
  }
  CHECK(sent < 100 && tw_ws_full(server));
  AWAIT(tw_ws_busy(server) == 0);
  CHECK(tw_ws_count(server, TW_WS_SLOW) == 1);
  CHECK(!tw_ws_full(server));
  CHECK(tw_ws_send(server, "x", 1, 0) == TW_OK); /* to nobody */
  close(fd);
  over(server);
}

/* It takes what it is sent, but who sends did not run for a while. */
static void has_patience_for_as_long_as_it_runs(void) {
  const struct timespec pause = {.tv_nsec = 100000000};
  static char text[1 << 20];
  tw_ws_options o = options();
  o.patience_ms = 60;
  o.discard = 1;
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  while (!tw_ws_full(server)) {
    CHECK(tw_ws_send(server, text, sizeof text, 1) == TW_OK);
    turn(0);
  }
  nanosleep(&pause, NULL);
  turn(0);
  CHECK(tw_ws_full(server) && tw_ws_count(server, TW_WS_SLOW) == 0);
  close(fd);
  over(server);
}

/* One that sends pings and takes no pongs is not read further. */
static void holds_back_who_only_asks(void) {
  tw_ws_options o = options();
  o.discard = 1;
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  tw__ws_frame *ping = tw__ws_frame_make(TW__WS_PING, heard, 125, 1);
  const int64_t before = tw_mem_bytes();
  int64_t still = 0, total = 0;
  while (still < 200 && total < 1 << 28) {
    const ssize_t n = send(fd, ping->bytes, (size_t)ping->len, MSG_NOSIGNAL);
    total += n > 0 ? n : 0;
    still = n > 0 ? 0 : still + 1;
    turn(0);
  }
  CHECK(total < 1 << 28);
  CHECKF(tw_mem_bytes() - before < 1 << 20, "%lld",
         (long long)(tw_mem_bytes() - before));
  tw__ws_frame_unref(ping);
  close(fd);
  AWAIT(tw_ws_busy(server) == 0);
  over(server);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  const int64_t before = tw_mem_bytes();
  for (int i = 0; i < 4; i++) carries_messages(i & 1);
  survives_nonsense();
  reads_those_that_break_off();
  lets_go_of_the_silent();
  blames_nobody_for_its_own_pauses();
  lets_go_of_the_slow();
  has_patience_for_as_long_as_it_runs();
  holds_back_who_only_asks();
  CHECK(tw_mem_bytes() == before);
  tw_loop_close(loop);
  return check_close();
}
