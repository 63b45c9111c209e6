/* conn.c -- one WebSocket connection, at either end.
 *
 *     DIALING --> SECURING --> SHAKING --> OPEN --> CLOSING --> GONE
 *      client        TLS        HTTP              close frames, then the end of TCP
 *
 * wslay reads the frames and checks them (masks, fragments, UTF-8, lengths, close codes), and
 * answers pings and closes; messages are put together here. All that goes out are whole frames
 * in one queue. Messages are read only when the owner asks for them (tw__ws_conn_read), so
 * that the other side's TCP window fills while the pipeline waits; an owner that throws
 * messages away has them read as they come.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "ws/ws.h"

enum {
  ANSWERS = 64 << 10, /* of pongs and the like unsent, until nothing is read */
  SMALL = 4 << 10,    /* a message that is always allowed to come */
  COPIED = 16 << 10,  /* up to so many bytes of a message are copied */
  KEEP = 64 << 10,    /* room that need not be given back */
  BATCH_BYTES = 1 << 20,
  TURN = 64 << 10,      /* bytes that a connection may be read in its turn */
  LAST_WORDS_MS = 30000 /* for what is queued when it is closed */
};

static const struct wslay_event_callbacks callbacks;

int64_t tw__ws_now(const tw_ws *ws) {
  return (int64_t)uv_now(ws->timer.loop);
}

static void become(tw__ws_conn *conn, enum tw__ws_state state) {
  conn->state = state;
  conn->since = tw__ws_now(conn->ws);
}

static void name_peer(tw__ws_conn *conn) {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } peer;
  socklen_t len = sizeof peer;
  char text[64] = "";
  int port = 0;
  if (getpeername(conn->link.fd, &peer.any, &len)) return;
  if (peer.any.sa_family == AF_INET6) {
    uv_ip6_name(&peer.in6, text, sizeof text);
    port = ntohs(peer.in6.sin6_port);
  } else {
    uv_ip4_name(&peer.in, text, sizeof text);
    port = ntohs(peer.in.sin_port);
  }
  snprintf(conn->shake->peer, sizeof conn->shake->peer, "%s port %d", text, port);
}

void tw__ws_trouble(tw__ws_conn *conn, int which, const char *format, ...) {
  tw_ws *ws = conn->ws;
  char text[160];
  va_list args;
  if (which >= 0) ws->count[which]++;
  if (ws->troubles++ > 0) return; /* the first is named */
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (ws->server)
    snprintf(ws->trouble, sizeof ws->trouble, "%s: %s", conn->shake->peer, text);
  else
    snprintf(ws->trouble, sizeof ws->trouble, "%s", text);
  tw__loop_ready(&ws->handle);
}

/* ---- the end ----------------------------------------------------------------------- */

static void free_partial(tw__ws_conn *conn) {
  conn->ws->held -= conn->partial.room;
  tw__bytes_clear(&conn->partial);
}

static void after_close(uv_handle_t *handle) {
  tw__ws_conn *conn = (tw__ws_conn *)handle;
  tw_ws *ws = conn->ws;
  tw__free(conn);
  tw__ws_settled(ws);
}

static void leave_queue(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  tw__ws_conn *before = NULL;
  if (!conn->queued) return;
  for (tw__ws_conn *at = ws->ready; at != conn; at = at->next_ready) before = at;
  if (before)
    before->next_ready = conn->next_ready;
  else
    ws->ready = conn->next_ready;
  if (ws->last_ready == conn) ws->last_ready = before;
  conn->queued = 0;
}

/* It does not have too much to take any more. */
static void not_slow(tw__ws_conn *conn) {
  if (!conn->slow) return;
  conn->slow = 0;
  if (--conn->ws->slow == 0) tw__loop_ready(&conn->ws->handle);
}

