/* server.c -- an HTTP/1.1 server on the loop; llhttp reads, this keeps the connections.
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
 * idle connection only `struct conn` is kept. Requests are named by numbers that do not
 * come again, so that an answer to one that has gone is nothing.
 *
 * Each state that may last has its own list; all its members have the same patience, so
 * the list is in order of deadline, and one timer serves them all.
 */
#include <llhttp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "http/tls.h"
#include "loop/loop.h"
#include "loop/unix.h"

enum {
  INPUT = 64 << 10,
  INPUT_LEAST = 1 << 10,
  PLAIN = 16 << 10, /* the most that a TLS record has */
  BATCH = 64,
  HEAD_ROOM = 512
};
enum { SLOT_BITS = 20, MAX_SLOTS = 1 << SLOT_BITS };
enum { LINGER_MS = 2000, LINGER_BYTES = 16 << 20 };
enum {
  RETRY_MS = 100
}; /* until a connection that there was no memory for is taken up */

enum state { SHAKING, IDLE, READING, QUEUED, HELD, WRITING, LINGERING, GONE, STATES };

/* A TCP port or connection, or that of a Unix socket. */
union stream {
  uv_tcp_t tcp;
  uv_pipe_t pipe;
  uv_stream_t any;
  uv_handle_t handle;
};

struct conn {
  union stream stream; /* first */
  tw_httpd *server;
  tw__tls_session *tls;                     /* NULL: plain */
  struct conn *prev, *next;                 /* the list of its state */
  struct conn *older, *newer;               /* requests that wait for their answer */
  struct conn *prev_stalled, *next_stalled; /* not read because of what others sent */
  enum state state;
  uint32_t slot;
  uint32_t place; /* in the batch of this round, when it is in that */
  uint64_t round;
  uint64_t serial; /* of its request */
  int64_t since;   /* ms: when the state began, or last had progress */
  double
      stamp; /* when the request was complete, on the owner's clock; < 0: not yet told */
  llhttp_t parser;
  struct tw__bytes head; /* target 0 name 0 value 0 name 0 value 0 ... */
  struct tw__bytes body;
  struct tw__bytes rest; /* what came behind the request */
  int64_t target_len, lingered;
  int64_t body_len; /* that has come, also in pieces before this one */
  size_t unsent;    /* of the answer, when last looked at */
  uv_write_t write;
  char *out;
  uint8_t reading, eof, keep_alive, is_head, expects, hosts, name_is, stalled, taken;
  uint8_t more; /* it is a piece of a body that goes on */
  uint8_t told; /* target and headers went out with a piece before */
  int refuse;   /* the status with which the request is refused */
  char peer[INET6_ADDRSTRLEN];
};

struct list {
  struct conn *first, *last;
  int64_t patience; /* ms; 0: for ever */
};

struct tw_httpd {
  tw__handle handle; /* first */
  union stream listener;
  tw__unix place;
  uv_timer_t timer;
  int64_t armed; /* when the timer fires, ms; 0: it does not */
  llhttp_settings_t settings;
  tw_httpd_options options;
  struct list list[STATES];
  struct conn *oldest, *newest; /* complete requests in order, queued or held */
  struct conn *next_out;        /* the oldest of them that has not been handed out */
  struct conn *stalled, *last_stalled;
  struct conn *favoured; /* is read although there is too much already */
  struct conn **slot;
  uint32_t slots, *spare, spares;
  uint64_t serial, round; /* of the last request; of the last batch */
  int64_t conns, held_bytes, partial_bytes;
  int64_t count[TW_HTTPD_COUNTS];
  int is_unix, paused, listening, stopping, closing, unaccepted, pending;
  time_t date_of;
  char date[64];
  char plain_ok[128]; /* the usual answer, whole */
  int plain_ok_len;
  tw_httpd_request batch[BATCH];
  char input[INPUT];
  char plain[PLAIN]; /* what TLS makes of it */
};

static const char RETRY_AFTER[] = "Retry-After: 1\r\n";

static void parse(struct conn *conn, const char *bytes, size_t len);
static void ended(struct conn *conn, ssize_t status);
static void answer_text(struct conn *conn, int status, const char *head);
static void answer(struct conn *conn, int status, const char *head, int64_t head_len,
                   const char *body, int64_t body_len);

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

