/* datagrams -- one datagram is one record, or as many as a delimiter makes of it; those that are
 * too long are refused, those that the system drops are counted, and a stop has an end. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tideway.h"

#include "../neighbour.h"

enum { MOST = 65507 }; /* bytes of a datagram of IPv4 */

static tw_loop *loop;
static tw_datagrams *d;
static char error[256], text[1 << 17];

static tw_datagrams_options options(void) {
  return (tw_datagrams_options){
      .host = "127.0.0.1", .delim = "", .max_record = MOST, .receive_buffer = 4 << 20};
}

static void open_port(tw_datagrams_options o) {
  d = tw_datagrams_open(loop, &o, error, sizeof error);
  CHECKF(d != NULL, "%s", error);
  CHECKF(tw_datagrams_listen(d, error, sizeof error) == TW_OK, "%s", error);
}

static void close_port(void) {
  uint32_t ready[8];
  tw_datagrams_close(d);
  tw_loop_poll(loop, 0, ready, 8);
}

static int dial(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)tw_datagrams_port(d)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK(!connect(fd, (struct sockaddr *)&to, sizeof to));
  return fd;
}

static void push(int fd, const char *bytes, int64_t len) {
  CHECK(send(fd, bytes, (size_t)len, 0) == len);
}

/* The next batch, waiting for it up to a minute. */
static int next(void) {
  uint32_t ready[8];
  for (int i = 0; i < 60000; i++) {
    const int n = tw_datagrams_next(d);
    if (n != TW_AGAIN) return n;
    tw_loop_poll(loop, 1, ready, 8);
  }
  return TW_AGAIN;
}

static int is(int i, const char *want) {
  const tw_slice *line = &tw_datagrams_lines(d)[i];
  return line->len == (int64_t)strlen(want) && !memcmp(line->ptr, want, strlen(want));
}

/* Bytes without end: what a record of this number holds. */
static int64_t body(int64_t number, char *to) {
  const int64_t len = (number * 7919) % (number % 50 ? 300 : MOST);
  for (int64_t i = 0; i < len; i++) to[i] = (char)(number + i);
  return len;
}

/* In order, whole, empty ones, too; however many wait. */
static void gives_what_was_sent(void) {
  static char want[MOST];
  int64_t sent = 0, came = 0;
  open_port(options());
  const int fd = dial();
  while (came < (check_long ? 50000 : 3000)) {
    for (int64_t k = check_below(300); k > 0; k--) push(fd, text, body(sent++, text));
    for (int more = 1; more && came < sent;) {
      const int n = next();
      CHECKF(n > 0 && came + n <= sent, "%d", n);
      if (n <= 0) exit(1);
      for (int i = 0; i < n; i++, came++) {
        const tw_slice *line = &tw_datagrams_lines(d)[i];
        const int64_t len = body(came, want);
        CHECK(line->len == len && !memcmp(line->ptr, want, (size_t)len));
      }
      more = (int)check_below(4);
      if (sent - came > 500) more = 1; /* its buffer would not hold them */
    }
  }
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_RECEIVED) >= came);
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_DROPPED) == 0);
  close(fd);
  close_port();
}

static void splits(void) {
  tw_datagrams_options o = options();
  o.delim = "--";
  o.dlen = 2;
  open_port(o);
  const int fd = dial();
  push(fd, "a--b-", 5);
  push(fd, "", 0);
  push(fd, "----c--", 7);
  CHECK(next() == 5);
  CHECK(is(0, "a") && is(1, "b-") && is(2, "") && is(3, "") && is(4, "c"));
  int64_t came = 0;
  for (int i = 0; i < 3000; i++) memcpy(text + 3 * i, "x--", 3); /* more than a batch */
  push(fd, text, 9000);
  push(fd, "end", 3);
  while (came < 3001) {
    const int n = next();
    CHECK(n > 0);
    if (n <= 0) break;
    came += n;
    CHECK(is(n - 1, came == 3001 ? "end" : "x"));
  }
  close(fd);
  close_port();
}

