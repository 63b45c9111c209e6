/* server.c -- an HTTP/1.1 server on the loop: its port, its connections, their patience.
 *
 *     SHAKING  (TLS only)
 *        |
 *        +--------- parse what came behind ----------+
 *        v                                           |
 *      IDLE --> READING --> QUEUED --> HELD --> WRITING --> LINGERING --> closed
 *                  |       complete   handed     answer     refused: what still comes
 *                  |                  out        under way  is read and thrown away
 *                  '---- refused (400, 408, 413 ...) --^
 *
 * A connection has one request at a time; it is not read on before that is answered, so
 * that a client that sends faster than the pipeline takes fills its own TCP window. Where
 * bodies are wanted in pieces, each goes the way from READING to HELD and back. Of an
 * idle connection only its `tw__httpd_conn` is kept. Requests are named by numbers that do not
 * come again, so that an answer to one that has gone is nothing.
 *
 * Each state that may last has its own list; all its members have the same patience, so
 * the list is in order of deadline, and one timer serves them all.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "http/httpd.h"

enum { INPUT_LEAST = 1 << 10 };
enum { SLOT_BITS = 20, MAX_SLOTS = 1 << SLOT_BITS };
enum { LINGER_MS = 2000, LINGER_BYTES = 16 << 20 };
/* until a connection that there was no memory for is taken up */
enum { RETRY_MS = 100 };

/* ---- states and their patience --------------------------------------------- */

static int64_t now_ms(const tw_httpd *server) {
  return (int64_t)uv_now(server->timer.loop);
}

static void sweep(uv_timer_t *timer);

