/* client -- requests against a thread that answers from a script, well and badly. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tideway.h"

#include "../check.h"

static int listener;
static int port;
static int accepted; /* connections, ever */

static void put(int fd, const char *text) {
  ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);
  (void)n;
}

/* What the server says to a path. Returns 0 to close the connection. */
static int serve(int fd, const char *request) {
  char text[300];
  if (strstr(request, " /hello ")) {
    put(fd, "HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello");
  } else if (strstr(request, " /echo ")) {
    const char *body = strstr(request, "\r\n\r\n") + 4;
    sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    put(fd, text);
    put(fd, body);
  } else if (strstr(request, " /heads ")) {
    sprintf(text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(request));
    put(fd, text);
    put(fd, request);
  } else if (strstr(request, " /chunked ")) {
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    put(fd, "4\r\ndefg\r\n0\r\n\r\n");
  } else if (strstr(request, " /jump ")) {
    put(fd, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nX-Old: 1\r\nContent-Length: "
            "2\r\n\r\nno");
  } else if (strstr(request, " /busy ")) {
    put(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
  } else if (strstr(request, " /large ")) {
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n");
    memset(text, 'x', 250);
    text[250] = '\0';
    for (int i = 0; i < 40; i++) put(fd, text);
  } else if (strstr(request, " /heavy ")) {
    put(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 3000; i++)
      put(fd, "X-Pad: "
              "0123456789012345678901234567890123456789012345678901234567890123456789"
              "012345678901234567890123456789\r\n");
    put(fd, "\r\n");
  } else if (strstr(request, " /missing ")) {
    put(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  } else if (strstr(request, " /short ")) {
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    return 0;
  } else if (strstr(request, " /nonsense ")) {
    put(fd, "\1\2\3\r\n\r\n");
    return 0;
  } else if (strstr(request, " /cut ")) {
    const struct linger hard = {.l_onoff = 1};
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    return 0;
  } else if (strstr(request, " /never ")) {
    /* says nothing */
  } else {
    return 0;
  }
  return 1;
}

static void *one(void *context) {
  const int fd = (int)(intptr_t)context;
  char request[4000];
  size_t len = 0;
  while (1) {
    const ssize_t n = recv(fd, request + len, sizeof request - 1 - len, 0);
    if (n <= 0 || request[0] == 0x16) break; /* 0x16: somebody speaks TLS */
    len += (size_t)n;
    request[len] = '\0';
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    if (!end || (length && strlen(end + 4) < (size_t)atoi(length + 16))) continue;
    if (!serve(fd, request)) break;
    len = 0;
  }
  close(fd);
  return NULL;
}

static void *serve_all(void *context) {
  (void)context;
  while (1) {
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) return NULL;
    __atomic_add_fetch(&accepted, 1, __ATOMIC_SEQ_CST);
    pthread_t thread;
    pthread_create(&thread, NULL, one, (void *)(intptr_t)fd);
    pthread_detach(thread);
  }
}

static pthread_t server;

static void start_server(void) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(!bind(listener, (struct sockaddr *)&at, sizeof at) && !listen(listener, 64));
  getsockname(listener, (struct sockaddr *)&at, &len);
  port = ntohs(at.sin_port);
  pthread_create(&server, NULL, serve_all, NULL);
}

static tw_loop *loop;
static tw_http *client;
static char url[100];

static tw_http_options options(const char *path) {
  sprintf(url, "http://127.0.0.1:%d%s", port, path);
  return (tw_http_options){
      .method = "GET", .url = url, .max_body = 1000000, .verify = 1};
}

static void wait_for(tw_http_call *call) {
  uint32_t ready[8];
  const int64_t till = tw_loop_now_ns() + 60000000000;
  int reported = 0;
  while (!reported && tw_loop_now_ns() < till) {
    const int n = tw_loop_poll(loop, 1000, ready, 8);
    for (int i = 0; i < n; i++) reported |= ready[i] == tw_http_id(call);
  }
  CHECKF(reported && tw_http_state(call) != TW_AGAIN, "%s: %d, %d", url, reported,
         tw_http_state(call));
}