void tw__ws_conn_drop(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  if (conn->state == TW__WS_GONE) return;
  if (conn->counted) ws->open--;
  if (ws->conn == conn) ws->conn = NULL;
  conn->state = TW__WS_GONE;
  leave_queue(conn);
  not_slow(conn);
  free_partial(conn);
  tw__bytes_clear(&conn->early);
  tw__bytes_clear(&conn->control);
  tw__ws_ring_clear(&conn->out);
  if (ws->messages) { /* some may be its */
    conn->shake->next = ws->shakes;
    ws->shakes = conn->shake;
  } else {
    tw__ws_shake_close(conn->shake);
  }
  if (conn->wslay) wslay_event_context_free(conn->wslay);
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    ws->first = conn->next;
  if (conn->next) conn->next->prev = conn->prev;
  ws->conns--;
  uv_close((uv_handle_t *)&conn->poll, after_close);
  tw__ws_link_close(&conn->link);
  tw__loop_ready(&ws->handle);
}

/* Nothing more comes of it, in order or not. */
static void end(tw__ws_conn *conn, const char *why) {
  tw_ws *ws = conn->ws;
  const int orderly = conn->code != 1006 || conn->ours;
  if (conn->counted && !orderly) ws->count[TW_WS_BROKEN]++;
  if (ws->server) {
    tw__ws_conn_drop(conn);
    if (!ws->stopping) tw__ws_server_accept(ws);
    return;
  }
  ws->code = conn->code;
  memcpy(ws->reason, conn->reason, sizeof ws->reason);
  tw__ws_conn_drop(conn);
  tw__ws_client_lost(ws, why);
}

/* ---- what goes out -------------------------------------------------------------------- */

/* Does it wait for room in the socket? Then there is no use in trying. */
int tw__ws_conn_stuck(const tw__ws_conn *conn) {
  return conn->events & UV_WRITABLE;
}

int tw__ws_conn_push(tw__ws_conn *conn, tw__ws_frame *frame) {
  const int rc = tw__ws_ring_push(&conn->out, frame);
  if (rc) return rc;
  if (frame->control) conn->answers += frame->len;
  if (tw__ws_conn_stuck(conn)) return TW_OK;
  conn->dirty = 1;
  tw__ws_dirty(conn->ws);
  return TW_OK;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *bytes, size_t len,
                       int flags, void *context) {
  tw__ws_conn *conn = context;
  (void)flags;
  if (tw__bytes_add(&conn->control, bytes, (int64_t)len)) {
    wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
  }
  return (ssize_t)len;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *key, size_t len,
                   void *context) {
  (void)ctx, (void)context;
  for (size_t i = 0; i + 4 <= len; i += 4) tw__ws_mask(key + i);
  return 0;
}

static void begin_closing(tw__ws_conn *conn) {
  become(conn, TW__WS_CLOSING);
  conn->closing = conn->since;
  not_slow(conn);
}

/* What wslay has to say joins the queue. TW_OK or TW_ENOMEM. */
static int take_control(tw__ws_conn *conn) {
  if (!wslay_event_want_write(conn->wslay)) return TW_OK;
  conn->control.len = 0;
  if (wslay_event_send(conn->wslay)) return TW_ENOMEM;
  if (conn->control.len == 0) return TW_OK;
  tw__ws_frame *frame = tw__ws_frame_copy(conn->control.at, conn->control.len);
  if (!frame) return TW_ENOMEM;
  const int rc = tw__ws_conn_push(conn, frame);
  tw__ws_frame_unref(frame);
  if (wslay_event_get_close_sent(conn->wslay) && conn->state == TW__WS_OPEN) {
    conn->ours = wslay_event_get_status_code_sent(conn->wslay);
    begin_closing(conn);
  }
  return rc;
}

static void pop(tw__ws_conn *conn) {
  const tw__ws_frame *frame = conn->out.frames[conn->out.head & conn->out.mask];
  if (frame->control) conn->answers -= frame->len;
  tw__ws_ring_pop(&conn->out);
  conn->sent = 0;
}