static void refuses(void) {
  tw_datagrams_options o = options();
  o.max_record = 5;
  open_port(o);
  const int fd = dial();
  push(fd, "12345", 5);
  push(fd, "123456", 6);
  push(fd, text, 60000);
  push(fd, "ok", 2);
  CHECK(next() == 1 && is(0, "12345"));
  CHECK(next() == TW_EPARSE);
  CHECK(strstr(tw_datagrams_error(d), "127.0.0.1 port "));
  CHECK(strstr(tw_datagrams_error(d), "more than 5 bytes (max_record)"));
  CHECK(next() == TW_EPARSE && next() == 1 && is(0, "ok"));
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_REFUSED) == 2);
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_RECEIVED) == 4);
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_COUNTS) == TW_EINVAL);
  close(fd);
  close_port();
}

static void counts_what_is_dropped(void) {
  enum { SENT = 2000 };
  tw_datagrams_options o = options();
  o.receive_buffer = 1;
  open_port(o);
  const int fd = dial();
  int64_t came = 0;
  for (int i = 0; i < SENT; i++) push(fd, text, 1000);
  for (int n; (n = tw_datagrams_next(d)) > 0;) came += n;
  CHECK(came > 0 && came < SENT);
#ifdef __linux__
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_DROPPED) == SENT - came);
  tw_datagrams_stop(d);
  CHECK(next() == TW_EOF);
  CHECK(tw_datagrams_count(d, TW_DATAGRAMS_DROPPED) == SENT - came);
#endif
  close(fd);
  close_port();
}

/* What had come is handed out, nothing that comes later, though one sends on and on. */
static void stops(void) {
  int64_t came = 0;
  open_port(options());
  const int fd = dial(), port = tw_datagrams_port(d);
  for (int i = 0; i < 300; i++) push(fd, "before", 6);
  came = tw_datagrams_next(d);
  CHECK(came > 0 && came < 300);
  tw_datagrams_stop(d);
  tw_datagrams_stop(d);
  for (;;) {
    (void)!send(fd, "after", 5, 0);
    const int n = tw_datagrams_next(d);
    CHECK(n > 0 || n == TW_EOF);
    if (n < 0) break;
    came += n;
    for (int i = 0; i < n; i++) CHECK(is(i, "before"));
  }
  CHECKF(came == 300, "%lld", (long long)came);
  CHECK(tw_datagrams_next(d) == TW_EOF);
  tw_datagrams *old = d; /* it has given its port back */
  tw_datagrams_options o = options();
  o.port = port;
  open_port(o);
  CHECK(tw_datagrams_port(d) == port);
  CHECK(tw_datagrams_open(loop, &o, error, sizeof error) == NULL);
  CHECK(strstr(error, "in use"));
  tw_datagrams_close(old);
  close(fd);
  close_port();
}

/* Between a stop and its end its descriptor's number is given to somebody else. */
static void leaves_alone_who_comes_after_it(void) {
  open_port(options());
  CHECK(tw_datagrams_next(d) == TW_AGAIN);
  tw_datagrams_stop(d);
  CHECK(next() == TW_EOF);
  neighbours_move_in(loop);
  close_port();
  CHECK(neighbours_are_heard(loop));
}

static void no_memory(void) {
  const tw_datagrams_options o = options();
  for (int at = 1; at <= 3; at++) {
    tw_mem_fail_at(at);
    CHECK(tw_datagrams_open(loop, &o, error, sizeof error) == NULL);
    CHECK(strstr(error, "no memory"));
    tw_mem_fail_at(0);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  gives_what_was_sent();
  splits();
  refuses();
  counts_what_is_dropped();
  stops();
  leaves_alone_who_comes_after_it();
  no_memory();
  tw_datagrams_close(NULL);
  const tw_datagrams_options o = options();
  d = tw_datagrams_open(loop, &o, error, sizeof error); /* closed with the loop */
  open_port(o);
  tw_loop_close(loop);
  return check_close();
}
