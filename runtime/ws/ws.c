/* ws.c -- WebSocket endpoints: what servers and clients share, and what Lua asks them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/mem.h"
#include "ws/ws.h"

enum {
  READS = 64,       /* connections in one tw_ws_next */
  ARENA = 4 << 20,  /* room that need not be given back */
  FLUSH = 64 << 10, /* bytes for a connection that do not wait for the loop */
  TICK_LEAST = 5,   /* ms */
  TICK_MOST = 250
};

int tw_ws_abi(void) {
  return TW_ABI;
}

/* ---- opening ------------------------------------------------------------------------ */

/* The options' texts, in memory of our own. */
static int copy_texts(tw_ws *ws) {
  const char **texts[] = {
      &ws->options.host,    &ws->options.path,      &ws->options.protocols,
      &ws->options.headers, &ws->options.origins,   &ws->options.authority,
      &ws->options.ca_file, &ws->options.cert_file, &ws->options.key_file};
  const int count = (int)(sizeof texts / sizeof *texts);
  size_t room = 1;
  for (int i = 0; i < count; i++)
    if (*texts[i]) room += strlen(*texts[i]) + 1;
  char *at = ws->texts = tw__malloc(room);
  if (!at) return TW_ENOMEM;
  for (int i = 0; i < count; i++) {
    if (!*texts[i]) continue;
    const size_t len = strlen(*texts[i]) + 1;
    *texts[i] = memcpy(at, *texts[i], len);
    at += len;
  }
  return TW_OK;
}

static void close_handle(tw__handle *handle) {
  tw_ws_close((tw_ws *)handle);
}

tw_ws *tw__ws_open(tw_loop *loop, const tw_ws_options *options, int server) {
  struct sigaction now;
  tw_ws *ws = tw__calloc(1, sizeof *ws);
  if (!ws) return NULL;
  ws->options = *options;
  if (copy_texts(ws)) {
    tw__free(ws);
    return NULL;
  }
  /* a peer that has gone must not end the process; OpenSSL writes without MSG_NOSIGNAL */
  if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  ws->server = server;
  ws->fd = -1;
  ws->code = 1006;
  uv_timer_init(tw__loop_uv(loop), &ws->timer);
  uv_prepare_init(tw__loop_uv(loop), &ws->flush);
  ws->timer.data = ws->flush.data = ws;
  ws->pending = 2;
  tw__loop_attach(loop, &ws->handle, close_handle);
  return ws;
}

/* ---- closing --------------------------------------------------------------------------- */

static void let_go_of_batch(tw_ws *ws) {
  for (int i = 0; i < ws->takings; i++) tw__free(ws->taken[i]);
  while (ws->shakes) {
    tw__ws_shake *shake = ws->shakes;
    ws->shakes = shake->next;
    tw__ws_shake_close(shake);
  }
  ws->takings = ws->messages = 0;
  ws->batch_bytes = 0;
  ws->arena.len = 0;
  if (ws->arena.room > ARENA) tw__bytes_clear(&ws->arena);
}

void tw__ws_settled(tw_ws *ws) {
  if (--ws->pending > 0 || !ws->closing) return;
  SSL_CTX_free(ws->tls);
  tw__free(ws->texts);
  tw__free(ws);
}

static void after_close(uv_handle_t *handle) {
  tw__ws_settled(handle->data);
}

void tw_ws_close(tw_ws *ws) {
  if (!ws || ws->closing) return;
  ws->closing = ws->stopping = 1;
  tw__loop_detach(&ws->handle);
  if (ws->server)
    tw__ws_server_close(ws);
  else
    tw__ws_client_close(ws);
  while (ws->first) tw__ws_conn_drop(ws->first);
  let_go_of_batch(ws);
  tw__bytes_clear(&ws->arena);
  tw__ws_ring_clear(&ws->kept);
  uv_close((uv_handle_t *)&ws->timer, after_close);
  uv_close((uv_handle_t *)&ws->flush, after_close);
}