/* As much of the queue as fits; the oldest frame where it is, when it is long. */
static int64_t gather(tw__ws_conn *conn, const char **from) {
  tw_ws *ws = conn->ws;
  const tw__ws_frame *oldest = conn->out.frames[conn->out.head & conn->out.mask];
  const int64_t rest = oldest->len - conn->sent;
  *from = oldest->bytes + conn->sent;
  if (rest >= (int64_t)sizeof ws->scratch || conn->out.tail - conn->out.head == 1)
    return rest;
  int64_t n = 0, skip = conn->sent;
  for (uint64_t i = conn->out.head; i != conn->out.tail; i++) {
    const tw__ws_frame *frame = conn->out.frames[i & conn->out.mask];
    int64_t some = frame->len - skip;
    if (some > (int64_t)sizeof ws->scratch - n) some = (int64_t)sizeof ws->scratch - n;
    memcpy(ws->scratch + n, frame->bytes + skip, (size_t)some);
    n += some;
    skip = 0;
    if (n == (int64_t)sizeof ws->scratch) break;
  }
  *from = ws->scratch;
  return n;
}

static void advance(tw__ws_conn *conn, int64_t n) {
  while (n > 0) {
    const tw__ws_frame *frame = conn->out.frames[conn->out.head & conn->out.mask];
    const int64_t rest = frame->len - conn->sent;
    if (n < rest) {
      conn->sent += n;
      return;
    }
    n -= rest;
    pop(conn);
  }
}

static int all_sent(const tw__ws_conn *conn) {
  return conn->out.head == conn->out.tail;
}

void tw__ws_conn_flush(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  conn->dirty = 0;
  while (!all_sent(conn)) {
    const char *from;
    const int64_t len = gather(conn, &from);
    const int64_t n = tw__ws_link_send(&conn->link, from, len);
    if (n == TW_AGAIN) break;
    if (n < 0) {
      end(conn, "connection lost");
      return;
    }
    advance(conn, n);
    if (conn->state == TW__WS_CLOSING) conn->since = tw__ws_now(ws);
    if (n < len && !conn->link.ssl) break;
  }
  if (conn->stuffed && conn->answers <= ANSWERS / 2) {
    conn->stuffed = 0;
    conn->again = 1; /* there may be something that nobody would report */
    tw__ws_dirty(ws);
  }
  if (conn->slow && conn->out.bytes - conn->sent <= ws->options.max_behind / 2)
    not_slow(conn);
  if (conn->state == TW__WS_CLOSING && all_sent(conn) && !conn->finished &&
      (conn->refused || (ws->server && !wslay_event_get_read_enabled(conn->wslay)))) {
    /* what still comes is thrown away: to close with it unread would be a reset */
    tw__ws_link_finish(&conn->link);
    conn->finished = 1;
  }
  tw__ws_conn_watch(conn);
}

void tw__ws_conn_close(tw__ws_conn *conn, int code, const char *reason) {
  if (conn->state < TW__WS_OPEN) {
    tw__ws_conn_drop(conn);
    return;
  }
  if (conn->state != TW__WS_OPEN) return;
  if (wslay_event_queue_close(conn->wslay, (uint16_t)code, (const uint8_t *)reason,
                              strlen(reason)) ||
      take_control(conn)) {
    tw__ws_conn_drop(conn);
    return;
  }
  tw__ws_conn_flush(conn);
}

/* It does not take what it gets: the messages that have not begun are left out. */
static void close_slow(tw__ws_conn *conn) {
  tw__ws_ring *out = &conn->out;
  const uint64_t keep = conn->sent ? 1 : 0;
  tw__ws_trouble(conn, TW_WS_SLOW,
                 "does not take what it is sent: %lld bytes wait (patience)",
                 (long long)(out->bytes - conn->sent));
  while (out->tail - out->head > keep) {
    tw__ws_frame *frame = out->frames[--out->tail & out->mask];
    out->bytes -= frame->len;
    if (frame->control) conn->answers -= frame->len;
    tw__ws_frame_unref(frame);
  }
  not_slow(conn);
  tw__ws_conn_close(conn, 1013, "too slow");
}

/* ---- messages ------------------------------------------------------------------------- */

