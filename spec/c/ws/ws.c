/* ws -- a stop hands out what has come and no more; an end lets what is queued go first. */
#include "peer.h"

static void hands_out_what_had_come(void) {
  tw_ws *server = serve(options());
  const int a = joined(tw_ws_port(server)), b = joined(tw_ws_port(server));
  say_frame(a, TW__WS_TEXT, "one", 3);
  say_frame(a, TW__WS_BINARY, "two", 3);
  for (int i = 0; i < 5; i++) turn(1);
  tw_ws_stop(server);
  say_frame(a, TW__WS_TEXT, "late", 4);
  say_frame(b, TW__WS_TEXT, "late", 4);
  int got = 0;
  for (;;) {
    const int n = next(server);
    if (n < 0) {
      CHECK(n == TW_EOF);
      break;
    }
    for (int i = 0; i < n; i++) {
      CHECK(is(server, i, got == 0 ? "one" : "two"));
      CHECK(tw_ws_messages(server)[i].binary == got);
      CHECK(!strcmp(tw_ws_messages(server)[i].target, "/p?q"));
      CHECK(!strncmp(tw_ws_messages(server)[i].remote, "127.0.0.1 port ", 15));
      got++;
    }
  }
  CHECK(got == 2);
  CHECK(hear(a, 4) == 4 && !memcmp(heard, "\x88\x02\x03\xE9", 4));
  say_frame(a, TW__WS_CLOSE, "\x03\xE9", 2);
  CHECK(hear(a, 1) == 0);
  CHECK(tw_ws_busy(server) == 2); /* they have not closed */
  close(a);
  close(b);
  AWAIT(tw_ws_busy(server) == 0);
  over(server);
}

static void sends_before_it_ends(void) {
  tw_ws_options o = options();
  o.discard = 1;
  tw_ws *server = serve(o);
  const int fd = joined(tw_ws_port(server));
  CHECK(tw_ws_send(server, "last", 4, 0) == TW_OK);
  tw_ws_finish(server, 1001, "bye");
  CHECK(tw_ws_send(server, "more", 4, 0) == TW_EOF);
  CHECK(hear(fd, 13) == 13);
  CHECK(!memcmp(heard,
                "\x81\x04last\x88\x05\x03\xE9"
                "bye",
                13));
  say_frame(fd, TW__WS_CLOSE, "\x03\xE9", 2);
  CHECK(hear(fd, 1) == 0);
  close(fd);
  AWAIT(tw_ws_busy(server) == 0);
  over(server);
}

static void counts(void) {
  tw_ws_options o = options();
  int count;
  o.max_message = 10;
  tw_ws *server = serve(o);
  const int a = joined(tw_ws_port(server)), b = joined(tw_ws_port(server));
  CHECK(tw_ws_count(server, TW_WS_CONNECTED) == 2);
  say_frame(a, TW__WS_BINARY, "0123456789a", 11);
  say_frame(b, TW__WS_TEXT, "\xFF", 1);
  while (tw_ws_count(server, TW_WS_LARGE) + tw_ws_count(server, TW_WS_VIOLATED) < 2)
    CHECK(next(server) == TW_EPARSE && *tw_ws_trouble(server, &count));
  CHECK(tw_ws_count(server, TW_WS_LARGE) == 1);
  CHECK(tw_ws_count(server, TW_WS_VIOLATED) == 1);
  CHECK(tw_ws_count(server, 99) == TW_EINVAL && tw_ws_count(server, -1) == TW_EINVAL);
  CHECK(tw_ws_abi() == TW_ABI);
  close(a);
  close(b);
  over(server);
}

/* Memory for messages that have not ended is bounded, whoever sends them. */
static void bounds_what_is_held(void) {
  enum { CLIENTS = 20 };
  static char text[60000];
  tw_ws_options o = options();
  int count, fds[CLIENTS];
  o.max_held = 400000;
  tw_ws *server = serve(o);
  const int64_t before = tw_mem_bytes();
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = joined(tw_ws_port(server));
    tw__ws_frame *frame = tw__ws_frame_make(TW__WS_BINARY, text, sizeof text, 1);
    frame->bytes[0] &= 0x7F; /* more will follow */
    say(fds[i], frame->bytes, frame->len);
    tw__ws_frame_unref(frame);
  }
  for (int i = 0; i < 200 || (!tw_ws_count(server, TW_WS_LARGE) && i < 60000); i++) {
    turn(i < 200 ? 0 : 1);
    if (tw_ws_next(server) == TW_EPARSE) tw_ws_trouble(server, &count);
  }
  CHECK(tw_ws_count(server, TW_WS_LARGE) > 0);
  CHECK(tw_ws_count(server, TW_WS_LARGE) < CLIENTS);
  CHECKF(tw_mem_bytes() - before < 1000000, "%lld",
         (long long)(tw_mem_bytes() - before));
  for (int i = 0; i < CLIENTS; i++) close(fds[i]);
  over(server);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  const int64_t before = tw_mem_bytes();
  hands_out_what_had_come();
  sends_before_it_ends();
  counts();
  bounds_what_is_held();
  CHECK(tw_mem_bytes() == before);
  tw_loop_close(loop);
  return check_close();
}
