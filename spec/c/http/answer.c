/* answer -- answers go out whole, in order, and the connection goes on or ends after them. */
#include "peer.h"

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

int main(int argc, char **argv) {
  check_open(argc, argv);
  loop = tw_loop_open();
  open_server(options());
  serves_pipelined_requests_one_by_one();
  answers_late_ones();
  tw_httpd_close(server);
  sends_large_answers();
  tw_loop_close(loop);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