static void arm(tw_httpd *server, int64_t at) {
  if (server->armed && server->armed <= at) return;
  const int64_t now = now_ms(server);
  server->armed = at > 0 ? at : 1;
  uv_timer_start(&server->timer, sweep, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void leave_list(tw__httpd_conn *conn) {
  tw__httpd_list *list = &conn->server->list[conn->state];
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    list->first = conn->next;
  if (conn->next)
    conn->next->prev = conn->prev;
  else
    list->last = conn->prev;
  conn->prev = conn->next = NULL;
}

static void enter_list(tw__httpd_conn *conn, enum tw__httpd_state state) {
  tw_httpd *server = conn->server;
  tw__httpd_list *list = &server->list[state];
  conn->state = state;
  conn->since = now_ms(server);
  conn->prev = list->last;
  if (list->last)
    list->last->next = conn;
  else
    list->first = conn;
  list->last = conn;
  if (list->patience) arm(server, conn->since + list->patience);
}

void tw__httpd_become(tw__httpd_conn *conn, enum tw__httpd_state state) {
  leave_list(conn);
  enter_list(conn, state);
}

/* ---- requests that wait for their answer ------------------------------------ */

/* While so much waits for the pipeline that it is paused, no connection is read. While there
 * is too much of incomplete requests, one is read until it is complete: they must not all
 * wait for each other. */
static int may_read(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (conn->state > TW__HTTPD_READING) return 1;
  if (server->paused) return 0;
  if (server->partial_bytes <= server->options.max_held) return 1;
  if (!server->favoured && conn->state == TW__HTTPD_READING) server->favoured = conn;
  return server->favoured == conn;
}

static void stall(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (conn->stalled) return;
  conn->stalled = 1;
  conn->next_stalled = NULL;
  conn->prev_stalled = server->last_stalled;
  if (server->last_stalled)
    server->last_stalled->next_stalled = conn;
  else
    server->stalled = conn;
  server->last_stalled = conn;
}

static void unstall(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (!conn->stalled) return;
  if (conn->prev_stalled)
    conn->prev_stalled->next_stalled = conn->next_stalled;
  else
    server->stalled = conn->next_stalled;
  if (conn->next_stalled)
    conn->next_stalled->prev_stalled = conn->prev_stalled;
  else
    server->last_stalled = conn->prev_stalled;
  conn->prev_stalled = conn->next_stalled = NULL;
  conn->stalled = 0;
}

static tw__httpd_conn *first_readable(tw_httpd *server) {
  tw__httpd_conn *conn = server->favoured;
  if (server->paused) return NULL;
  if (conn && server->partial_bytes > server->options.max_held)
    return conn->stalled ? conn : NULL;
  conn = server->stalled;
  while (conn && !may_read(conn)) conn = conn->next_stalled;
  return conn;
}

void tw__httpd_hold_back(tw_httpd *server) {
  const int64_t most = server->options.max_held;
  if (server->held_bytes > most) server->paused = 1;
  if (server->held_bytes <= most / 2) server->paused = 0;
  tw__httpd_conn *conn;
  while ((conn = first_readable(server))) {
    unstall(conn);
    tw__httpd_start_reading(conn);
  }
}

void tw__httpd_unfavour(tw__httpd_conn *conn) {
  if (conn->server->favoured == conn) conn->server->favoured = NULL;
}

void tw__httpd_enqueue(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (!conn->serial) conn->serial = ++server->serial;
  conn->stamp = -1;
  conn->taken = 0;
  conn->older = server->newest;
  if (server->newest)
    server->newest->newer = conn;
  else
    server->oldest = conn;
  server->newest = conn;
  if (!server->next_out) server->next_out = conn;
  server->partial_bytes -= tw__httpd_size_of(conn);
  server->held_bytes += tw__httpd_size_of(conn);
  tw__httpd_unfavour(conn);
  tw__httpd_become(conn, TW__HTTPD_QUEUED);
  tw__httpd_hold_back(server);
  tw__loop_ready(&server->handle);
}

void tw__httpd_leave_line(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (server->next_out == conn) server->next_out = conn->newer;
  if (conn->older)
    conn->older->newer = conn->newer;
  else
    server->oldest = conn->newer;
  if (conn->newer)
    conn->newer->older = conn->older;
  else
    server->newest = conn->older;
  conn->older = conn->newer = NULL;
  if (conn->round == server->round) server->batch[conn->place].id = 0;
  server->held_bytes -= tw__httpd_size_of(conn);
  tw__bytes_clear(&conn->head);
  tw__bytes_clear(&conn->body);
}

void tw__httpd_dequeue(tw__httpd_conn *conn) {
  if (conn->state == TW__HTTPD_QUEUED || conn->state == TW__HTTPD_HELD)
    tw__httpd_leave_line(conn);
  conn->serial = 0;
}

/* ---- closing ---------------------------------------------------------------- */

static void destroy(tw_httpd *server) {
  if (server->options.tls) server->options.tls->unref(server->options.tls);
  tw__free(server->slot);
  tw__free(server->spare);
  tw__free(server);
}

static void settled(tw_httpd *server) {
  if (--server->pending == 0 && server->closing) destroy(server);
}

static void after_handle_close(uv_handle_t *handle) {
  settled(handle->data);
}

static void take_up(tw_httpd *server);

static void after_conn_close(uv_handle_t *handle) {
  tw__httpd_conn *conn = (tw__httpd_conn *)handle;
  tw_httpd *server = conn->server;
  tw__free(conn->out);
  tw__free(conn);
  settled(server);
}

void tw__httpd_drop(tw__httpd_conn *conn) {
  tw_httpd *server = conn->server;
  if (conn->state == TW__HTTPD_GONE) return;
  tw__httpd_dequeue(conn);
  server->partial_bytes -=
      tw__httpd_size_of(conn); /* it has some only while it is read */
  leave_list(conn);
  conn->state = TW__HTTPD_GONE;
  tw__bytes_clear(&conn->head);
  tw__bytes_clear(&conn->body);
  tw__bytes_clear(&conn->rest);
  unstall(conn);
  tw__httpd_unfavour(conn);
  server->slot[conn->slot] = NULL;
  server->spare[server->spares++] = conn->slot;
  server->conns--;
  if (conn->tls) {
    tw__httpd_goodbye(conn);
    server->options.tls->close(conn->tls);
    conn->tls = NULL;
  }
  uv_close(&conn->stream.handle, after_conn_close);
  if (!server->closing) tw__httpd_hold_back(server);
  if (server->stopping) tw__loop_ready(&server->handle);
  if (server->unaccepted && !server->stopping) take_up(server);
}

/* ---- connections ----------------------------------------------------------------- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  tw__httpd_conn *conn = (tw__httpd_conn *)handle;
  (void)suggested;
  /* read and dealt with before the next one reads; less when there is too much already */
  const int much = conn->state <= TW__HTTPD_READING && !may_read(conn);
  *buf = uv_buf_init(conn->server->input, much ? INPUT_LEAST : TW__HTTPD_INPUT);
}

static void stop_reading(tw__httpd_conn *conn) {
  if (!conn->reading) return;
  uv_read_stop(&conn->stream.any);
  conn->reading = 0;
}

void tw__httpd_ended(tw__httpd_conn *conn, ssize_t status) {
  stop_reading(conn);
  if (status == UV_EOF && conn->state >= TW__HTTPD_QUEUED &&
      conn->state <= TW__HTTPD_WRITING) {
    conn->eof = 1; /* it may have closed its half only: it is answered */
    conn->keep_alive = 0;
    return;
  }
  if (conn->state == TW__HTTPD_READING) conn->server->count[TW_HTTPD_BROKEN]++;
  tw__httpd_drop(conn);
}

/* They say n bytes. */
static void on_bytes(tw__httpd_conn *conn, const char *bytes, size_t n) {
  switch (conn->state) {
  case TW__HTTPD_IDLE:
  case TW__HTTPD_READING: {
    const int was_body = conn->state == TW__HTTPD_READING && conn->body.len > 0;
    tw__httpd_parse(conn, bytes, n);
    if (conn->state == TW__HTTPD_READING && was_body)
      tw__httpd_become(conn, TW__HTTPD_READING); /* it makes progress */
    break;
  }
  case TW__HTTPD_LINGERING: break;
  default: /* the next request, before this one is answered */
    if (tw__bytes_add(&conn->rest, bytes, (int64_t)n))
      tw__httpd_drop(conn);
    else
      stop_reading(conn);
    break;
  }
}

/* TLS has failed. Whoever speaks HTTP instead is told so, in his own words. */
static void unsealed(tw__httpd_conn *conn, int why) {
  tw_httpd *server = conn->server;
  tw__httpd_flush(conn); /* what is wrong, in TLS' words */
  server->options.tls->close(conn->tls);
  conn->tls = NULL;
  if (why == TLS_PLAIN_HTTP) {
    tw__httpd_become(conn, TW__HTTPD_READING);
    tw__httpd_refuse(conn, 400);
    return;
  }
  server->count[TW_HTTPD_BROKEN]++;
  tw__httpd_drop(conn);
}

static void on_sealed(tw__httpd_conn *conn, const char *bytes, size_t n) {
  tw_httpd *server = conn->server;
  const tw_tls *tls = server->options.tls;
  if (tls->feed(conn->tls, bytes, n)) {
    tw__httpd_drop(conn);
    return;
  }
  int rc;
  while ((rc = tls->read(conn->tls, server->plain, sizeof server->plain)) > 0) {
    if (conn->state == TW__HTTPD_SHAKING) tw__httpd_become(conn, TW__HTTPD_IDLE);
    on_bytes(conn, server->plain, (size_t)rc);
    if (!conn->tls) return; /* it has gone */
  }
  if (rc == TLS_FAILED || rc == TLS_PLAIN_HTTP) {
    unsealed(conn, rc);
    return;
  }
  if (conn->state == TW__HTTPD_SHAKING && tls->ready(conn->tls))
    tw__httpd_become(conn, TW__HTTPD_IDLE);
  if (tw__httpd_flush(conn))
    tw__httpd_drop(conn);
  else if (rc == TLS_ENDED)
    tw__httpd_ended(conn, UV_EOF);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  tw__httpd_conn *conn = (tw__httpd_conn *)stream;
  if (n == 0 || conn->state == TW__HTTPD_GONE) return;
  if (n < 0) {
    tw__httpd_ended(conn, n);
    return;
  }
  if (conn->state == TW__HTTPD_LINGERING) {
    conn->lingered += n;
    if (conn->lingered > LINGER_BYTES) tw__httpd_drop(conn);
    return;
  }
  if (conn->tls)
    on_sealed(conn, buf->base, (size_t)n);
  else
    on_bytes(conn, buf->base, (size_t)n);
  if (conn->state != TW__HTTPD_GONE && !may_read(conn)) {
    stop_reading(conn);
    stall(conn);
  }
}

void tw__httpd_start_reading(tw__httpd_conn *conn) {
  if (conn->reading || conn->eof) return;
  if (!may_read(conn)) {
    stall(conn);
    return;
  }
  if (uv_read_start(&conn->stream.any, on_room, on_read))
    tw__httpd_drop(conn);
  else
    conn->reading = 1;
}

/* The slots are doubled when they are all in use. */
static int take_slot(tw_httpd *server, uint32_t *slot) {
  if (!server->spares) {
    const uint32_t slots = server->slots ? server->slots * 2 : 64;
    if (slots > MAX_SLOTS) return TW_ENOMEM;
    tw__httpd_conn **grown = tw__realloc(server->slot, slots * sizeof *grown);
    if (!grown) return TW_ENOMEM;
    server->slot = grown;
    uint32_t *spare = tw__realloc(server->spare, slots * sizeof *spare);
    if (!spare) return TW_ENOMEM;
    server->spare = spare;
    for (uint32_t i = slots; i > server->slots; i--) {
      server->slot[i - 1] = NULL;
      server->spare[server->spares++] = i - 1;
    }
    server->slots = slots;
  }
  *slot = server->spare[--server->spares];
  return TW_OK;
}

/* No memory for it: it waits, and all others behind it. */
static void put_off(tw_httpd *server) {
  server->unaccepted = 1;
  arm(server, now_ms(server) + RETRY_MS);
}

static void accept_one(tw_httpd *server) {
  tw__httpd_conn *conn = tw__calloc(1, sizeof *conn);
  if (!conn) {
    put_off(server);
    return;
  }
  if (take_slot(server, &conn->slot)) {
    tw__free(conn);
    put_off(server);
    return;
  }
  if (server->is_unix)
    uv_pipe_init(server->timer.loop, &conn->stream.pipe, 0);
  else
    uv_tcp_init(server->timer.loop, &conn->stream.tcp);
  conn->server = server;
  server->pending++;
  server->conns++;
  server->slot[conn->slot] = conn;
  llhttp_init(&conn->parser, HTTP_REQUEST, &server->settings);
  conn->parser.data = conn;
  enter_list(conn, server->options.tls ? TW__HTTPD_SHAKING : TW__HTTPD_IDLE);
  if (uv_accept(&server->listener.any, &conn->stream.any)) {
    tw__httpd_drop(conn);
    return;
  }
  server->count[TW_HTTPD_CONNECTIONS]++;
  if (server->options.tls) conn->tls = server->options.tls->open(server->options.tls);
  if (server->options.tls && !conn->tls) {
    tw__httpd_drop(conn);
    return;
  }
  if (!server->is_unix) uv_tcp_nodelay(&conn->stream.tcp, 1);
  tw__httpd_start_reading(conn);
}

/* libuv accepts no further one before the one it has reported is taken. */
static void on_connection(uv_stream_t *listener, int status) {
  tw_httpd *server = listener->data;
  if (status < 0) return;
  if (server->conns >= server->options.max_connections)
    server->unaccepted = 1;
  else
    accept_one(server);
}

static void take_up(tw_httpd *server) {
  if (server->conns >= server->options.max_connections) return;
  server->unaccepted = 0;
  accept_one(server);
}

/* ---- time ------------------------------------------------------------------------ */

/* Patience with one connection has run out. */
static void lose_patience(tw__httpd_conn *conn) {
  if (conn->state == TW__HTTPD_READING) {
    if (conn->stalled) { /* it would have sent */
      tw__httpd_become(conn, TW__HTTPD_READING);
      return;
    }
    conn->server->count[TW_HTTPD_BROKEN]++;
    tw__httpd_refuse(conn, 408);
    return;
  }
  if (conn->state == TW__HTTPD_WRITING) {
    const size_t unsent = uv_stream_get_write_queue_size(&conn->stream.any);
    if (unsent < conn->unsent) { /* slow, but it takes it */
      conn->unsent = unsent;
      tw__httpd_become(conn, TW__HTTPD_WRITING);
      return;
    }
    conn->server->count[TW_HTTPD_BROKEN]++;
  }
  if (conn->state == TW__HTTPD_SHAKING) conn->server->count[TW_HTTPD_BROKEN]++;
  tw__httpd_drop(conn);
}

/* Timers fire before descriptors are looked at, so that what has come while we did not run is not
 * known yet: there is a look before anybody is judged, by the time it was. */
static void sweep(uv_timer_t *timer) {
  tw_httpd *server = timer->data;
  const int64_t now = server->judged;
  if (!now) {
    server->judged = now_ms(server);
    uv_timer_start(&server->timer, sweep, 1, 0);
    return;
  }
  server->armed = server->judged = 0;
  for (int state = 0; state < TW__HTTPD_STATES; state++) {
    tw__httpd_list *list = &server->list[state];
    if (!list->patience) continue;
    while (list->first && list->first->since + list->patience <= now)
      lose_patience(list->first);
    if (list->first) arm(server, list->first->since + list->patience);
  }
  if (server->unaccepted && !server->stopping) take_up(server);
}

/* ---- the server ------------------------------------------------------------------- */

int tw_httpd_abi(void) {
  return TW_ABI;
}

static void close_server(tw__handle *handle) {
  tw_httpd_close((tw_httpd *)handle);
}

/* Returns NULL, or what is wrong. */
static const char *bind_unix(tw_httpd *server, const char *path) {
  const char *text;
  uv_pipe_init(server->timer.loop, &server->listener.pipe, 0);
  const int fd = tw__unix_bind(&server->place, path, &text);
  if (fd < 0) return text;
  const int rc = uv_pipe_open(&server->listener.pipe, fd);
  if (!rc) return NULL;
  close(fd);
  return uv_strerror(rc);
}

static const char not_an_address[] = "is no IP address";

static const char *bind_tcp(tw_httpd *server, const char *host, int port) {
  struct sockaddr_storage address;
  uv_tcp_init(server->timer.loop, &server->listener.tcp);
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)&address) &&
      uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address))
    return not_an_address;
  const int rc = uv_tcp_bind(&server->listener.tcp, (struct sockaddr *)&address, 0);
  const int bound = rc ? rc : tw_httpd_port(server); /* tells, too, that it is taken */
  return bound < 0 ? uv_strerror(bound) : NULL;
}

