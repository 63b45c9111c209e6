/* request -- requests come out whole however they arrive, bad ones are refused and survived. */
#include "peer.h"

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

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  open_server(options());
  takes_requests_in_pieces();
  refuses_what_is_not_http();
  survives_noise();
  tw_httpd_close(server);
  tw_loop_close(loop);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
