/* server -- holds clients back, loses patience with them, and keeps to its limits. */
#include "peer.h"

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

/* What they said is there, but the server did not run for a while. */
static void blames_nobody_for_its_own_pauses(void) {
  const struct timespec pause = {.tv_nsec = 100000000};
  tw_httpd_options o = options();
  o.read_ms = 30;
  o.idle_ms = 60;
  open_server(o);
  const int fd = dial();
  while (tw_httpd_busy(server) < 1) turn(1);
  nanosleep(&pause, NULL); /* no turn: it cannot know */
  say(fd, "GET / HT", 8);
  turn(0);
  nanosleep(&pause, NULL);
  say(fd, "TP/1.1\r\nHost: a\r\n\r\n", 19);
  const tw_httpd_request *r = next();
  CHECK(r != NULL);
  if (r) ok(r->id, "q");
  CHECK(strstr(hear(fd, "q"), "200 OK") != NULL);
  close(fd);
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
    for (int k = 0; k < 60000 && handed < CLIENTS; k++) {
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
  loses_patience();
  blames_nobody_for_its_own_pauses();
  hands_out_pieces();
  holds_clients_back();
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