static int full(const tw_ws *ws) {
  return ws->messages >= TW__WS_BATCH || ws->batch_bytes >= BATCH_BYTES;
}

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
                       void *context) {
  tw__ws_conn *conn = context;
  tw_ws *ws = conn->ws;
  (void)flags;
  wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
  if (full(ws)) return -1;
  if (conn->answers > ANSWERS) conn->stuffed = 1;
  if (conn->stuffed) return -1;
  const int64_t early = conn->early.len - conn->early_at;
  if (early > 0) {
    const int64_t n = early < (int64_t)len ? early : (int64_t)len;
    memcpy(buf, conn->early.at + conn->early_at, (size_t)n);
    conn->early_at += n;
    if (conn->early_at == conn->early.len) {
      tw__bytes_clear(&conn->early);
      conn->early_at = 0;
    }
    return (ssize_t)n;
  }
  if (ws->stopping && conn->state == TW__WS_OPEN && conn->left < (int64_t)len) {
    len = conn->left > 0 ? (size_t)conn->left : 0;
    if (!len) {
      conn->drained = 1;
      return -1;
    }
  }
  /* what TLS has read already, nobody would report again */
  if (ws->turn >= TURN && !(conn->link.ssl && SSL_pending(conn->link.ssl))) return -1;
  const int64_t n = tw__ws_link_recv(&conn->link, buf, (int64_t)len);
  if (n > 0) {
    conn->heard = tw__ws_now(ws);
    conn->pinged = 0;
    conn->left -= n;
    ws->turn += n;
    return (ssize_t)n;
  }
  conn->drained = 1;
  if (n == 0) conn->eof = 1;
  if (n == TW_EIO) conn->broken = 1;
  return -1;
}

static void refuse_message(tw__ws_conn *conn, int code, const char *reason) {
  wslay_event_shutdown_read(conn->wslay);
  wslay_event_queue_close(conn->wslay, (uint16_t)code, (const uint8_t *)reason,
                          strlen(reason));
}

static void on_frame(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_start_arg *arg,
                     void *context) {
  tw__ws_conn *conn = context;
  (void)ctx;
  conn->frame = arg->opcode;
  if (wslay_is_ctrl_frame(arg->opcode)) return;
  const int64_t most = conn->ws->options.max_message;
  if (arg->payload_length > (uint64_t)(most - conn->partial.len))
    refuse_message(conn, 1009, "too long");
}

static void on_chunk(wslay_event_context_ptr ctx,
                     const struct wslay_event_on_frame_recv_chunk_arg *arg,
                     void *context) {
  tw__ws_conn *conn = context;
  tw_ws *ws = conn->ws;
  if (wslay_is_ctrl_frame(conn->frame) || !wslay_event_get_read_enabled(ctx)) return;
  if (ws->options.discard) {
    conn->partial.len += (int64_t)arg->data_length; /* of which nothing is kept */
    return;
  }
  const int64_t before = conn->partial.room;
  const int64_t least = conn->partial.len + (int64_t)arg->data_length;
  if (least > before && least > SMALL && ws->held + least > ws->options.max_held) {
    refuse_message(conn, 1013, "no memory for more");
    return;
  }
  if (tw__bytes_add(&conn->partial, arg->data, (int64_t)arg->data_length))
    refuse_message(conn, 1013, "no memory for more");
  ws->held += conn->partial.room - before;
}

/* A message is complete: it joins the batch. */
static void deliver(tw__ws_conn *conn, int binary) {
  tw_ws *ws = conn->ws;
  struct tw__bytes *text = &conn->partial;
  tw_ws_message *message = &ws->batch[ws->messages];
  if (ws->options.discard || ws->messages == TW__WS_MOST) {
    ws->count[TW_WS_DISCARDED]++;
    text->len = 0;
    return;
  }
  message->ptr = NULL;
  message->len = text->len;
  message->binary = binary;
  message->client = conn->id;
  message->target = tw__ws_shake_target(conn->shake);
  message->remote = conn->shake->peer;
  if (text->len <= COPIED) {
    message->at = ws->arena.len;
    if (tw__bytes_add(&ws->arena, text->at, text->len)) {
      refuse_message(conn, 1013, "no memory for more");
      return;
    }
    text->len = 0;
    if (text->room > KEEP) free_partial(conn);
  } else {
    message->ptr = text->at;
    ws->taken[ws->takings++] = text->at;
    ws->held -= text->room;
    *text = (struct tw__bytes){0};
  }
  ws->messages++;
  ws->batch_bytes += message->len;
}

