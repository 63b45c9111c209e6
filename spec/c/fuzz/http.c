/* http.c -- any bytes as requests: what comes of them does not depend on how they are cut,
 * and the server goes on. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"),
    FUZZ_SEED("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
    FUZZ_SEED("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"),
    FUZZ_SEED(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        "\r\nPOST /3 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    FUZZ_SEED(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
        "\r\nok"),
    FUZZ_SEED("GET / HTTP/1.0\r\n\r\n"),
    FUZZ_SEED("GET http://h/x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nCookie: a=b; c=d\r\nX: \t v \r\n\r\n"),
    FUZZ_SEED("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"),
    FUZZ_SEED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    FUZZ_SEED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: "
              "chunked\r\n\r\n0\r\n\r\n"),
};
const int fuzz_seed_count = sizeof fuzz_seeds / sizeof *fuzz_seeds;

static tw_loop *loop;
static tw_httpd *server;
static char path[64];

static void tidy(void) {
  tw_loop_close(loop); /* and with it the server */
}

static void open_server(void) {
  char error[200];
  snprintf(path, sizeof path, "/tmp/tideway-fuzz-%d", (int)getpid());
  loop = tw_loop_open();
  server = tw_httpd_open(loop,
                         &(tw_httpd_options){.path = path,
                                             .backlog = 64,
                                             .max_connections = 100,
                                             .max_head = 300,
                                             .max_body = 1000,
                                             .max_held = 1 << 20,
                                             .read_ms = 60000,
                                             .idle_ms = 60000},
                         error, sizeof error);
  FUZZ_CHECK(server && tw_httpd_listen(server, error, sizeof error) == TW_OK);
  atexit(tidy);
}

/* Answers each with what it was. */
static void answer_all(struct fuzz_text *seen) {
  for (int n; (n = tw_httpd_next(server)) > 0;)
    for (int i = 0; i < n; i++) {
      const tw_httpd_request *r = &tw_httpd_requests(server)[i];
      char line[80];
      const int len =
          snprintf(line, sizeof line, "%s %zu %lld %lld;", r->method, strlen(r->target),
                   (long long)r->headers_len, (long long)r->body_len);
      fuzz_put(seen, line, (size_t)len);
      fuzz_put(seen, r->headers, (size_t)r->headers_len);
      fuzz_put(seen, r->body, (size_t)r->body_len);
      tw_httpd_answer(server, r->id, 200, "", 0, line, len);
    }
}

struct outcome {
  struct fuzz_text requests, replies;
};

/* What the server sees in these bytes, and what it says to them, without dates. */
static void converse(struct outcome *outcome, const char *bytes, size_t size, int cut) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  struct fuzz_text *replies = &outcome->replies;
  uint32_t ready[8];
  strcpy(to.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  FUZZ_CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  outcome->requests.len = replies->len = 0;
  size_t at = 0;
  for (int turns = 0, said = 0;; turns++) {
    FUZZ_CHECK(turns < 100000);
    char text[5000];
    if (at < size) {
      const size_t most = cut ? 1 + (size_t)check_below(check_below(3) ? 3 : 60) : size;
      const size_t len = most < size - at ? most : size - at;
      const ssize_t sent = send(fd, bytes + at, len, MSG_NOSIGNAL);
      at = sent > 0 ? at + (size_t)sent : size;
    } else if (!said++) {
      shutdown(fd, SHUT_WR);
    }
    tw_loop_poll(loop, 0, ready, 8);
    answer_all(&outcome->requests);
    const ssize_t n = recv(fd, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) break;
    fuzz_put(replies, text, (size_t)n);
  }
  close(fd);
  fuzz_put(replies, "", 1);
  for (char *date; (date = strstr(replies->bytes, "\r\nDate: "));)
    memset(date, '.', 37);
}

static int same(const struct fuzz_text *a, const struct fuzz_text *b) {
  return a->len == b->len && (!a->len || !memcmp(a->bytes, b->bytes, a->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct outcome whole, pieces;
  static int rounds;
  if (!server) open_server();
  converse(&whole, (const char *)data, size, 0);
  converse(&pieces, (const char *)data, size, 1);
  if (!same(&whole.replies, &pieces.replies))
    fprintf(stderr, "%.*s\nwhole:\n%s\npieces:\n%s\n", (int)size, (const char *)data,
            whole.replies.bytes, pieces.replies.bytes);
  FUZZ_CHECK(same(&whole.requests, &pieces.requests));
  FUZZ_CHECK(same(&whole.replies, &pieces.replies));
  if (++rounds % 100 == 0) {
    static const char good[] = "GET /good HTTP/1.0\r\n\r\n";
    converse(&whole, good, sizeof good - 1, 0);
    FUZZ_CHECK(strstr(whole.replies.bytes, "HTTP/1.1 200 OK"));
  }
  return 0;
}
