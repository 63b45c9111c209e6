/* client.c -- one connection to a WebSocket server, made again as often as the owner says.
 *
 * What is sent is kept until the server has confirmed it, and sent again over the next
 * connection:
 *
 *     kept | head: not confirmed ... | asked: of the last ping ... | tail
 *
 * A ping that follows messages asks: it carries the number of the last one, and the pong to it
 * says that the server has read all before (RFC 6455, 5.5.2, 5.5.3: answered in order of
 * TCP). One ping is on its way at a time.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "ws/ws.h"

static void try_next(tw_ws *ws, const char *before);

tw_ws *tw_ws_client(tw_loop *loop, const tw_ws_options *options, char *error,
                    int64_t size) {
  tw_ws *ws = tw__ws_open(loop, options, 0);
  if (!ws) {
    snprintf(error, (size_t)size, "no memory");
    return NULL;
  }
  if (options->tls) {
    ws->tls = tw__ws_link_context(&ws->options, 0, error, size);
    if (!ws->tls) {
      tw_ws_close(ws);
      return NULL;
    }
  }
  snprintf(ws->error, sizeof ws->error, "not connected");
  return ws;
}

static void forget_addresses(tw_ws *ws) {
  if (ws->addresses) uv_freeaddrinfo(ws->addresses);
  ws->addresses = ws->next_address = NULL;
}

void tw__ws_client_close(tw_ws *ws) {
  if (ws->looking == 1) uv_cancel((uv_req_t *)&ws->lookup);
  if (ws->looking) ws->looking = 2; /* its answer is nothing any more */
  forget_addresses(ws);
}

void tw__ws_client_opened(tw_ws *ws) {
  forget_addresses(ws);
  ws->asked = 0;
  for (uint64_t i = ws->kept.head; i != ws->kept.tail; i++)
    if (tw__ws_conn_push(ws->conn, ws->kept.frames[i & ws->kept.mask])) {
      tw__ws_conn_drop(ws->conn);
      tw__ws_client_lost(ws, "no memory");
      return;
    }
}

void tw__ws_client_lost(tw_ws *ws, const char *why) {
  if (ws->closing) return;
  if (ws->next_address && !ws->stopping) { /* none is left once it was open */
    try_next(ws, why);
    return;
  }
  forget_addresses(ws);
  if (ws->code != 1006)
    snprintf(ws->error, sizeof ws->error, "closed by the server: %d%s%.123s", ws->code,
             *ws->reason ? " " : "", ws->reason);
  else
    snprintf(ws->error, sizeof ws->error, "%s", why);
  tw__loop_ready(&ws->handle);
}

/* Connect to the next address there is; before: why not to the last one. */
static void try_next(tw_ws *ws, const char *before) {
  struct addrinfo *to = ws->next_address;
  if (!to) {
    tw__ws_client_lost(ws, before);
    return;
  }
  ws->next_address = to->ai_next;
  const int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    try_next(ws, strerror(errno));
    return;
  }
  const int rc = connect(fd, to->ai_addr, to->ai_addrlen);
  if (rc && errno != EINPROGRESS) {
    const char *why = strerror(errno);
    close(fd);
    try_next(ws, why);
    return;
  }
  ws->conn = tw__ws_conn_open(ws, fd);
  if (!ws->conn)
    try_next(ws, "no memory");
  else
    tw__ws_conn_watch(ws->conn);
}

static void resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list) {
  tw_ws *ws = lookup->data;
  const int wanted = ws->looking == 1;
  ws->looking = 0;
  if (!wanted || status) {
    uv_freeaddrinfo(list);
    if (wanted) tw__ws_client_lost(ws, uv_strerror(status));
  } else {
    ws->addresses = ws->next_address = list;
    try_next(ws, "no address");
  }
  tw__ws_settled(ws);
}

int tw_ws_dial(tw_ws *ws) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  char port[16];
  if (ws->looking || ws->conn || ws->stopping) return TW_EINVAL;
  ws->code = 1006;
  ws->status = 0;
  ws->reason[0] = '\0';
  snprintf(port, sizeof port, "%d", ws->options.port);
  ws->lookup.data = ws;
  const int rc = uv_getaddrinfo(ws->timer.loop, &ws->lookup, resolved, ws->options.host,
                                port, &hints);
  if (rc) {
    tw__ws_client_lost(ws, uv_strerror(rc));
    return TW_EIO;
  }
  ws->pending++;
  ws->looking = 1;
  return TW_OK;
}

int tw_ws_state(const tw_ws *ws) {
  if (ws->conn && ws->conn->state == TW__WS_OPEN) return TW_OK;
  return ws->looking == 1 || ws->conn ? TW_AGAIN : TW_EIO;
}

int tw_ws_code(const tw_ws *ws) {
  return ws->code;
}

int tw_ws_status(const tw_ws *ws) {
  return ws->status;
}

/* ---- confirmations ------------------------------------------------------------------- */

void tw__ws_client_ask(tw_ws *ws) {
  tw__ws_ring *kept = &ws->kept;
  if (!ws->conn || ws->conn->state != TW__WS_OPEN || kept->head == kept->tail ||
      ws->asked > kept->head)
    return;
  tw__ws_frame *frame =
      tw__ws_frame_make(TW__WS_PING, &kept->tail, sizeof kept->tail, 1);
  if (!frame) return; /* the next message asks */
  if (!tw__ws_conn_push(ws->conn, frame)) ws->asked = kept->tail;
  tw__ws_frame_unref(frame);
}

void tw__ws_client_confirmed(tw_ws *ws, const uint8_t *payload, int64_t len) {
  tw__ws_ring *kept = &ws->kept;
  uint64_t number;
  if (len != sizeof number) return;
  memcpy(&number, payload, sizeof number);
  if (number > ws->asked) return; /* this one has not been asked */
  while (kept->head < number) tw__ws_ring_pop(kept);
  if (kept->head != kept->tail) tw__ws_dirty(ws);
  tw__loop_ready(&ws->handle);
}

double tw_ws_sent(const tw_ws *ws) {
  return (double)ws->kept.tail;
}

double tw_ws_confirmed(const tw_ws *ws) {
  return (double)ws->kept.head;
}