static void on_message(wslay_event_context_ptr ctx,
                       const struct wslay_event_on_msg_recv_arg *arg, void *context) {
  tw__ws_conn *conn = context;
  (void)ctx;
  if (arg->opcode == WSLAY_TEXT_FRAME || arg->opcode == WSLAY_BINARY_FRAME) {
    /* one that has begun to be closed by us is not listened to any more */
    if (conn->state == TW__WS_OPEN)
      deliver(conn, arg->opcode == WSLAY_BINARY_FRAME);
    else
      conn->partial.len = 0;
  } else if (arg->opcode == WSLAY_PONG && !conn->ws->server) {
    tw__ws_client_confirmed(conn->ws, arg->msg, (int64_t)arg->msg_length);
  } else if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
    const size_t n = arg->msg_length > 2 ? arg->msg_length - 2 : 0;
    conn->code = arg->status_code ? arg->status_code : 1005;
    if (n && n < sizeof conn->reason) memcpy(conn->reason, arg->msg + 2, n);
  }
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = on_recv,
    .send_callback = on_send,
    .genmask_callback = on_mask,
    .on_frame_recv_start_callback = on_frame,
    .on_frame_recv_chunk_callback = on_chunk,
    .on_msg_recv_callback = on_message,
};

/* ---- opening ------------------------------------------------------------------------------ */

static void opened(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  const int rc = ws->server
                     ? wslay_event_context_server_init(&conn->wslay, &callbacks, conn)
                     : wslay_event_context_client_init(&conn->wslay, &callbacks, conn);
  if (rc) {
    conn->wslay = NULL;
    end(conn, "no memory");
    return;
  }
  wslay_event_config_set_no_buffering(conn->wslay, 1);
  wslay_event_config_set_max_recv_msg_length(conn->wslay,
                                             (uint64_t)ws->options.max_message);
  become(conn, TW__WS_OPEN);
  conn->heard = conn->since;
  conn->counted = 1;
  ws->open++;
  ws->count[TW_WS_CONNECTIONS]++;
  tw__loop_ready(&ws->handle);
  if (!ws->server) tw__ws_client_opened(ws);
}

static int push_text(tw__ws_conn *conn, const struct tw__bytes *text) {
  if (text->len == 0) return TW_ENOMEM;
  tw__ws_frame *frame = tw__ws_frame_copy(text->at, text->len);
  if (!frame) return TW_ENOMEM;
  const int rc = tw__ws_conn_push(conn, frame);
  tw__ws_frame_unref(frame);
  return rc;
}

/* The head of a request is complete, or cannot be read (status). */
static void answer(tw__ws_conn *conn, int status) {
  struct tw__bytes text = {0};
  const int rc = status ? tw__ws_shake_refuse(status, &text)
                        : tw__ws_shake_answer(conn->shake, &conn->ws->options, &text);
  const int pushed = push_text(conn, &text);
  tw__bytes_clear(&text);
  if (pushed || rc == TW_ENOMEM) {
    end(conn, "no memory");
    return;
  }
  conn->refused = status || rc;
  if (conn->refused) {
    conn->ws->count[TW_WS_REFUSED]++;
    begin_closing(conn);
  } else {
    opened(conn);
  }
  if (conn->state != TW__WS_GONE) tw__ws_conn_flush(conn);
}

/* The answer to our request is complete, or cannot be read (rc). */
static void answered(tw__ws_conn *conn, int64_t rc) {
  tw_ws *ws = conn->ws;
  char error[128] = "the answer to the handshake is no HTTP";
  if (rc >= 0) {
    ws->status = conn->shake->parser.status_code;
    rc = tw__ws_shake_check(conn->shake, &ws->options, error, sizeof error);
  }
  if (rc >= 0)
    opened(conn);
  else
    end(conn, error);
}

