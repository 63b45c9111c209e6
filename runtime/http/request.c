/* request.c -- what a client sends becomes a request: llhttp reads, this keeps the head and the
 * body, and refuses what it must not take. */
#include <string.h>
#include <strings.h>

#include "http/httpd.h"

static int deny(tw__httpd_conn *conn, int status) {
  conn->refuse = status;
  return -1;
}

static int put(tw__httpd_conn *conn, struct tw__bytes *text, const char *bytes,
               size_t len) {
  tw_httpd *server = conn->server;
  const int64_t before = tw__httpd_size_of(conn);
  if (tw__bytes_add(text, bytes, (int64_t)len)) return deny(conn, 503);
  server->partial_bytes += tw__httpd_size_of(conn) - before;
  return 0;
}

static int put_head(tw__httpd_conn *conn, const char *bytes, size_t len, int status) {
  if (conn->head.len + (int64_t)len > conn->server->options.max_head)
    return deny(conn, status);
  return put(conn, &conn->head, bytes, len);
}

static int on_begin(llhttp_t *parser) {
  tw__httpd_conn *conn = parser->data;
  conn->hosts = conn->expects = conn->is_head = conn->told = 0;
  conn->body_len = 0;
  /* not by the empty lines that some put between requests */
  tw__httpd_become(conn, TW__HTTPD_READING);
  return 0;
}

static int on_url(llhttp_t *parser, const char *bytes, size_t len) {
  return put_head(parser->data, bytes, len, 414);
}

static int on_url_complete(llhttp_t *parser) {
  tw__httpd_conn *conn = parser->data;
  conn->target_len = conn->head.len;
  return put_head(conn, "", 1, 414);
}

static int on_field(llhttp_t *parser, const char *bytes, size_t len) {
  tw__httpd_conn *conn = parser->data;
  if (put_head(conn, bytes, len, 431)) return -1;
  char *at = conn->head.at + conn->head.len - len;
  for (size_t i = 0; i < len; i++)
    if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] | 0x20);
  return 0;
}

/* Where the name that has just ended begins. */
static const char *last_name(const tw__httpd_conn *conn) {
  const char *at = conn->head.at + conn->head.len - 1;
  while (at > conn->head.at && at[-1]) at--;
  return at;
}

static int on_field_complete(llhttp_t *parser) {
  tw__httpd_conn *conn = parser->data;
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
  tw__httpd_conn *conn = parser->data;
  if (put_head(conn, "", 1, 431)) return -1;
  if (conn->name_is == 'e')
    conn->expects = !strcasecmp(last_name(conn), "100-continue") ? 1 : 2;
  /* RFC 9112, 6.1: a coding that we do not undo must not pass for the body */
  if (conn->name_is == 't' && strcasecmp(last_name(conn), "chunked"))
    return deny(conn, 501);
  return 0;
}

static int on_headers_complete(llhttp_t *parser) {
  tw__httpd_conn *conn = parser->data;
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
    if (tw__httpd_interject(conn, go_on, sizeof go_on - 1)) return deny(conn, 503);
  }
  return 0;
}

static int on_body(llhttp_t *parser, const char *bytes, size_t len) {
  tw__httpd_conn *conn = parser->data;
  conn->body_len += (int64_t)len;
  if (conn->body_len > conn->server->options.max_body) return deny(conn, 413);
  return put(conn, &conn->body, bytes, len);
}

static int on_message_complete(llhttp_t *parser) {
  (void)parser;
  return HPE_PAUSED;
}

void tw__httpd_parse(tw__httpd_conn *conn, const char *bytes, size_t len) {
  const int64_t piece = conn->server->options.piece;
  const llhttp_errno_t rc = llhttp_execute(&conn->parser, bytes, len);
  if (rc == HPE_OK) {
    if (piece && conn->body.len >= piece) {
      conn->more = 1;
      tw__httpd_enqueue(conn);
    }
    return;
  }
  if (rc == HPE_PAUSED) {
    const char *end = llhttp_get_error_pos(&conn->parser);
    const int64_t left = (int64_t)(bytes + len - end);
    if (left > 0 && tw__bytes_add(&conn->rest, end, left)) {
      tw__httpd_refuse(conn, 503);
      return;
    }
    conn->more = 0;
    tw__httpd_enqueue(conn);
    return;
  }
  tw__httpd_refuse(conn, conn->refuse ? conn->refuse : 400);
}

void tw__httpd_set_callbacks(llhttp_settings_t *settings) {
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