/* Give the port, or the attempt to connect, up. */
static void take_no_more(tw_ws *ws) {
  ws->stopping = 1;
  if (ws->server)
    tw__ws_server_close(ws);
  else
    tw__ws_client_close(ws);
}

void tw_ws_stop(tw_ws *ws) {
  if (ws->stopping) return;
  take_no_more(ws);
  for (tw__ws_conn *conn = ws->first, *next; conn; conn = next) {
    int n = 0;
    next = conn->next;
    if (conn->state < TW__WS_OPEN) {
      tw__ws_conn_drop(conn);
      continue;
    }
    if (conn->state != TW__WS_OPEN) continue;
    if (ioctl(conn->link.fd, FIONREAD, &n)) n = 0;
    conn->left = n;
    if (conn->link.ssl) conn->left += SSL_pending(conn->link.ssl);
    tw__ws_conn_readable(conn);
  }
  tw__loop_ready(&ws->handle);
}

void tw_ws_finish(tw_ws *ws, int code, const char *reason) {
  take_no_more(ws);
  for (tw__ws_conn *conn = ws->first, *next; conn; conn = next) {
    next = conn->next;
    tw__ws_conn_close(conn, code, reason);
  }
  tw__loop_ready(&ws->handle);
}

/* ---- now and then --------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b) {
  return b && b < a ? b : a;
}

/* A tick that comes late was kept by what has kept us from hearing and from sending, too: no peer is
 * to blame. */
static void on_tick(uv_timer_t *timer) {
  tw_ws *ws = timer->data;
  const int64_t now = tw__ws_now(ws), late = now - ws->ticked - ws->period;
  ws->ticked = now;
  for (tw__ws_conn *conn = ws->first, *next; conn; conn = next) {
    next = conn->next;
    if (late > 0) {
      conn->heard = least(conn->heard + late, now);
      conn->since = least(conn->since + late, now);
      if (conn->slow) conn->slow = least(conn->slow + late, now);
    }
    tw__ws_conn_tick(conn, now);
  }
  if (ws->server && !ws->stopping) tw__ws_server_accept(ws);
  if (ws->conns || ws->closing) return;
  uv_timer_stop(&ws->timer);
  ws->ticking = 0;
}

void tw__ws_tick(tw_ws *ws) {
  const tw_ws_options *o = &ws->options;
  if (ws->ticking || ws->closing) return;
  int64_t ms = least(least(4 * TICK_MOST, o->ping_ms), o->shake_ms);
  ms = least(least(ms, o->close_ms), o->patience_ms) / 4;
  if (ms < TICK_LEAST) ms = TICK_LEAST;
  ws->ticking = 1;
  ws->ticked = tw__ws_now(ws);
  ws->period = ms;
  uv_timer_start(&ws->timer, on_tick, (uint64_t)ms, (uint64_t)ms);
}

/* Before the loop waits: what has been queued goes out, as much at once as there is. */
static void on_flush(uv_prepare_t *prepare) {
  tw_ws *ws = prepare->data;
  ws->dirty = 0;
  uv_prepare_stop(prepare);
  if (!ws->server) tw__ws_client_ask(ws);
  for (tw__ws_conn *conn = ws->first, *next; conn; conn = next) {
    next = conn->next;
    if (conn->dirty) tw__ws_conn_flush(conn);
    if (conn->again && conn->state != TW__WS_GONE) tw__ws_conn_readable(conn);
  }
}

void tw__ws_dirty(tw_ws *ws) {
  if (ws->dirty || ws->closing) return;
  ws->dirty = 1;
  uv_prepare_start(&ws->flush, on_flush);
}

/* ---- messages that come ------------------------------------------------------------------------ */

static tw__ws_conn *dequeue(tw_ws *ws) {
  tw__ws_conn *conn = ws->ready;
  if (!conn) return NULL;
  ws->ready = conn->next_ready;
  if (!ws->ready) ws->last_ready = NULL;
  return conn;
}