tw_httpd *tw_httpd_open(tw_loop *loop, const tw_httpd_options *options, char *error,
                        int64_t size) {
  struct sigaction now;
  tw_httpd *server = tw__calloc(1, sizeof *server);
  if (!server) {
    snprintf(error, (size_t)size, "no memory");
    return NULL;
  }
  /* a client that has gone must not end the process */
  if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
  server->options = *options;
  server->is_unix = options->path != NULL;
  server->list[TW__HTTPD_SHAKING].patience = options->read_ms;
  server->list[TW__HTTPD_IDLE].patience = options->idle_ms;
  server->list[TW__HTTPD_READING].patience = options->read_ms;
  server->list[TW__HTTPD_WRITING].patience = options->read_ms;
  server->list[TW__HTTPD_LINGERING].patience = LINGER_MS;
  tw__httpd_set_callbacks(&server->settings);
  uv_timer_init(tw__loop_uv(loop), &server->timer);
  const char *wrong = options->path ? bind_unix(server, options->path)
                                    : bind_tcp(server, options->host, options->port);
  server->listener.handle.data = server->timer.data = server;
  server->pending = 2;
  if (options->tls) options->tls->ref(options->tls);
  tw__loop_attach(loop, &server->handle, close_server);
  if (wrong) {
    const int name = wrong == not_an_address;
    snprintf(error, (size_t)size, "%s%s%s", name ? options->host : "", name ? " " : "",
             wrong);
    tw_httpd_close(server);
    return NULL;
  }
  return server;
}

