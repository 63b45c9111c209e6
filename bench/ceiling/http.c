/* http.c -- what from_http_server is compared with: llhttp on libuv, no limits, no timeouts, no
 * error handling; counts requests and answers each 200 at once.
 *     http PORT */
#include <llhttp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct conn {
  uv_tcp_t tcp; /* first */
  llhttp_t parser;
  size_t body;
};

static llhttp_settings_t settings;
static uv_loop_t *loop;
static char input[64 << 10];
static long count;

static int on_body(llhttp_t *parser, const char *bytes, size_t len) {
  (void)bytes;
  ((struct conn *)parser->data)->body += len;
  return 0;
}

static int on_complete(llhttp_t *parser) {
  static const char text[] =
      "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
      "Content-Length: 0\r\n\r\n";
  struct conn *conn = parser->data;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, sizeof text - 1);
  count++;
  uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
  return 0;
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)handle, (void)size;
  *buf = uv_buf_init(input, sizeof input);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct conn *conn = (struct conn *)stream;
  if (n > 0 && llhttp_execute(&conn->parser, buf->base, (size_t)n) == HPE_OK) return;
  if (n != 0) uv_close((uv_handle_t *)stream, (uv_close_cb)free);
}

static void on_connection(uv_stream_t *listener, int status) {
  struct conn *conn = calloc(1, sizeof *conn);
  if (status || !conn) exit(1);
  uv_tcp_init(loop, &conn->tcp);
  uv_accept(listener, (uv_stream_t *)&conn->tcp);
  uv_tcp_nodelay(&conn->tcp, 1);
  llhttp_init(&conn->parser, HTTP_REQUEST, &settings);
  conn->parser.data = conn;
  uv_read_start((uv_stream_t *)&conn->tcp, on_room, on_read);
}

int main(int argc, char **argv) {
  struct sockaddr_in at;
  uv_tcp_t listener;
  signal(SIGPIPE, SIG_IGN);
  loop = uv_default_loop();
  llhttp_settings_init(&settings);
  settings.on_body = on_body;
  settings.on_message_complete = on_complete;
  uv_tcp_init(loop, &listener);
  uv_ip4_addr("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0, &at);
  if (uv_tcp_bind(&listener, (struct sockaddr *)&at, 0)) return 1;
  if (uv_listen((uv_stream_t *)&listener, 4096, on_connection)) return 1;
  return uv_run(loop, UV_RUN_DEFAULT);
}