int tw_ws_next(tw_ws *ws) {
  let_go_of_batch(ws);
  if (ws->troubles) return TW_EPARSE;
  for (int reads = 0; reads < READS; reads++) {
    if (ws->messages >= TW__WS_BATCH / 2) break;
    tw__ws_conn *conn = dequeue(ws);
    if (!conn) break;
    tw__ws_conn_read(conn);
  }
  for (int i = 0; i < ws->messages; i++)
    if (!ws->batch[i].ptr) ws->batch[i].ptr = ws->arena.at + ws->batch[i].at;
  if (ws->messages) return ws->messages;
  if (ws->troubles) return TW_EPARSE;
  if (ws->ready) { /* others have something to do, too */
    tw__loop_ready(&ws->handle);
    return TW_AGAIN;
  }
  if (ws->stopping || (!ws->server && tw_ws_state(ws) == TW_EIO)) return TW_EOF;
  return TW_AGAIN;
}

const tw_ws_message *tw_ws_messages(const tw_ws *ws) {
  return ws->batch;
}

/* ---- messages that go ---------------------------------------------------------------------------- */

/* What is much does not wait for the loop. */
static void send_much(tw__ws_conn *conn) {
  if (conn->out.bytes - conn->sent >= FLUSH && !tw__ws_conn_stuck(conn))
    tw__ws_conn_flush(conn);
}

/* To a client of ours; who has too much to take is waited for, until it is given up. */
static int broadcast(tw__ws_conn *conn, tw__ws_frame *frame) {
  tw_ws *ws = conn->ws;
  if (tw__ws_conn_push(conn, frame)) return TW_ENOMEM;
  send_much(conn);
  if (conn->state == TW__WS_OPEN && !conn->slow &&
      conn->out.bytes - conn->sent > ws->options.max_behind) {
    conn->slow = tw__ws_now(ws);
    if (!conn->slow) conn->slow = 1;
    ws->slow++;
  }
  return TW_OK;
}

int tw_ws_send(tw_ws *ws, const char *bytes, int64_t len, int binary) {
  if (ws->stopping) return TW_EOF;
  if (ws->server ? ws->slow > 0 : ws->kept.bytes >= ws->options.max_behind)
    return TW_AGAIN;
  if (ws->server && !ws->open) return TW_OK;
  tw__ws_frame *frame =
      tw__ws_frame_make(binary ? TW__WS_BINARY : TW__WS_TEXT, bytes, len, !ws->server);
  int rc = frame ? TW_OK : TW_ENOMEM;
  if (!ws->server && !rc) rc = tw__ws_ring_push(&ws->kept, frame);
  for (tw__ws_conn *conn = rc ? NULL : ws->first, *next; conn; conn = next) {
    next = conn->next;
    if (conn->state != TW__WS_OPEN) continue;
    if (ws->server) {
      if (broadcast(conn, frame)) tw__ws_conn_drop(conn);
    } else if (tw__ws_conn_push(conn, frame)) {
      tw__ws_conn_drop(conn);
      tw__ws_client_lost(ws, "no memory");
    } else {
      send_much(conn);
    }
  }
  if (frame) tw__ws_frame_unref(frame);
  return rc;
}

int tw_ws_full(const tw_ws *ws) {
  return ws->server ? ws->slow > 0 : ws->kept.bytes >= ws->options.max_behind;
}

/* ---- what there is to know ------------------------------------------------------------------------- */

uint32_t tw_ws_id(const tw_ws *ws) {
  return ws->handle.id;
}

int64_t tw_ws_busy(const tw_ws *ws) {
  return ws->conns;
}

int64_t tw_ws_count(const tw_ws *ws, int what) {
  if (what == TW_WS_CONNECTED) return ws->open;
  return what < 0 || what >= TW_WS_COUNTS ? TW_EINVAL : ws->count[what];
}

const char *tw_ws_trouble(tw_ws *ws, int *count) {
  *count = ws->troubles;
  ws->troubles = 0;
  return ws->trouble;
}

const char *tw_ws_error(const tw_ws *ws) {
  return ws->error;
}