int tw_httpd_listen(tw_httpd *server, char *error, int64_t size) {
  const int rc =
      uv_listen(&server->listener.any, server->options.backlog, on_connection);
  if (rc) {
    snprintf(error, (size_t)size, "%s", uv_strerror(rc));
    return TW_EIO;
  }
  server->listening = 1;
  return TW_OK;
}

int tw_httpd_port(const tw_httpd *server) {
  struct sockaddr_storage address;
  int len = sizeof address;
  if (server->is_unix) return 0;
  const int rc =
      uv_tcp_getsockname(&server->listener.tcp, (struct sockaddr *)&address, &len);
  if (rc) return rc;
  return address.ss_family == AF_INET6
             ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
             : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

uint32_t tw_httpd_id(const tw_httpd *server) {
  return server->handle.id;
}

static void close_listener(tw_httpd *server) {
  uv_close(&server->listener.handle, after_handle_close);
  tw__unix_remove(&server->place);
}

void tw_httpd_stop(tw_httpd *server) {
  if (server->stopping) return;
  server->stopping = 1;
  close_listener(server);
  while (server->list[TW__HTTPD_SHAKING].first)
    tw__httpd_drop(server->list[TW__HTTPD_SHAKING].first);
  while (server->list[TW__HTTPD_IDLE].first)
    tw__httpd_drop(server->list[TW__HTTPD_IDLE].first);
  for (tw__httpd_conn *conn; (conn = server->list[TW__HTTPD_READING].first);)
    if (conn->more)
      tw__httpd_answer_late(conn); /* its pieces have a reader */
    else
      tw__httpd_drop(conn);
  while (server->next_out) {
    server->count[TW_HTTPD_LATE]++;
    tw__httpd_answer_late(server->next_out);
  }
}

int64_t tw_httpd_busy(const tw_httpd *server) {
  return server->conns;
}

void tw_httpd_close(tw_httpd *server) {
  if (!server || server->closing) return;
  tw__loop_detach(&server->handle);
  if (!server->stopping) close_listener(server);
  server->stopping = server->closing = 1;
  for (int state = 0; state < TW__HTTPD_STATES; state++)
    while (server->list[state].first) tw__httpd_drop(server->list[state].first);
  uv_close((uv_handle_t *)&server->timer, after_handle_close);
}

/* ---- requests and answers ----------------------------------------------------------- */

static tw__httpd_conn *find(const tw_httpd *server, double id) {
  const uint64_t number = (uint64_t)id;
  const uint32_t slot = (uint32_t)(number & (MAX_SLOTS - 1));
  tw__httpd_conn *conn = slot < server->slots ? server->slot[slot] : NULL;
  return conn && conn->serial && conn->serial == number >> SLOT_BITS ? conn : NULL;
}

int tw_httpd_next(tw_httpd *server) {
  int n = 0;
  server->round++;
  while (n < TW__HTTPD_BATCH && server->next_out) {
    tw__httpd_conn *conn = server->next_out;
    tw_httpd_request *request = &server->batch[n];
    conn->place = (uint32_t)n++;
    conn->round = server->round;
    server->next_out = conn->newer;
    tw__httpd_become(conn, TW__HTTPD_HELD);
    request->id = (double)((conn->serial << SLOT_BITS) | conn->slot);
    request->method = llhttp_method_name(conn->parser.method);
    request->target = conn->told ? "" : conn->head.at;
    request->headers = conn->told ? "" : conn->head.at + conn->target_len + 1;
    request->headers_len = conn->told ? 0 : conn->head.len - conn->target_len - 1;
    request->body = conn->body.at ? conn->body.at : "";
    request->body_len = conn->body.len;
    request->minor = conn->parser.http_minor;
    request->more = conn->more;
  }
  return n;
}

const tw_httpd_request *tw_httpd_requests(const tw_httpd *server) {
  return server->batch;
}

int tw_httpd_waits(const tw_httpd *server, double id) {
  return find(server, id) != NULL;
}

void tw_httpd_take(tw_httpd *server, double id) {
  tw__httpd_conn *conn = find(server, id);
  if (!conn || conn->state != TW__HTTPD_HELD) return;
  if (conn->more) {
    tw__httpd_next_piece(conn);
  } else {
    server->held_bytes -= tw__httpd_size_of(conn);
    tw__bytes_clear(&conn->head);
    tw__bytes_clear(&conn->body);
  }
  tw__httpd_hold_back(server);
}

int tw_httpd_answer(tw_httpd *server, double id, int status, const char *head,
                    int64_t head_len, const char *body, int64_t body_len) {
  tw__httpd_conn *conn = find(server, id);
  if (!conn) return 0;
  tw__httpd_answer(conn, status, head, head_len, body, body_len);
  return 1;
}

/* The address of a connection, asked for once. */
static int name_peer(tw__httpd_conn *conn) {
  struct sockaddr_storage address;
  int len = sizeof address;
  if (conn->server->is_unix ||
      uv_tcp_getpeername(&conn->stream.tcp, (struct sockaddr *)&address, &len))
    return TW_EIO;
  const int rc =
      address.ss_family == AF_INET6
          ? uv_ip6_name((struct sockaddr_in6 *)&address, conn->peer, sizeof conn->peer)
          : uv_ip4_name((struct sockaddr_in *)&address, conn->peer, sizeof conn->peer);
  return rc ? TW_EIO : TW_OK;
}

int tw_httpd_peer(const tw_httpd *server, double id, char *buf, int64_t size) {
  tw__httpd_conn *conn = find(server, id);
  if (!conn || (!conn->peer[0] && name_peer(conn))) return TW_EIO;
  snprintf(buf, (size_t)size, "%s", conn->peer);
  return TW_OK;
}

double tw_httpd_stamp(tw_httpd *server, double now) {
  for (tw__httpd_conn *conn = server->newest; conn && conn->stamp < 0;
       conn = conn->older)
    conn->stamp = now;
  return server->oldest ? server->oldest->stamp : -1;
}

double tw_httpd_expire(tw_httpd *server, double before) {
  while (server->oldest && server->oldest->stamp >= 0 &&
         server->oldest->stamp <= before) {
    server->count[TW_HTTPD_LATE]++;
    tw__httpd_answer_late(server->oldest);
  }
  return server->oldest ? server->oldest->stamp : -1;
}

int tw_httpd_queued(const tw_httpd *server) {
  return server->next_out != NULL;
}

int64_t tw_httpd_count(const tw_httpd *server, int what) {
  return what < 0 || what >= TW_HTTPD_COUNTS ? TW_EINVAL : server->count[what];
}