static void shake_hands(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  char bytes[4096];
  while (conn->state == TW__WS_SHAKING) {
    const int64_t n = tw__ws_link_recv(&conn->link, bytes, sizeof bytes);
    if (n == TW_AGAIN) return;
    if (n <= 0) {
      if (ws->server) ws->count[TW_WS_REFUSED]++;
      end(conn, n ? "connection lost" : "closed by the other side");
      return;
    }
    const int64_t used = tw__ws_shake_read(conn->shake, bytes, n);
    if (used >= 0 && used < n && tw__bytes_add(&conn->early, bytes + used, n - used)) {
      end(conn, "no memory");
      return;
    }
    if (used >= 0 && !conn->shake->done) continue;
    if (ws->server)
      answer(conn, used < 0 ? 400 : 0);
    else
      answered(conn, used);
    return;
  }
}

static void begin_shaking(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  become(conn, TW__WS_SHAKING);
  if (!ws->server) {
    struct tw__bytes request = {0};
    const int rc = tw__ws_shake_request(conn->shake, &ws->options, &request);
    const int pushed = rc ? rc : push_text(conn, &request);
    tw__bytes_clear(&request);
    if (pushed) {
      end(conn, "no memory");
      return;
    }
  }
  tw__ws_conn_flush(conn);
}

static void secure(tw__ws_conn *conn) {
  char error[160];
  const int rc = tw__ws_link_secure(&conn->link, error, sizeof error);
  if (rc == TW_AGAIN) {
    tw__ws_conn_watch(conn);
  } else if (rc == TW_OK) {
    begin_shaking(conn);
  } else {
    if (conn->ws->server) conn->ws->count[TW_WS_REFUSED]++;
    end(conn, error);
  }
}

