/* server -- requests come out whole however they arrive, bad ones are answered and survived. */
#include "../dial.h"

static tw_httpd *server;
static char reply[1 << 20];

static tw_httpd_options options(void) {
  return (tw_httpd_options){.host = "127.0.0.1",
                            .backlog = 64,
                            .max_connections = 2000,
                            .max_head = 1000,
                            .max_body = 100000,
                            .max_held = 1 << 20,
                            .read_ms = 30000,
                            .idle_ms = 30000};
}

static void open_server(tw_httpd_options o) {
  char error[200];
  server = tw_httpd_open(loop, &o, error, sizeof error);
  CHECKF(server != NULL, "%s", error);
  CHECK(tw_httpd_listen(server, error, sizeof error) == TW_OK);
}

static int dial(void) {
  return dial_port(tw_httpd_port(server));
}

static void say(int fd, const char *text, size_t len) {
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
static const char *hear(int fd, const char *end) {
  size_t len = 0;
  const int64_t till = tw_loop_now_ns() + 5000000000;
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
static const tw_httpd_request *next(void) {
  for (int i = 0; i < 2000; i++) {
    if (tw_httpd_next(server)) return tw_httpd_requests(server);
    turn(1);
  }
  return NULL;
}

static void ok(double id, const char *body) {
  CHECK(tw_httpd_answer(server, id, 200, "", 0, body, (int64_t)strlen(body)) == 1);
}

/* A random request, also chunked, in random pieces, with what belongs to the next one. */
static void takes_requests_in_pieces(void) {
  const int fd = dial();
  for (int k = 0; k < 300; k++) {
    static char text[200000], body[20000];
    const int64_t len = check_below(2) ? check_below(40) : check_below(20000);
    for (int64_t i = 0; i < len; i++) body[i] = (char)check_below(256);
    size_t n = 0;
    const int chunked = (int)check_below(2);
    n += (size_t)sprintf(text, "%sPOST /p%d?q=1 HTTP/1.1\r\nHost: a\r\nX-Y:  b c \r\n",
                         check_below(4) ? "" : "\r\n", k);
    if (chunked) {
      n += (size_t)sprintf(text + n, "Transfer-Encoding: chunked\r\n\r\n");
      int64_t at = 0;
      while (at < len) {
        const int64_t m = 1 + check_below(len - at);
        n += (size_t)sprintf(text + n, "%llx%s\r\n", (long long)m,
                             check_below(2) ? "" : ";a=b");
        memcpy(text + n, body + at, (size_t)m);
        n += (size_t)m;
        at += m;
        n += (size_t)sprintf(text + n, "\r\n");
      }
      n += (size_t)sprintf(text + n, "0\r\n\r\n");
    } else {
      n += (size_t)sprintf(text + n, "Content-Length: %lld\r\n\r\n", (long long)len);
      memcpy(text + n, body, (size_t)len);
      n += (size_t)len;
    }
    for (size_t at = 0; at < n;) {
      size_t m = check_below(2) ? n - at : 1 + (size_t)check_below(50);
      if (m > n - at) m = n - at;
      say(fd, text + at, m);
      at += m;
      if (check_below(2)) turn(0);
    }
    const tw_httpd_request *r = next();
    CHECK(r != NULL);
    if (!r) return;
    char target[40];
    sprintf(target, "/p%d?q=1", k);
    CHECKF(!strcmp(r->target, target), "%s", r->target);
    CHECK(!strcmp(r->method, "POST") && r->minor == 1);
    CHECK(r->body_len == len && !memcmp(r->body, body, (size_t)len));
    CHECK(r->headers_len > 11 && !memcmp(r->headers, "host\0a\0x-y", 11));
    CHECK(tw_httpd_waits(server, r->id));
    const double id = r->id;
    if (check_below(2)) tw_httpd_take(server, id);
    CHECK(r->id == id);
    ok(id, "fine");
    CHECK(!tw_httpd_waits(server, id) && r->id == 0);
    CHECK(tw_httpd_answer(server, id, 200, "", 0, "", 0) == 0);
    const char *got = hear(fd, "fine");
    CHECKF(!strncmp(got, "HTTP/1.1 200 OK\r\n", 17) &&
               strstr(got, "\r\nContent-Length: 4\r\n"),
           "%s", got);
  }
  close(fd);
}

static void serves_pipelined_requests_one_by_one(void) {
  const int fd = dial();
  char text[8000];
  size_t n = 0;
  for (int i = 0; i < 50; i++)
    n += (size_t)sprintf(
        text + n, "PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d", i, i);
  say(fd, text, n);
  for (int i = 0; i < 50; i++) {
    const tw_httpd_request *r = next();
    CHECK(r && r->body_len == 2 && atoi(r->target + 1) == i);
    if (!r) return;
    CHECK(tw_httpd_queued(server) == 0);
    ok(r->id, "x");
  }
  int answers = 0;
  for (int k = 0; k < 50 && answers < 50; k++)
    for (const char *at = hear(fd, "x"); (at = strstr(at, "HTTP/1.1 200")); at++)
      answers++;
  CHECKF(answers == 50, "%d", answers);
  close(fd);
}

/* A body of random size in pieces: all of it in order, head and id as they should be; in between
 * it may be answered, and then nothing more comes. */
static void hands_out_pieces(void) {
  enum { PIECE = 1000, MOST = 50000 };
  tw_httpd_options o = options();
  o.piece = PIECE;
  open_server(o);
  static char text[MOST + 200], seen[MOST];
  for (int k = 0; k < 60; k++) {
    const int fd = dial();
    const int64_t len = check_below(check_below(3) ? MOST : 2 * PIECE);
    const int64_t stop = check_below(4) ? MOST : check_below(len + 1); /* then answer */
    int n = sprintf(text, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: %lld\r\n\r\n",
                    (long long)len);
    const int64_t head = n;
    for (int64_t i = 0; i < len; i++) text[n++] = (char)check_below(256);
    int64_t sent = 0, got = 0, pieces = 0;
    double id = 0;
    int more = 1;
    while (more) {
      const int64_t part = check_below(3) ? n - sent : 1 + check_below(3000);
      if (sent < n) {
        sent += push(fd, text + sent, part < n - sent ? part : n - sent);
      }
      turn(sent < n ? 0 : 1);
      if (!tw_httpd_next(server)) continue;
      const tw_httpd_request *r = tw_httpd_requests(server);
      CHECK(pieces == 0 || r->id == id);
      CHECK(pieces ? !*r->target && !r->headers_len : !strcmp(r->target, "/p"));
      CHECK(!r->more || r->body_len >= PIECE);
      id = r->id;
      pieces++;
      more = r->more;
      memcpy(seen + got, r->body, (size_t)r->body_len);
      got += r->body_len;
      if (more && got >= stop) break;
      if (more) tw_httpd_take(server, id);
    }
    CHECK(!memcmp(seen, text + head, (size_t)got) && (more || got == len));
    CHECK(tw_httpd_waits(server, id));
    ok(id, "fine");
    CHECK(!tw_httpd_waits(server, id));
    tw_httpd_take(server, id); /* of no effect any more */
    const char *heard = hear(fd, "fine");
    CHECKF(!more == !strstr(heard, "\r\nConnection: close\r\n"), "%s", heard);
    close(fd);
  }
  turn(0);
  /* one that vanishes and one that is under way at the end */
  const int gone = dial(), late = dial();
  const char *start = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n";
  say(gone, start, strlen(start));
  memset(text, 'x', 2 * PIECE);
  say(gone, text, 2 * PIECE);
  const tw_httpd_request *r = next();
  CHECK(r && r->more);
  const double id = r ? r->id : 0;
  close(gone);
  for (int i = 0; i < 10; i++) turn(1);
  CHECK(tw_httpd_waits(server, id)); /* it has closed its half, perhaps */
  tw_httpd_take(server, id);
  CHECK(!tw_httpd_waits(server, id));
  say(late, start, strlen(start));
  say(late, text, 2 * PIECE);
  r = next();
  CHECK(r && r->more);
  if (check_below(2)) tw_httpd_take(server, r ? r->id : 0);
  tw_httpd_stop(server);
  if (r && tw_httpd_waits(server, r->id)) tw_httpd_take(server, r->id);
  CHECK(!strncmp(hear(late, "Unavailable\n"), "HTTP/1.1 503 ", 13));
  close(late);
  tw_httpd_close(server);
}

static int status_of(const char *text, size_t len) {
  const int fd = dial();
  say(fd, text, len);
  const char *got = hear(fd, NULL);
  const int status = !strncmp(got, "HTTP/1.1 ", 9) ? atoi(got + 9) : -1;
  if (status >= 400) CHECKF(strstr(got, "\r\nConnection: close\r\n"), "%s", got);
  close(fd);
  return status;
}

static void refuses_what_is_not_http(void) {
  static const struct {
    int status;
    const char *text;
  } bad[] = {
      {400, "\x16\x03\x01 hello\r\n\r\n"},
      {400, "GARBAGE\r\n\r\n"},
      {400, "GET\r\n\r\n"},
      {400, "GET / HTTX/1.1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\n\r\n"}, /* no host */
      {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n"},
      {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
      {400,
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
      {400,
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
      {501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {405, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: the-worst\r\n\r\n"},
      {413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n"},
      {413,
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186A1\r\n"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[110000];
    size_t n = strlen(bad[i].text);
    memcpy(text, bad[i].text, n);
    if (strstr(bad[i].text, "186A1")) {
      memset(text + n, 'x', 100001);
      n += 100001;
    }
    const int status = status_of(text, n);
    CHECKF(status == bad[i].status, "%d instead of %d for %s", status, bad[i].status,
           bad[i].text);
  }
  char text[4000] = "GET /";
  memset(text + 5, 'a', 2000);
  strcpy(text + 2005, " HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(status_of(text, strlen(text)) == 414);
  strcpy(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
  memset(text + 28, 'a', 2000);
  strcpy(text + 2028, "\r\n\r\n");
  CHECK(status_of(text, strlen(text)) == 431);
  CHECK(tw_httpd_next(server) == 0);
}

/* Noise, and good requests with a few bytes changed: no crash, and the server goes on. */
static void survives_noise(void) {
  for (int k = 0; k < (check_long ? 4000 : 400); k++) {
    char text[600];
    size_t n = (size_t)sprintf(
        text, "POST /abc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
              "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    if (!check_below(5)) {
      n = (size_t)check_below(500);
      for (size_t i = 0; i < n; i++) text[i] = (char)check_below(256);
    }
    for (int64_t i = check_below(4); i > 0 && n; i--)
      text[check_below((int64_t)n)] = (char)check_below(256);
    const int fd = dial();
    say(fd, text, n);
    if (check_below(3)) shutdown(fd, SHUT_WR);
    for (int i = 0; i < 4; i++) {
      turn(0);
      if (tw_httpd_next(server)) {
        const double id = tw_httpd_requests(server)->id;
        if (check_below(2)) tw_httpd_answer(server, id, 200, "", 0, "y", 1);
      }
    }
    if (check_below(2)) {
      struct linger at_once = {.l_onoff = 1};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close(fd);
  }
  tw_httpd_stamp(server, 1);
  CHECK(tw_httpd_expire(server, 1) == -1); /* also those that we left unanswered */
  for (int i = 0; i < 200 && tw_httpd_busy(server) > 0; i++) turn(10);
  CHECKF(tw_httpd_busy(server) == 0, "%lld", (long long)tw_httpd_busy(server));
}

static void answers_late_ones(void) {
  const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const int a = dial(), b = dial();
  say(a, text, strlen(text));
  const tw_httpd_request *r = next();
  CHECK(r != NULL);
  const double id = r ? r->id : 0;
  CHECK(tw_httpd_stamp(server, 10) == 10);
  say(b, text, strlen(text));
  while (!tw_httpd_queued(server)) turn(1);
  CHECK(tw_httpd_stamp(server, 20) == 10);
  CHECK(tw_httpd_expire(server, 9) == 10);
  CHECK(tw_httpd_expire(server, 10) == 20);
  CHECK(!strncmp(hear(a, "Unavailable\n"), "HTTP/1.1 503 ", 13));
  CHECK(!tw_httpd_waits(server, id));
  CHECK(tw_httpd_expire(server, 20) == -1); /* was not even handed out */
  CHECK(tw_httpd_queued(server) == 0);
  CHECK(strstr(hear(b, "Unavailable\n"), "\r\nRetry-After: 1\r\n") != NULL);
  say(a, text, strlen(text)); /* both go on */
  r = next();
  CHECK(r != NULL);
  if (r) ok(r->id, "again");
  CHECK(strstr(hear(a, "again"), "200 OK") != NULL);
  close(a);
  close(b);
}

static void loses_patience(void) {
  tw_httpd_options o = options();
  o.read_ms = 30;
  o.idle_ms = 60;
  open_server(o);
  const int slow = dial(), idle = dial();
  say(slow, "GET / HT", 8);
  CHECK(!strncmp(hear(slow, NULL), "HTTP/1.1 408 ", 13));
  CHECK(!*hear(idle, NULL));
  close(slow);
  close(idle);
  tw_httpd_close(server);
}

/* Once so much waits, nothing is read; the clients' windows fill. */
static void holds_clients_back(void) {
  enum { CLIENTS = 20, BODY = 90000 };
  tw_httpd_options o = options();
  o.max_held = 300000;
  open_server(o);
  static char text[BODY + 200];
  int n =
      sprintf(text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
  memset(text + n, 'x', BODY);
  int fd[CLIENTS];
  size_t sent[CLIENTS] = {0};
  for (int i = 0; i < CLIENTS; i++) fd[i] = dial();
  const size_t len = (size_t)n + BODY;
  int handed = 0;
  double ids[CLIENTS];
  const int64_t before = tw_mem_bytes();
  for (int k = 0; k < 400; k++) {
    for (int i = 0; i < CLIENTS; i++) {
      sent[i] += (size_t)push(fd[i], text + sent[i], (int64_t)(len - sent[i]));
    }
    turn(0);
    CHECKF(tw_mem_bytes() - before < 1500000, "%lld",
           (long long)(tw_mem_bytes() - before));
  }
  int m = tw_httpd_next(server);
  CHECKF(m >= 2 && m <= 8, "%d", m);
  while (handed < CLIENTS) {
    for (int i = 0; i < m; i++) ids[handed++] = tw_httpd_requests(server)[i].id;
    for (int i = handed - m; i < handed; i++) ok(ids[i], "z");
    for (int k = 0; k < 1000 && handed < CLIENTS; k++) {
      for (int i = 0; i < CLIENTS; i++) {
        sent[i] += (size_t)push(fd[i], text + sent[i], (int64_t)(len - sent[i]));
      }
      turn(1);
      if ((m = tw_httpd_next(server))) break;
    }
    if (!m) break;
  }
  CHECKF(handed == CLIENTS, "%d", handed);
  for (int i = 0; i < CLIENTS; i++) {
    CHECK(strstr(hear(fd[i], "z"), "200 OK") != NULL);
    close(fd[i]);
  }
  tw_httpd_close(server);
}

/* A large answer to a client that takes its time. */
static void sends_large_answers(void) {
  enum { SIZE = 8 << 20 };
  char *body = malloc(SIZE);
  for (int i = 0; i < SIZE; i++) body[i] = (char)(i * 7);
  open_server(options());
  const int fd = dial();
  say(fd, "GET / HTTP/1.0\r\n\r\n", 18);
  const tw_httpd_request *r = next();
  CHECK(r && tw_httpd_answer(server, r->id, 200, "X-Y: z\r\n", 8, body, SIZE) == 1);
  tw_httpd_stop(server);
  CHECK(tw_httpd_busy(server) == 1);
  int64_t got = 0, head = 0;
  while (1) {
    const ssize_t n = recv(fd, reply, sizeof reply - 1, 0);
    if (n == 0) break;
    if (n < 0) {
      turn(1);
      continue;
    }
    if (!got) {
      reply[n] = '\0';
      CHECK(strstr(reply, "\r\nX-Y: z\r\n") != NULL);
      head = strstr(reply, "\r\n\r\n") + 4 - reply;
    }
    for (int64_t i = got ? 0 : head; i < n; i += 997)
      CHECK(reply[i] == body[got + i - head]);
    got += n;
  }
  CHECKF(got - head == SIZE, "%lld", (long long)got);
  turn(0);
  CHECK(tw_httpd_busy(server) == 0);
  close(fd);
  free(body);
  tw_httpd_close(server);
}

static void keeps_to_its_connections(void) {
  tw_httpd_options o = options();
  o.max_connections = 3;
  open_server(o);
  int fd[6];
  for (int i = 0; i < 6; i++) fd[i] = dial();
  for (int i = 0; i < 20; i++) turn(1);
  CHECK(tw_httpd_busy(server) == 3);
  for (int i = 0; i < 3; i++) close(fd[i]);
  for (int i = 0; i < 20; i++) turn(1);
  CHECK(tw_httpd_busy(server) == 3);
  say(fd[5], "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
  const tw_httpd_request *r = next();
  CHECK(r != NULL);
  if (r) ok(r->id, "q");
  CHECK(strstr(hear(fd[5], "q"), "200 OK") != NULL);
  for (int i = 3; i < 6; i++) close(fd[i]);
  tw_httpd_close(server);
}

static void gives_its_port_back(void) {
  char error[200];
  open_server(options());
  tw_httpd_options o = options();
  o.port = tw_httpd_port(server);
  tw_httpd *other = tw_httpd_open(loop, &o, error, sizeof error);
  CHECK(!other || tw_httpd_listen(other, error, sizeof error) == TW_EIO);
  CHECKF(!strcmp(error, "address already in use"), "%s", error);
  tw_httpd_close(other);
  tw_httpd_stop(server);
  tw_httpd_stop(server);
  tw_httpd_close(server);
  open_server(o);
  CHECK(tw_httpd_port(server) == o.port);
  tw_httpd_close(server);
  o = options();
  o.host = "nowhere";
  CHECK(!tw_httpd_open(loop, &o, error, sizeof error));
  CHECKF(!strcmp(error, "nowhere is no IP address"), "%s", error);
  o.host = "::1";
  o.port = 0;
  other = tw_httpd_open(loop, &o, error, sizeof error);
  CHECK(!other || tw_httpd_port(other) > 0);
  tw_httpd_close(other);
}

/* Every allocation fails once: nothing is lost but requests. */
static void survives_lack_of_memory(void) {
  const char *text = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                     "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nworld";
  for (int64_t nth = 1; nth < 16; nth++) {
    char error[200];
    tw_httpd_options o = options();
    tw_mem_fail_at(nth);
    server = tw_httpd_open(loop, &o, error, sizeof error);
    if (server && tw_httpd_listen(server, error, sizeof error) == TW_OK) {
      const int fd = dial();
      say(fd, text, strlen(text));
      for (int i = 0; i < 20; i++) {
        turn(1);
        if (tw_httpd_next(server)) {
          const double id = tw_httpd_requests(server)->id;
          tw_httpd_answer(server, id, 200, "", 0, "y", 1);
        }
      }
      close(fd);
    }
    tw_mem_fail_at(0);
    tw_httpd_close(server);
    turn(0);
  }
}

/* It has no connection whose end would let others in. */
static void takes_up_what_there_was_no_memory_for(void) {
  open_server(options());
  const int fd = dial();
  tw_mem_fail_at(1);
  for (int i = 0; i < 20; i++) turn(1);
  tw_mem_fail_at(0);
  say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
  CHECK(next() != NULL);
  close(fd);
  tw_httpd_close(server);
  turn(0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  open_server(options());
  takes_requests_in_pieces();
  serves_pipelined_requests_one_by_one();
  refuses_what_is_not_http();
  answers_late_ones();
  survives_noise();
  tw_httpd_close(server);
  loses_patience();
  hands_out_pieces();
  holds_clients_back();
  sends_large_answers();
  keeps_to_its_connections();
  gives_its_port_back();
  survives_lack_of_memory();
  takes_up_what_there_was_no_memory_for();
  open_server(options()); /* left to the loop, with connections */
  const int fd = dial();
  say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
  CHECK(next() != NULL);
  tw_loop_close(loop);
  close(fd);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