static tw_http_call *ask(tw_http_options o) {
  tw_http_call *call = tw_http_start(client, &o);
  CHECK(call != NULL && tw_http_state(call) == TW_AGAIN);
  wait_for(call);
  return call;
}

static void gives(tw_http_options o, int status, const char *body) {
  int64_t len;
  tw_http_call *call = ask(o);
  CHECKF(tw_http_state(call) == TW_OK, "%s: %s", o.url, tw_http_error(call));
  CHECKF(tw_http_status(call) == status, "%d", tw_http_status(call));
  const char *got = tw_http_body(call, &len);
  CHECKF(len == (int64_t)strlen(body) && !memcmp(got, body, (size_t)len), "%.*s",
         (int)len, got);
  tw_http_end(call);
}

static void fails(tw_http_options o, int state, int connected, const char *why) {
  tw_http_call *call = ask(o);
  CHECKF(tw_http_state(call) == state, "%d", tw_http_state(call));
  CHECK(tw_http_connected(call) == connected);
  CHECKF(strstr(tw_http_error(call), why) != NULL, "%s", tw_http_error(call));
  tw_http_end(call);
}

static void gets_pages(void) {
  int64_t len;
  gives(options("/hello"), 200, "hello");
  gives(options("/chunked"), 200, "abcdefg");
  gives(options("/missing"), 404, "");
  gives(options("/jump"), 302, "no");
  tw_http_call *call = ask(options("/jump"));
  const char *head = tw_http_head(call, &len);
  CHECK(len > 10 && !strncmp(head, "HTTP/1.1 302", 12) &&
        memmem(head, (size_t)len, "X-Old", 5));
  char target[100];
  sprintf(target, "http://127.0.0.1:%d/hello", port);
  CHECKF(!strcmp(tw_http_redirect(call), target), "%s", tw_http_redirect(call));
  CHECK(tw_http_connected(call) && tw_http_retry_after(call) == 0);
  tw_http_end(call);
  call = ask(options("/busy"));
  CHECK(tw_http_status(call) == 503 && tw_http_retry_after(call) == 7);
  CHECK(!*tw_http_redirect(call));
  tw_http_end(call);
  CHECKF(accepted == 1, "%d connections", accepted);
}

static void sends(void) {
  int64_t len;
  tw_http_options o = options("/echo");
  o.method = "POST";
  o.body = "some body";
  o.body_len = 9;
  gives(o, 200, "some body");
  o = options("/heads");
  o.method = "PUT";
  o.headers = "X-A: b\nX-Empty: \nX-Last: c";
  o.body = "";
  tw_http_call *call = ask(o);
  const char *got = tw_http_body(call, &len);
  char *text = strndup(got, (size_t)len);
  CHECK(!strncmp(text, "PUT /heads ", 11));
  CHECK(strstr(text, "\r\nX-A: b\r\n") && strstr(text, "\r\nX-Last: c\r\n"));
  CHECK(strstr(text, "\r\nX-Empty:\r\n") && strstr(text, "\r\nContent-Length: 0\r\n"));
  CHECKF(!strstr(text, "Expect:") && !strstr(text, "Content-Type:"), "%s", text);
  free(text);
  tw_http_end(call);
}

static void says_what_is_wrong(void) {
  tw_http_options o = options("/large");
  o.max_body = 9999;
  fails(o, TW_EINVAL, 1, "larger than max_body, 9999 bytes");
  o.max_body = 10000;
  tw_http_call *call = ask(o);
  CHECK(tw_http_state(call) == TW_OK);
  tw_http_end(call);
  fails(options("/heavy"), TW_EINVAL, 1, "the headers are larger than 262144 bytes");
  fails(options("/short"), TW_EIO, 1, "connection lost");
  fails(options("/gone"), TW_EIO, 1, "connection lost");
  fails(options("/nonsense"), TW_EINVAL, 1, "");
  o = options("/");
  o.url = "http://127.0.0.1:1/";
  fails(o, TW_EIO, 0, "connection refused");
  o.url = "http://nowhere.invalid/";
  fails(o, TW_EIO, 0, "the name cannot be resolved");
  o.url = "ftp://127.0.0.1/";
  fails(o, TW_EINVAL, 0, "not an http or https address");
  sprintf(url, "https://127.0.0.1:%d/hello", port);
  o.url = url;
  fails(o, TW_EIO, 0, "TLS: ");
  o.url = "http://any/";
  o.unix_socket = "/nowhere";
  fails(o, TW_EIO, 0, "");
  o = options("/hello");
  gives(o, 200, "hello");
}

