/* server.c -- a port at which WebSocket clients are taken in. */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "ws/ws.h"

enum { ACCEPTS = 256 }; /* at a time */

static void on_connection(uv_poll_t *poll, int status, int events);

static void pause_accepting(tw_ws *ws) {
  if (ws->accepting) uv_poll_stop(&ws->listener);
  ws->accepting = 0;
}

void tw__ws_server_accept(tw_ws *ws) {
  if (!ws->listening || ws->accepting || ws->conns >= ws->options.max_connections)
    return;
  ws->accepting = !uv_poll_start(&ws->listener, UV_READABLE, on_connection);
}

/* Further ones wait in the backlog: there are too many, or no descriptors. The tick has another
 * look. */
static void on_connection(uv_poll_t *poll, int status, int events) {
  tw_ws *ws = poll->data;
  (void)events;
  if (status < 0) { /* libuv has stopped the poll */
    ws->accepting = 0;
    tw__ws_tick(ws);
  }
  for (int n = 0; n < ACCEPTS; n++) {
    if (ws->conns >= ws->options.max_connections) {
      pause_accepting(ws);
      return;
    }
    const int fd = accept4(ws->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) {
        pause_accepting(ws);
        tw__ws_tick(ws);
      }
      return;
    }
    tw__ws_conn *conn = tw__ws_conn_open(ws, fd);
    if (conn) tw__ws_conn_begin(conn);
  }
}

static void after_close(uv_handle_t *handle) {
  tw__ws_settled(handle->data);
}

void tw__ws_server_close(tw_ws *ws) {
  if (ws->fd < 0) return;
  if (ws->listening) uv_close((uv_handle_t *)&ws->listener, after_close);
  ws->listening = ws->accepting = 0;
  close(ws->fd);
  ws->fd = -1;
}

/* TW_OK, or what is wrong in *text. */
static int bind_to(tw_ws *ws, const char **text) {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } at = {0};
  const int on = 1, port = ws->options.port;
  socklen_t len = sizeof at.in;
  if (uv_ip4_addr(ws->options.host, port, &at.in)) {
    len = sizeof at.in6;
    if (uv_ip6_addr(ws->options.host, port, &at.in6)) {
      *text = "this is no IP address";
      return TW_EINVAL;
    }
  }
  ws->fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (ws->fd >= 0) setsockopt(ws->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (ws->fd < 0 || bind(ws->fd, &at.any, len) ||
      (len = sizeof at, getsockname(ws->fd, &at.any, &len))) {
    *text = strerror(errno);
    return TW_EIO;
  }
  ws->port = ntohs(at.any.sa_family == AF_INET6 ? at.in6.sin6_port : at.in.sin_port);
  return TW_OK;
}

tw_ws *tw_ws_serve(tw_loop *loop, const tw_ws_options *options, char *error,
                   int64_t size) {
  const char *text = NULL;
  tw_ws *ws = tw__ws_open(loop, options, 1);
  if (!ws) {
    snprintf(error, (size_t)size, "no memory");
    return NULL;
  }
  if (options->cert_file) {
    ws->tls = tw__ws_link_context(&ws->options, 1, error, size);
    if (!ws->tls) {
      tw_ws_close(ws);
      return NULL;
    }
  }
  if (bind_to(ws, &text)) {
    snprintf(error, (size_t)size, "%s", text);
    tw_ws_close(ws);
    return NULL;
  }
  return ws;
}

int tw_ws_listen(tw_ws *ws, char *error, int64_t size) {
  int rc = listen(ws->fd, ws->options.backlog) ? -errno : 0;
  if (!rc) rc = uv_poll_init(ws->timer.loop, &ws->listener, ws->fd);
  if (rc) {
    snprintf(error, (size_t)size, "%s", strerror(-rc));
    return TW_EIO;
  }
  ws->listener.data = ws;
  ws->pending++;
  ws->listening = 1;
  tw__ws_server_accept(ws);
  return TW_OK;
}

int tw_ws_port(const tw_ws *ws) {
  return ws->port;
}