static void set_up(const tw__ws_conn *conn) {
  const int on = 1;
  const int64_t ping = conn->ws->options.ping_ms;
  setsockopt(conn->link.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(conn->link.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_USER_TIMEOUT
  /* also of a peer that takes nothing, as long as its system does not answer */
  const unsigned ms = ping && ping < 1 << 30 ? (unsigned)(2 * ping) : 0;
  if (ms) setsockopt(conn->link.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
#endif
}

void tw__ws_conn_begin(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  set_up(conn);
  name_peer(conn);
  if (!ws->tls) {
    begin_shaking(conn);
    return;
  }
  const char *host = ws->server ? NULL : ws->options.host;
  if (tw__ws_link_tls(&conn->link, ws->tls, host, ws->options.verify)) {
    end(conn, "no memory");
    return;
  }
  become(conn, TW__WS_SECURING);
  secure(conn);
}

tw__ws_conn *tw__ws_conn_open(tw_ws *ws, int fd) {
  tw__ws_conn *conn = tw__calloc(1, sizeof *conn);
  tw__ws_shake *shake = conn ? tw__ws_shake_open(ws->server) : NULL;
  if (!shake || uv_poll_init(ws->timer.loop, &conn->poll, fd)) {
    tw__ws_shake_close(shake);
    tw__free(conn);
    close(fd);
    return NULL;
  }
  conn->ws = ws;
  conn->shake = shake;
  conn->link.fd = fd;
  conn->code = 1006;
  conn->id = ++ws->last_id;
  conn->next = ws->first;
  if (conn->next) conn->next->prev = conn;
  ws->first = conn;
  ws->conns++;
  ws->pending++;
  become(conn, TW__WS_DIALING);
  tw__ws_tick(ws);
  return conn;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Why wslay does not read any more, other than that the peer has closed. */
static void explain(tw__ws_conn *conn) {
  const long long most = (long long)conn->ws->options.max_message;
  switch (conn->ours) {
  case 1009:
    tw__ws_trouble(conn, TW_WS_LARGE, "a message of more than %lld bytes (max_message)",
                   most);
    break;
  case 1007:
    tw__ws_trouble(conn, TW_WS_VIOLATED, "a text message that is not UTF-8");
    break;
  case 1013:
    tw__ws_trouble(conn, TW_WS_LARGE, "no memory for more of a message");
    break;
  default: tw__ws_trouble(conn, TW_WS_VIOLATED, "what it sends breaks the protocol");
  }
}

/* wslay cannot make frames of what comes, and does not say so to the other side. */
static int give_up(tw__ws_conn *conn) {
  static const uint8_t code[] = {1002 >> 8, 1002 & 255};
  tw__ws_frame *frame =
      tw__ws_frame_make(TW__WS_CLOSE, code, sizeof code, !conn->ws->server);
  if (!frame) return TW_ENOMEM;
  const int rc = tw__ws_conn_push(conn, frame);
  tw__ws_frame_unref(frame);
  conn->ours = 1002;
  begin_closing(conn);
  return rc;
}

/* The connection is being closed: what still comes is nothing to anybody. */
static void read_on(tw__ws_conn *conn) {
  char scrap[16 << 10];
  for (int i = 0; i < 16; i++) {
    const int64_t n = tw__ws_link_recv(&conn->link, scrap, sizeof scrap);
    if (n == TW_AGAIN) break;
    if (n > 0) continue;
    end(conn, "closed by the other side");
    return;
  }
  tw__ws_conn_watch(conn);
}

/* Reads once. The connection may be gone then. */
static void read_frames(tw__ws_conn *conn) {
  const int was_open = conn->state == TW__WS_OPEN;
  conn->drained = 0;
  conn->ws->turn = 0;
  if (!conn->wslay || !wslay_event_get_read_enabled(conn->wslay)) {
    read_on(conn);
    return;
  }
  const int rc = wslay_event_recv(conn->wslay);
  const int bad = rc == WSLAY_ERR_CALLBACK_FAILURE && was_open;
  if (bad ? give_up(conn) : rc || take_control(conn)) {
    end(conn, "no memory");
    return;
  }
  if (was_open && conn->state == TW__WS_CLOSING && conn->code == 1006) explain(conn);
  if (conn->state == TW__WS_CLOSING) free_partial(conn);
  const int over = !wslay_event_get_read_enabled(conn->wslay);
  if ((conn->dirty || over) && !conn->broken) tw__ws_conn_flush(conn);
  if (conn->state == TW__WS_GONE || !(conn->eof || conn->broken)) return;
  end(conn, conn->eof ? "closed by the other side" : "connection lost");
}

static void enqueue(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  if (conn->queued) return;
  conn->queued = 1;
  conn->next_ready = NULL;
  if (ws->ready)
    ws->last_ready->next_ready = conn;
  else
    ws->ready = conn;
  ws->last_ready = conn;
  tw__loop_ready(&ws->handle);
}

void tw__ws_conn_read(tw__ws_conn *conn) {
  tw_ws *ws = conn->ws;
  conn->queued = 0;
  if (conn->state < TW__WS_OPEN) return;
  read_frames(conn);
  if (conn->state == TW__WS_GONE) return;
  if (ws->stopping && conn->state == TW__WS_OPEN && (conn->drained || conn->stuffed)) {
    tw__ws_conn_close(conn, ws->server ? 1001 : 1000, "");
    return;
  }
  if (!conn->drained && conn->state == TW__WS_OPEN && !conn->stuffed)
    enqueue(conn);
  else
    tw__ws_conn_watch(conn);
}

/* ---- events ------------------------------------------------------------------------------------ */

static void on_event(uv_poll_t *poll, int status, int events);

static int wanted(const tw__ws_conn *conn) {
  const int writes = conn->link.wants_write ? UV_WRITABLE : 0;
  const int unsent = all_sent(conn) ? 0 : UV_WRITABLE;
  switch (conn->state) {
  case TW__WS_DIALING: return UV_WRITABLE;
  case TW__WS_SECURING: return writes ? writes : UV_READABLE;
  case TW__WS_SHAKING: return UV_READABLE | writes | unsent;
  case TW__WS_OPEN: {
    const int reads = conn->queued || conn->stuffed ? 0 : UV_READABLE;
    return reads | writes | unsent;
  }
  case TW__WS_CLOSING: return (conn->eof ? 0 : UV_READABLE) | writes | unsent;
  default: return 0;
  }
}

void tw__ws_conn_watch(tw__ws_conn *conn) {
  if (conn->state == TW__WS_GONE) return;
  const int events = wanted(conn);
  if (events == conn->events) return;
  conn->events = events;
  if (events)
    uv_poll_start(&conn->poll, events, on_event);
  else
    uv_poll_stop(&conn->poll);
}

void tw__ws_conn_readable(tw__ws_conn *conn) {
  conn->again = 0;
  if (conn->state < TW__WS_OPEN) return;
  if (conn->state == TW__WS_CLOSING || conn->ws->options.discard) {
    read_frames(conn);
  } else if (conn->queued) {
    tw__ws_conn_watch(conn); /* it is known: no further reports */
    return;
  } else {
    enqueue(conn);
    return;
  }
  if (conn->state != TW__WS_GONE) tw__ws_conn_watch(conn);
}

static void dialled(tw__ws_conn *conn) {
  int error = 0;
  socklen_t len = sizeof error;
  getsockopt(conn->link.fd, SOL_SOCKET, SO_ERROR, &error, &len);
  if (error)
    end(conn, strerror(error));
  else
    tw__ws_conn_begin(conn);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  tw__ws_conn *conn = (tw__ws_conn *)poll;
  if (status < 0) {   /* recv says what is wrong, and what came before that */
    conn->events = 0; /* libuv has stopped the poll */
    events = UV_READABLE | UV_WRITABLE;
  }
  switch (conn->state) {
  case TW__WS_DIALING: dialled(conn); return;
  case TW__WS_SECURING: secure(conn); return;
  case TW__WS_SHAKING:
    if (!all_sent(conn)) tw__ws_conn_flush(conn);
    if (conn->state == TW__WS_SHAKING) shake_hands(conn);
    if (conn->state == TW__WS_OPEN && conn->early.len) tw__ws_conn_readable(conn);
    if (conn->state != TW__WS_GONE) tw__ws_conn_watch(conn);
    return;
  case TW__WS_OPEN:
  case TW__WS_CLOSING:
    if (events & UV_WRITABLE && !all_sent(conn)) tw__ws_conn_flush(conn);
    if (conn->state != TW__WS_GONE && (events & UV_READABLE || conn->link.wants_write))
      tw__ws_conn_readable(conn);
    return;
  default: return;
  }
}

/* ---- time ----------------------------------------------------------------------------------------- */

static void keep_alive(tw__ws_conn *conn, int64_t now) {
  const int64_t ping = conn->ws->options.ping_ms;
  if (!ping) return;
  if (conn->queued) { /* it is us who do not listen */
    conn->heard = now;
    conn->pinged = 0;
  }
  if (conn->pinged && now - conn->heard >= 2 * ping) {
    tw__ws_trouble(conn, TW_WS_SILENT, "no answer to a ping");
    conn->ours = 1006;
    end(conn, "no answer to a ping");
  } else if (!conn->pinged && now - conn->heard >= ping) {
    tw__ws_frame *frame = tw__ws_frame_make(TW__WS_PING, "", 0, !conn->ws->server);
    if (!frame) return;
    conn->pinged = 1;
    conn->heard = now - ping; /* it has as long for its answer, however late we ask */
    if (!tw__ws_conn_push(conn, frame)) tw__ws_conn_flush(conn);
    tw__ws_frame_unref(frame);
  }
}

void tw__ws_conn_tick(tw__ws_conn *conn, int64_t now) {
  const tw_ws_options *o = &conn->ws->options;
  switch (conn->state) {
  case TW__WS_DIALING:
  case TW__WS_SECURING:
  case TW__WS_SHAKING:
    if (now - conn->since < o->shake_ms) return;
    if (conn->ws->server) conn->ws->count[TW_WS_REFUSED]++;
    end(conn, "timeout");
    return;
  case TW__WS_OPEN:
    if (conn->slow && now - conn->slow >= o->patience_ms)
      close_slow(conn);
    else
      keep_alive(conn, now);
    return;
  case TW__WS_CLOSING:
    if (now - conn->since >= o->close_ms || now - conn->closing >= LAST_WORDS_MS)
      end(conn, "closed by the other side");
    return;
  default: return;
  }
}