/* An answer is one, though a reset comes right behind it. */
static void reads_what_came_before_a_reset(void) {
  for (int i = 0; i < 50; i++) gives(options("/cut"), 200, "hello");
}

static void does_many_at_once(void) {
  enum { MANY = 200 };
  tw_http_call *call[MANY];
  for (int i = 0; i < MANY; i++) {
    tw_http_options o = options(i % 2 ? "/hello" : "/chunked");
    call[i] = tw_http_start(client, &o);
  }
  for (int i = 0; i < MANY; i += 7) { /* some are given up, now or under way */
    if (check_below(2)) {
      uint32_t ready[4];
      tw_loop_poll(loop, 0, ready, 4);
    }
    tw_http_end(call[i]);
    call[i] = NULL;
  }
  for (int i = 0; i < MANY; i++) {
    uint32_t ready[64];
    if (!call[i]) continue;
    while (tw_http_state(call[i]) == TW_AGAIN) tw_loop_poll(loop, 1000, ready, 64);
    int64_t len;
    const char *body = tw_http_body(call[i], &len);
    CHECKF(tw_http_state(call[i]) == TW_OK, "%s", tw_http_error(call[i]));
    CHECK(!memcmp(body, i % 2 ? "hello" : "abcdefg", (size_t)len));
    tw_http_end(call[i]);
  }
}

static void gives_up(void) {
  uint32_t ready[8];
  tw_http_options o = options("/never");
  tw_http_call *call = tw_http_start(client, &o);
  for (int i = 0; i < 5; i++) tw_loop_poll(loop, 5, ready, 8);
  CHECK(tw_http_state(call) == TW_AGAIN);
  tw_http_end(call);
  o.url = "http://nowhere.invalid/"; /* also while its name is looked up */
  call = tw_http_start(client, &o);
  tw_loop_poll(loop, 0, ready, 8);
  tw_http_end(call);
  tw_http_end(NULL);
  gives(options("/hello"), 200, "hello");
}

static void survives_lack_of_memory(void) {
  for (int64_t nth = 1; nth < 30; nth++) {
    tw_mem_fail_at(nth);
    tw_http_options o = options("/hello");
    o.headers = "X: y\n";
    tw_http_call *call = tw_http_start(client, &o);
    if (call) wait_for(call);
    tw_http_end(call);
    tw_mem_fail_at(0);
  }
  gives(options("/hello"), 200, "hello");
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  start_server();
  loop = tw_loop_open();
  client = tw_http_open(loop);
  CHECK(client != NULL && tw_http_abi() == TW_ABI);
  gets_pages();
  sends();
  says_what_is_wrong();
  reads_what_came_before_a_reset();
  does_many_at_once();
  gives_up();
  survives_lack_of_memory();

  /* one is closed with a call under way, one is left to the loop */
  tw_http *other = tw_http_open(loop);
  tw_http_options o = options("/never");
  tw_http_call *call = tw_http_start(other, &o);
  tw_http_close(other);
  CHECK(tw_http_state(call) != TW_AGAIN);
  tw_http_end(call);
  call = tw_http_start(client, &o);
  uint32_t ready[4];
  tw_loop_poll(loop, 10, ready, 4);
  tw_loop_close(loop);
  tw_http_close(NULL);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  shutdown(listener, SHUT_RDWR);
  pthread_join(server, NULL);
  close(listener);
  return check_close();
}