static void leave_list(struct conn *conn) {
  struct list *list = &conn->server->list[conn->state];
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

static void enter_list(struct conn *conn, enum state state) {
  tw_httpd *server = conn->server;
  struct list *list = &server->list[state];
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

static void become(struct conn *conn, enum state state) {
  leave_list(conn);
  enter_list(conn, state);
}

/* ---- requests that wait for their answer ------------------------------------ */

static int64_t size_of(const struct conn *conn) {
  return conn->head.room + conn->body.room;
}

static void start_reading(struct conn *conn);

/* While so much waits for the pipeline that it is paused, no connection is read. While there
 * is too much of incomplete requests, one is read until it is complete: they must not all
 * wait for each other. */
static int may_read(struct conn *conn) {
  tw_httpd *server = conn->server;
  if (conn->state > READING) return 1;
  if (server->paused) return 0;
  if (server->partial_bytes <= server->options.max_held) return 1;
  if (!server->favoured && conn->state == READING) server->favoured = conn;
  return server->favoured == conn;
}

static void stall(struct conn *conn) {
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

static void unstall(struct conn *conn) {
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

static struct conn *first_readable(tw_httpd *server) {
  struct conn *conn = server->favoured;
  if (server->paused) return NULL;
  if (conn && server->partial_bytes > server->options.max_held)
    return conn->stalled ? conn : NULL;
  conn = server->stalled;
  while (conn && !may_read(conn)) conn = conn->next_stalled;
  return conn;
}

/* There is less now, or more: who may be read again is. */
static void hold_back(tw_httpd *server) {
  const int64_t most = server->options.max_held;
  if (server->held_bytes > most) server->paused = 1;
  if (server->held_bytes <= most / 2) server->paused = 0;
  struct conn *conn;
  while ((conn = first_readable(server))) {
    unstall(conn);
    start_reading(conn);
  }
}

/* Its request is complete, or refused, or it has gone. */
static void unfavour(struct conn *conn) {
  if (conn->server->favoured == conn) conn->server->favoured = NULL;
}

/* A request, or a piece of one, can be handed out. */
static void enqueue(struct conn *conn) {
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
  server->partial_bytes -= size_of(conn);
  server->held_bytes += size_of(conn);
  unfavour(conn);
  become(conn, QUEUED);
  hold_back(server);
  tw__loop_ready(&server->handle);
}

/* What was handed out is done with. */
static void leave_line(struct conn *conn) {
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
  server->held_bytes -= size_of(conn);
  tw__bytes_clear(&conn->head);
  tw__bytes_clear(&conn->body);
}

/* Its answer is known, or it has gone. */
static void dequeue(struct conn *conn) {
  if (conn->state == QUEUED || conn->state == HELD) leave_line(conn);
  conn->serial = 0;
}

/* ---- sending ------------------------------------------------------------------ */

struct parcel {
  uv_write_t write; /* first */
  char bytes[];
};

static void after_parcel(uv_write_t *write, int status) {
  (void)status; /* whoever reads or writes next will see */
  tw__free(write);
}

/* Sends len bytes, what does not fit at once a little later. Returns TW_OK or a status. */
static int post(struct conn *conn, const char *bytes, size_t len) {
  uv_stream_t *stream = &conn->stream.any;
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  const int sent = len ? uv_try_write(stream, &buf, 1) : 0;
  if (sent == (int)len) return TW_OK;
  if (sent < 0 && sent != UV_EAGAIN) return TW_EIO;
  const size_t left = len - (size_t)(sent > 0 ? sent : 0);
  struct parcel *parcel = tw__malloc(sizeof *parcel + left);
  if (!parcel) return TW_ENOMEM;
  memcpy(parcel->bytes, bytes + len - left, left);
  buf = uv_buf_init(parcel->bytes, (unsigned)left);
  if (!uv_write(&parcel->write, stream, &buf, 1, after_parcel)) return TW_OK;
  tw__free(parcel);
  return TW_EIO;
}

/* Sends what TLS itself has to say. */
static int flush(struct conn *conn) {
  const tw_tls *tls = conn->server->options.tls;
  const char *bytes;
  const size_t len = tls->out(conn->tls, &bytes);
  const int rc = post(conn, bytes, len);
  tls->sent(conn->tls);
  return rc;
}

/* So that the client knows that it has got everything. */
static void say_goodbye(struct conn *conn) {
  if (!conn->tls) return;
  conn->server->options.tls->end(conn->tls);
  flush(conn);
}

/* A line between request and answer. */
static int interject(struct conn *conn, const char *bytes, size_t len) {
  const tw_tls *tls = conn->server->options.tls;
  if (!conn->tls) return post(conn, bytes, len);
  const int rc = tls->write(conn->tls, bytes, len);
  return rc ? rc : flush(conn);
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
  struct conn *conn = (struct conn *)handle;
  tw_httpd *server = conn->server;
  tw__free(conn->out);
  tw__free(conn);
  settled(server);
}

static void close_conn(struct conn *conn) {
  tw_httpd *server = conn->server;
  if (conn->state == GONE) return;
  dequeue(conn);
  server->partial_bytes -= size_of(conn); /* it has some only while it is read */
  leave_list(conn);
  conn->state = GONE;
  tw__bytes_clear(&conn->head);
  tw__bytes_clear(&conn->body);
  tw__bytes_clear(&conn->rest);
  unstall(conn);
  unfavour(conn);
  server->slot[conn->slot] = NULL;
  server->spare[server->spares++] = conn->slot;
  server->conns--;
  if (conn->tls) {
    say_goodbye(conn);
    server->options.tls->close(conn->tls);
    conn->tls = NULL;
  }
  uv_close(&conn->stream.handle, after_conn_close);
  if (!server->closing) hold_back(server);
  if (server->stopping) tw__loop_ready(&server->handle);
  if (server->unaccepted && !server->stopping) take_up(server);
}

/* ---- answers ------------------------------------------------------------------ */

/* What had come already first. */
static void go_on_reading(struct conn *conn) {
  struct tw__bytes rest = conn->rest;
  conn->rest = (struct tw__bytes){0};
  if (rest.len) parse(conn, rest.at, (size_t)rest.len);
  tw__bytes_clear(&rest);
  if (conn->state > READING) return;
  if (conn->eof)
    ended(conn, UV_EOF);
  else
    start_reading(conn);
}

static void start_idle(struct conn *conn) {
  if (!conn->keep_alive || conn->server->stopping || (conn->eof && !conn->rest.len)) {
    close_conn(conn);
    return;
  }
  become(conn, IDLE);
  llhttp_resume(&conn->parser);
  go_on_reading(conn);
}

/* Where a piece of its body was handed out: the next one may come. */
static void next_piece(struct conn *conn) {
  leave_line(conn);
  conn->told = 1;
  become(conn, READING);
  if (conn->server->stopping)
    answer_text(conn, 503, RETRY_AFTER);
  else
    go_on_reading(conn);
}

static void after_shutdown(uv_shutdown_t *request, int status) {
  (void)status;
  tw__free(request);
}

/* Closing at once, with something unread, would reset the connection, and the client
 * might never see why. */
static void linger(struct conn *conn) {
  uv_shutdown_t *request = tw__malloc(sizeof *request);
  say_goodbye(conn);
  if (!request || conn->eof ||
      uv_shutdown(request, &conn->stream.any, after_shutdown)) {
    tw__free(request);
    close_conn(conn);
    return;
  }
  tw__bytes_clear(&conn->rest);
  become(conn, LINGERING);
  start_reading(conn);
}

static void answered(struct conn *conn) {
  if (conn->refuse)
    linger(conn);
  else
    start_idle(conn);
}

static void after_write(uv_write_t *request, int status) {
  struct conn *conn = request->data;
  tw__free(conn->out);
  conn->out = NULL;
  if (conn->state == GONE) return;
  if (status)
    close_conn(conn);
  else
    answered(conn);
}

static const char *reason(int status) {
  static const struct {
    int status;
    const char *text;
  } known[] = {
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {422, "Unprocessable Content"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == status) return known[i].text;
  return status < 400 ? "OK" : "Error";
}

/* Told anew each second. */
static const char *date(tw_httpd *server) {
  const time_t now = time(NULL);
  if (now != server->date_of) {
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    server->date_of = now;
    server->plain_ok_len = snprintf(
        server->plain_ok, sizeof server->plain_ok,
        "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: 0\r\n\r\n", server->date);
  }
  return server->date;
}

/* Sends what fits at once; the rest is copied and sent by libuv. Returns how much that is, or
 * a status. */
static int64_t begin_write(struct conn *conn, const uv_buf_t *bufs, unsigned n) {
  uv_stream_t *stream = &conn->stream.any;
  size_t total = 0;
  for (unsigned i = 0; i < n; i++) total += bufs[i].len;
  const int rc = uv_try_write(stream, bufs, n);
  if (rc < 0 && rc != UV_EAGAIN) return TW_EIO;
  size_t sent = rc > 0 ? (size_t)rc : 0;
  if (sent == total) return 0;
  conn->out = tw__malloc(total - sent);
  if (!conn->out) return TW_ENOMEM;
  size_t at = 0;
  for (unsigned i = 0; i < n; i++) {
    const size_t gone = sent < bufs[i].len ? sent : bufs[i].len;
    memcpy(conn->out + at, bufs[i].base + gone, bufs[i].len - gone);
    at += bufs[i].len - gone;
    sent -= gone;
  }
  uv_buf_t rest = uv_buf_init(conn->out, (unsigned)at);
  conn->unsent = at;
  conn->write.data = conn;
  return uv_write(&conn->write, stream, &rest, 1, after_write) ? TW_EIO : (int64_t)at;
}

/* The same through TLS; what is short makes one record of it. */
static int64_t begin_sealed(struct conn *conn, const uv_buf_t *bufs, unsigned n) {
  tw_httpd *server = conn->server;
  const tw_tls *tls = server->options.tls;
  size_t at = 0;
  for (unsigned i = 0; i <= n; i++) {
    const size_t len = i < n ? bufs[i].len : 0;
    if (i == n || at + len > PLAIN) {
      if (at && tls->write(conn->tls, server->plain, at)) return TW_EIO;
      at = 0;
    }
    if (len > PLAIN) {
      if (tls->write(conn->tls, bufs[i].base, len)) return TW_EIO;
    } else if (len) {
      memcpy(server->plain + at, bufs[i].base, len);
      at += len;
    }
  }
  const char *bytes;
  const size_t len = tls->out(conn->tls, &bytes);
  uv_buf_t sealed = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  const int64_t left = begin_write(conn, &sealed, 1);
  tls->sent(conn->tls);
  return left;
}

static void send_out(struct conn *conn, const uv_buf_t *bufs, unsigned n) {
  become(conn, WRITING);
  const int64_t left =
      conn->tls ? begin_sealed(conn, bufs, n) : begin_write(conn, bufs, n);
  if (left < 0)
    close_conn(conn);
  else if (left == 0)
    answered(conn);
}

/* What still comes of a request will be thrown away. */
static void abandon(struct conn *conn, int status) {
  conn->refuse = status;
  conn->keep_alive = conn->more = 0;
  unfavour(conn);
  if (conn->state == READING) {
    conn->server->partial_bytes -= size_of(conn);
    tw__bytes_clear(&conn->head);
    tw__bytes_clear(&conn->body);
  }
}

/* head   lines of further headers, each ended by CR LF; body as long as the client is told,
 * which leaves it out itself for HEAD. */
static void answer(struct conn *conn, int status, const char *head, int64_t head_len,
                   const char *body, int64_t body_len) {
  tw_httpd *server = conn->server;
  char first[HEAD_ROOM];
  const int bodiless = status == 204 || status == 304;
  if (conn->more) abandon(conn, status);
  if (server->stopping || conn->refuse) conn->keep_alive = 0;
  const char *now = date(server);
  if (status == 200 && head_len + body_len == 0 && conn->keep_alive &&
      conn->parser.http_minor == 1) {
    uv_buf_t buf = uv_buf_init(server->plain_ok, (unsigned)server->plain_ok_len);
    server->count[TW_HTTPD_DONE]++;
    dequeue(conn);
    send_out(conn, &buf, 1);
    hold_back(server);
    return;
  }
  int n = snprintf(first, sizeof first, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", status,
                   reason(status), now,
                   !conn->keep_alive              ? "Connection: close\r\n"
                   : conn->parser.http_minor == 0 ? "Connection: keep-alive\r\n"
                                                  : "");
  if (!bodiless)
    n += snprintf(first + n, sizeof first - (size_t)n, "Content-Length: %lld\r\n",
                  (long long)body_len);
  server->count[status < 300   ? TW_HTTPD_DONE
                : status < 500 ? TW_HTTPD_REFUSED
                               : TW_HTTPD_FAILED]++;
  dequeue(conn);
  uv_buf_t bufs[4] = {
      uv_buf_init(first, (unsigned)n),
      uv_buf_init((char *)(uintptr_t)head, (unsigned)head_len),
      uv_buf_init((char *)(uintptr_t) "\r\n", 2),
      uv_buf_init((char *)(uintptr_t)body, (unsigned)body_len),
  };
  if (head_len == 0 && n + 2 < (int)sizeof first) {
    memcpy(first + n, "\r\n", 2);
    bufs[0].len += 2;
    bufs[1] = bufs[3];
    send_out(conn, bufs, bodiless || conn->is_head || !body_len ? 1 : 2);
  } else {
    send_out(conn, bufs, bodiless || conn->is_head ? 3 : 4);
  }
  hold_back(server);
}

/* An answer of our own, with a line that says why. */
static void answer_text(struct conn *conn, int status, const char *head) {
  char text[128];
  const int n = snprintf(text, sizeof text, "%d %s\n", status, reason(status));
  char lines[192];
  const int m =
      snprintf(lines, sizeof lines, "Content-Type: text/plain\r\n%s", head ? head : "");
  answer(conn, status, lines, m, text, n);
}

static void refuse(struct conn *conn, int status) {
  abandon(conn, status);
  answer_text(conn, status, NULL);
}

/* ---- parsing ------------------------------------------------------------------- */

static int deny(struct conn *conn, int status) {
  conn->refuse = status;
  return -1;
}

static int put(struct conn *conn, struct tw__bytes *text, const char *bytes,
               size_t len) {
  tw_httpd *server = conn->server;
  const int64_t before = size_of(conn);
  if (tw__bytes_add(text, bytes, (int64_t)len)) return deny(conn, 503);
  server->partial_bytes += size_of(conn) - before;
  return 0;
}

static int put_head(struct conn *conn, const char *bytes, size_t len, int status) {
  if (conn->head.len + (int64_t)len > conn->server->options.max_head)
    return deny(conn, status);
  return put(conn, &conn->head, bytes, len);
}

static int on_begin(llhttp_t *parser) {
  struct conn *conn = parser->data;
  conn->hosts = conn->expects = conn->is_head = conn->told = 0;
  conn->body_len = 0;
  become(conn, READING); /* not by the empty lines that some put between requests */
  return 0;
}

static int on_url(llhttp_t *parser, const char *bytes, size_t len) {
  return put_head(parser->data, bytes, len, 414);
}

static int on_url_complete(llhttp_t *parser) {
  struct conn *conn = parser->data;
  conn->target_len = conn->head.len;
  return put_head(conn, "", 1, 414);
}

static int on_field(llhttp_t *parser, const char *bytes, size_t len) {
  struct conn *conn = parser->data;
  if (put_head(conn, bytes, len, 431)) return -1;
  char *at = conn->head.at + conn->head.len - len;
  for (size_t i = 0; i < len; i++)
    if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] | 0x20);
  return 0;
}

/* Where the name that has just ended begins. */
static const char *last_name(const struct conn *conn) {
  const char *at = conn->head.at + conn->head.len - 1;
  while (at > conn->head.at && at[-1]) at--;
  return at;
}

static int on_field_complete(llhttp_t *parser) {
  struct conn *conn = parser->data;
  if (put_head(conn, "", 1, 431)) return -1;
  const char *name = last_name(conn);
  conn->name_is = !strcmp(name, "host")                ? 'h'
                  : !strcmp(name, "expect")            ? 'e'
                  : !strcmp(name, "transfer-encoding") ? 't'
                                                       : 0;
  if (conn->name_is == 'h' && conn->hosts < 2) conn->hosts++;
  return 0;
}

static int on_value(llhttp_t *parser, const char *bytes, size_t len) {
  return put_head(parser->data, bytes, len, 431);
}

static int on_value_complete(llhttp_t *parser) {
  struct conn *conn = parser->data;
  if (put_head(conn, "", 1, 431)) return -1;
  if (conn->name_is == 'e')
    conn->expects = !strcasecmp(last_name(conn), "100-continue") ? 1 : 2;
  /* RFC 9112, 6.1: a coding that we do not undo must not pass for the body */
  if (conn->name_is == 't' && strcasecmp(last_name(conn), "chunked"))
    return deny(conn, 501);
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  struct conn *conn = parser->data;
  const tw_httpd *server = conn->server;
  const int minor = parser->http_minor;
  if (parser->http_major != 1) return deny(conn, 505);
  /* RFC 9112, 3.2 */
  if (conn->hosts > 1 || (conn->hosts == 0 && minor > 0)) return deny(conn, 400);
  if (parser->method == HTTP_CONNECT) return deny(conn, 405);
  if (conn->expects > 1) return deny(conn, 417);
  const int chunked = parser->flags & F_CHUNKED;
  if (!chunked && parser->content_length > (uint64_t)server->options.max_body)
    return deny(conn, 413);
  parser->upgrade = 0; /* to nothing; the request is one of HTTP/1.1 */
  conn->is_head = parser->method == HTTP_HEAD;
  conn->keep_alive = (uint8_t)llhttp_should_keep_alive(parser);
  if (conn->expects && minor > 0 && (chunked || parser->content_length > 0)) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (interject(conn, go_on, sizeof go_on - 1)) return deny(conn, 503);
  }
  return 0;
}

static int on_body(llhttp_t *parser, const char *bytes, size_t len) {
  struct conn *conn = parser->data;
  conn->body_len += (int64_t)len;
  if (conn->body_len > conn->server->options.max_body) return deny(conn, 413);
  return put(conn, &conn->body, bytes, len);
}

static int on_message_complete(llhttp_t *parser) {
  (void)parser;
  return HPE_PAUSED;
}

static void parse(struct conn *conn, const char *bytes, size_t len) {
  const int64_t piece = conn->server->options.piece;
  const llhttp_errno_t rc = llhttp_execute(&conn->parser, bytes, len);
  if (rc == HPE_OK) {
    if (piece && conn->body.len >= piece) {
      conn->more = 1;
      enqueue(conn);
    }
    return;
  }
  if (rc == HPE_PAUSED) {
    const char *end = llhttp_get_error_pos(&conn->parser);
    const int64_t left = (int64_t)(bytes + len - end);
    if (left > 0 && tw__bytes_add(&conn->rest, end, left)) {
      refuse(conn, 503);
      return;
    }
    conn->more = 0;
    enqueue(conn);
    return;
  }
  refuse(conn, conn->refuse ? conn->refuse : 400);
}

/* ---- connections ----------------------------------------------------------------- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  struct conn *conn = (struct conn *)handle;
  (void)suggested;
  /* read and dealt with before the next one reads; less when there is too much already */
  const int much = conn->state <= READING && !may_read(conn);
  *buf = uv_buf_init(conn->server->input, much ? INPUT_LEAST : INPUT);
}

static void stop_reading(struct conn *conn) {
  if (!conn->reading) return;
  uv_read_stop(&conn->stream.any);
  conn->reading = 0;
}

static void ended(struct conn *conn, ssize_t status) {
  stop_reading(conn);
  if (status == UV_EOF && conn->state >= QUEUED && conn->state <= WRITING) {
    conn->eof = 1; /* it may have closed its half only: it is answered */
    conn->keep_alive = 0;
    return;
  }
  if (conn->state == READING) conn->server->count[TW_HTTPD_BROKEN]++;
  close_conn(conn);
}

/* They say n bytes. */
static void on_bytes(struct conn *conn, const char *bytes, size_t n) {
  switch (conn->state) {
  case IDLE:
  case READING: {
    const int was_body = conn->state == READING && conn->body.len > 0;
    parse(conn, bytes, n);
    if (conn->state == READING && was_body)
      become(conn, READING); /* it makes progress */
    break;
  }
  case LINGERING: break;
  default: /* the next request, before this one is answered */
    if (tw__bytes_add(&conn->rest, bytes, (int64_t)n))
      close_conn(conn);
    else
      stop_reading(conn);
    break;
  }
}

/* TLS has failed. Whoever speaks HTTP instead is told so, in his own words. */
static void unsealed(struct conn *conn, int why) {
  tw_httpd *server = conn->server;
  flush(conn); /* what is wrong, in TLS' words */
  server->options.tls->close(conn->tls);
  conn->tls = NULL;
  if (why == TLS_PLAIN_HTTP) {
    become(conn, READING);
    refuse(conn, 400);
    return;
  }
  server->count[TW_HTTPD_BROKEN]++;
  close_conn(conn);
}

static void on_sealed(struct conn *conn, const char *bytes, size_t n) {
  tw_httpd *server = conn->server;
  const tw_tls *tls = server->options.tls;
  if (tls->feed(conn->tls, bytes, n)) {
    close_conn(conn);
    return;
  }
  int rc;
  while ((rc = tls->read(conn->tls, server->plain, sizeof server->plain)) > 0) {
    if (conn->state == SHAKING) become(conn, IDLE);
    on_bytes(conn, server->plain, (size_t)rc);
    if (!conn->tls) return; /* it has gone */
  }
  if (rc == TLS_FAILED || rc == TLS_PLAIN_HTTP) {
    unsealed(conn, rc);
    return;
  }
  if (conn->state == SHAKING && tls->ready(conn->tls)) become(conn, IDLE);
  if (flush(conn))
    close_conn(conn);
  else if (rc == TLS_ENDED)
    ended(conn, UV_EOF);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct conn *conn = (struct conn *)stream;
  if (n == 0 || conn->state == GONE) return;
  if (n < 0) {
    ended(conn, n);
    return;
  }
  if (conn->state == LINGERING) {
    conn->lingered += n;
    if (conn->lingered > LINGER_BYTES) close_conn(conn);
    return;
  }
  if (conn->tls)
    on_sealed(conn, buf->base, (size_t)n);
  else
    on_bytes(conn, buf->base, (size_t)n);
  if (conn->state != GONE && !may_read(conn)) {
    stop_reading(conn);
    stall(conn);
  }
}

static void start_reading(struct conn *conn) {
  if (conn->reading || conn->eof) return;
  if (!may_read(conn)) {
    stall(conn);
    return;
  }
  if (uv_read_start(&conn->stream.any, on_room, on_read))
    close_conn(conn);
  else
    conn->reading = 1;
}

/* The slots are doubled when they are all in use. */
static int take_slot(tw_httpd *server, uint32_t *slot) {
  if (!server->spares) {
    const uint32_t slots = server->slots ? server->slots * 2 : 64;
    if (slots > MAX_SLOTS) return TW_ENOMEM;
    struct conn **grown = tw__realloc(server->slot, slots * sizeof *grown);
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
  struct conn *conn = tw__calloc(1, sizeof *conn);
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
  enter_list(conn, server->options.tls ? SHAKING : IDLE);
  if (uv_accept(&server->listener.any, &conn->stream.any)) {
    close_conn(conn);
    return;
  }
  server->count[TW_HTTPD_CONNECTIONS]++;
  if (server->options.tls) conn->tls = server->options.tls->open(server->options.tls);
  if (server->options.tls && !conn->tls) {
    close_conn(conn);
    return;
  }
  if (!server->is_unix) uv_tcp_nodelay(&conn->stream.tcp, 1);
  start_reading(conn);
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
static void lose_patience(struct conn *conn) {
  if (conn->state == READING) {
    if (conn->stalled) { /* it would have sent */
      become(conn, READING);
      return;
    }
    conn->server->count[TW_HTTPD_BROKEN]++;
    refuse(conn, 408);
    return;
  }
  if (conn->state == WRITING) {
    const size_t unsent = uv_stream_get_write_queue_size(&conn->stream.any);
    if (unsent < conn->unsent) { /* slow, but it takes it */
      conn->unsent = unsent;
      become(conn, WRITING);
      return;
    }
    conn->server->count[TW_HTTPD_BROKEN]++;
  }
  if (conn->state == SHAKING) conn->server->count[TW_HTTPD_BROKEN]++;
  close_conn(conn);
}

static void sweep(uv_timer_t *timer) {
  tw_httpd *server = timer->data;
  const int64_t now = now_ms(server);
  server->armed = 0;
  for (int state = 0; state < STATES; state++) {
    struct list *list = &server->list[state];
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

static void set_callbacks(llhttp_settings_t *settings) {
  llhttp_settings_init(settings);
  settings->on_message_begin = on_begin;
  settings->on_url = on_url;
  settings->on_url_complete = on_url_complete;
  settings->on_header_field = on_field;
  settings->on_header_field_complete = on_field_complete;
  settings->on_header_value = on_value;
  settings->on_header_value_complete = on_value_complete;
  settings->on_headers_complete = on_headers_complete;
  settings->on_body = on_body;
  settings->on_message_complete = on_message_complete;
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
  server->list[SHAKING].patience = options->read_ms;
  server->list[IDLE].patience = options->idle_ms;
  server->list[READING].patience = options->read_ms;
  server->list[WRITING].patience = options->read_ms;
  server->list[LINGERING].patience = LINGER_MS;
  set_callbacks(&server->settings);
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
  while (server->list[SHAKING].first) close_conn(server->list[SHAKING].first);
  while (server->list[IDLE].first) close_conn(server->list[IDLE].first);
  for (struct conn *conn; (conn = server->list[READING].first);)
    if (conn->more)
      answer_text(conn, 503, RETRY_AFTER); /* its pieces have a reader */
    else
      close_conn(conn);
  while (server->next_out) {
    server->count[TW_HTTPD_LATE]++;
    answer_text(server->next_out, 503, RETRY_AFTER);
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
  for (int state = 0; state < STATES; state++)
    while (server->list[state].first) close_conn(server->list[state].first);
  uv_close((uv_handle_t *)&server->timer, after_handle_close);
}

/* ---- requests and answers ----------------------------------------------------------- */

static struct conn *find(const tw_httpd *server, double id) {
  const uint64_t number = (uint64_t)id;
  const uint32_t slot = (uint32_t)(number & (MAX_SLOTS - 1));
  struct conn *conn = slot < server->slots ? server->slot[slot] : NULL;
  return conn && conn->serial && conn->serial == number >> SLOT_BITS ? conn : NULL;
}

int tw_httpd_next(tw_httpd *server) {
  int n = 0;
  server->round++;
  while (n < BATCH && server->next_out) {
    struct conn *conn = server->next_out;
    tw_httpd_request *request = &server->batch[n];
    conn->place = (uint32_t)n++;
    conn->round = server->round;
    server->next_out = conn->newer;
    become(conn, HELD);
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
  struct conn *conn = find(server, id);
  if (!conn || conn->state != HELD) return;
  if (conn->more) {
    next_piece(conn);
  } else {
    server->held_bytes -= size_of(conn);
    tw__bytes_clear(&conn->head);
    tw__bytes_clear(&conn->body);
  }
  hold_back(server);
}

int tw_httpd_answer(tw_httpd *server, double id, int status, const char *head,
                    int64_t head_len, const char *body, int64_t body_len) {
  struct conn *conn = find(server, id);
  if (!conn) return 0;
  answer(conn, status, head, head_len, body, body_len);
  return 1;
}

/* The address of a connection, asked for once. */
static int name_peer(struct conn *conn) {
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
  struct conn *conn = find(server, id);
  if (!conn || (!conn->peer[0] && name_peer(conn))) return TW_EIO;
  snprintf(buf, (size_t)size, "%s", conn->peer);
  return TW_OK;
}

double tw_httpd_stamp(tw_httpd *server, double now) {
  for (struct conn *conn = server->newest; conn && conn->stamp < 0; conn = conn->older)
    conn->stamp = now;
  return server->oldest ? server->oldest->stamp : -1;
}

double tw_httpd_expire(tw_httpd *server, double before) {
  while (server->oldest && server->oldest->stamp >= 0 &&
         server->oldest->stamp <= before) {
    server->count[TW_HTTPD_LATE]++;
    answer_text(server->oldest, 503, RETRY_AFTER);
  }
  return server->oldest ? server->oldest->stamp : -1;
}

int tw_httpd_queued(const tw_httpd *server) {
  return server->next_out != NULL;
}

int64_t tw_httpd_count(const tw_httpd *server, int what) {
  return what < 0 || what >= TW_HTTPD_COUNTS ? TW_EINVAL : server->count[what];
}
