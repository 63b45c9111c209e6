/* answer.c -- what the server says, plain or through TLS, and how a connection goes on after it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "http/httpd.h"

enum { HEAD_ROOM = 512 };

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
static int post(tw__httpd_conn *conn, const char *bytes, size_t len) {
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

int tw__httpd_flush(tw__httpd_conn *conn) {
  const tw_tls *tls = conn->server->options.tls;
  const char *bytes;
  const size_t len = tls->out(conn->tls, &bytes);
  const int rc = post(conn, bytes, len);
  tls->sent(conn->tls);
  return rc;
}

void tw__httpd_goodbye(tw__httpd_conn *conn) {
  if (!conn->tls) return;
  conn->server->options.tls->end(conn->tls);
  tw__httpd_flush(conn);
}

int tw__httpd_interject(tw__httpd_conn *conn, const char *bytes, size_t len) {
  const tw_tls *tls = conn->server->options.tls;
  if (!conn->tls) return post(conn, bytes, len);
  const int rc = tls->write(conn->tls, bytes, len);
  return rc ? rc : tw__httpd_flush(conn);
}

/* ---- answers ------------------------------------------------------------------ */

/* What had come already first. */
static void go_on_reading(tw__httpd_conn *conn) {
  struct tw__bytes rest = conn->rest;
  conn->rest = (struct tw__bytes){0};
  if (rest.len) tw__httpd_parse(conn, rest.at, (size_t)rest.len);
  tw__bytes_clear(&rest);
  if (conn->state > TW__HTTPD_READING) return;
  if (conn->eof)
    tw__httpd_ended(conn, UV_EOF);
  else
    tw__httpd_start_reading(conn);
}

static void start_idle(tw__httpd_conn *conn) {
  if (!conn->keep_alive || conn->server->stopping || (conn->eof && !conn->rest.len)) {
    tw__httpd_drop(conn);
    return;
  }
  tw__httpd_become(conn, TW__HTTPD_IDLE);
  llhttp_resume(&conn->parser);
  go_on_reading(conn);
}

void tw__httpd_next_piece(tw__httpd_conn *conn) {
  tw__httpd_leave_line(conn);
  conn->told = 1;
  tw__httpd_become(conn, TW__HTTPD_READING);
  if (conn->server->stopping)
    tw__httpd_answer_late(conn);
  else
    go_on_reading(conn);
}

static void after_shutdown(uv_shutdown_t *request, int status) {
  (void)status;
  tw__free(request);
}

/* Closing at once, with something unread, would reset the connection, and the client
 * might never see why. */
static void linger(tw__httpd_conn *conn) {
  uv_shutdown_t *request = tw__malloc(sizeof *request);
  tw__httpd_goodbye(conn);
  if (!request || conn->eof ||
      uv_shutdown(request, &conn->stream.any, after_shutdown)) {
    tw__free(request);
    tw__httpd_drop(conn);
    return;
  }
  tw__bytes_clear(&conn->rest);
  tw__httpd_become(conn, TW__HTTPD_LINGERING);
  tw__httpd_start_reading(conn);
}

static void answered(tw__httpd_conn *conn) {
  if (conn->refuse)
    linger(conn);
  else
    start_idle(conn);
}

static void after_write(uv_write_t *request, int status) {
  tw__httpd_conn *conn = request->data;
  tw__free(conn->out);
  conn->out = NULL;
  if (conn->state == TW__HTTPD_GONE) return;
  if (status)
    tw__httpd_drop(conn);
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
static int64_t begin_write(tw__httpd_conn *conn, const uv_buf_t *bufs, unsigned n) {
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
static int64_t begin_sealed(tw__httpd_conn *conn, const uv_buf_t *bufs, unsigned n) {
  tw_httpd *server = conn->server;
  const tw_tls *tls = server->options.tls;
  size_t at = 0;
  for (unsigned i = 0; i <= n; i++) {
    const size_t len = i < n ? bufs[i].len : 0;
    if (i == n || at + len > TW__HTTPD_PLAIN) {
      if (at && tls->write(conn->tls, server->plain, at)) return TW_EIO;
      at = 0;
    }
    if (len > TW__HTTPD_PLAIN) {
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

static void send_out(tw__httpd_conn *conn, const uv_buf_t *bufs, unsigned n) {
  tw__httpd_become(conn, TW__HTTPD_WRITING);
  const int64_t left =
      conn->tls ? begin_sealed(conn, bufs, n) : begin_write(conn, bufs, n);
  if (left < 0)
    tw__httpd_drop(conn);
  else if (left == 0)
    answered(conn);
}

/* What still comes of a request will be thrown away. */
static void abandon(tw__httpd_conn *conn, int status) {
  conn->refuse = status;
  conn->keep_alive = conn->more = 0;
  tw__httpd_unfavour(conn);
  if (conn->state == TW__HTTPD_READING) {
    conn->server->partial_bytes -= tw__httpd_size_of(conn);
    tw__bytes_clear(&conn->head);
    tw__bytes_clear(&conn->body);
  }
}

void tw__httpd_answer(tw__httpd_conn *conn, int status, const char *head,
                      int64_t head_len, const char *body, int64_t body_len) {
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
    tw__httpd_dequeue(conn);
    send_out(conn, &buf, 1);
    tw__httpd_hold_back(server);
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
  tw__httpd_dequeue(conn);
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
  tw__httpd_hold_back(server);
}

/* An answer of our own, with a line that says why. */
static void answer_text(tw__httpd_conn *conn, int status, const char *head) {
  char text[128];
  const int n = snprintf(text, sizeof text, "%d %s\n", status, reason(status));
  char lines[192];
  const int m =
      snprintf(lines, sizeof lines, "Content-Type: text/plain\r\n%s", head ? head : "");
  tw__httpd_answer(conn, status, lines, m, text, n);
}

void tw__httpd_answer_late(tw__httpd_conn *conn) {
  answer_text(conn, 503, "Retry-After: 1\r\n");
}

void tw__httpd_refuse(tw__httpd_conn *conn, int status) {
  abandon(conn, status);
  answer_text(conn, status, NULL);
}
