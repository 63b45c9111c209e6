/* shake.c -- the opening handshake (RFC 6455, 4): llhttp reads, this judges and answers. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "ws/ws.h"

enum { MOST = 16 << 10, NONCE = 16, DIGEST = 20, LINE = 256 };

/* ---- reading ------------------------------------------------------------------- */

static int put(llhttp_t *parser, const char *bytes, size_t len) {
  tw__ws_shake *shake = parser->data;
  return tw__bytes_add(&shake->head, bytes, (int64_t)len) ? -1 : 0;
}

static int ended(llhttp_t *parser) {
  return put(parser, "", 1);
}

/* Names in small letters. */
static int name_ended(llhttp_t *parser) {
  tw__ws_shake *shake = parser->data;
  if (put(parser, "", 1)) return -1;
  for (char *at = shake->head.at + shake->name_at; *at; at++)
    if (*at >= 'A' && *at <= 'Z') *at = (char)(*at + 'a' - 'A');
  return 0;
}

static int value_ended(llhttp_t *parser) {
  tw__ws_shake *shake = parser->data;
  if (put(parser, "", 1)) return -1;
  shake->name_at = shake->head.len;
  return 0;
}

static int target_ended(llhttp_t *parser) {
  return value_ended(parser);
}

/* Nothing that follows is HTTP. */
static int head_ended(llhttp_t *parser) {
  tw__ws_shake *shake = parser->data;
  shake->done = 1;
  return 2;
}

tw__ws_shake *tw__ws_shake_open(int server) {
  tw__ws_shake *shake = tw__calloc(1, sizeof *shake);
  if (!shake) return NULL;
  llhttp_settings_init(&shake->settings);
  if (server) {
    shake->settings.on_url = put;
    shake->settings.on_url_complete = target_ended;
  }
  shake->settings.on_header_field = put;
  shake->settings.on_header_field_complete = name_ended;
  shake->settings.on_header_value = put;
  shake->settings.on_header_value_complete = value_ended;
  shake->settings.on_headers_complete = head_ended;
  llhttp_init(&shake->parser, server ? HTTP_REQUEST : HTTP_RESPONSE, &shake->settings);
  shake->parser.data = shake;
  if (!server) {
    if (ended(&shake->parser)) {
      tw__ws_shake_close(shake);
      return NULL;
    }
    shake->name_at = 1;
  }
  return shake;
}

void tw__ws_shake_close(tw__ws_shake *shake) {
  if (!shake) return;
  tw__bytes_clear(&shake->head);
  tw__free(shake);
}

int64_t tw__ws_shake_read(tw__ws_shake *shake, const char *bytes, int64_t len) {
  const llhttp_errno_t rc = llhttp_execute(&shake->parser, bytes, (size_t)len);
  if (shake->done && (rc == HPE_PAUSED_UPGRADE || rc == HPE_OK)) {
    const char *end = rc == HPE_OK ? bytes + len : llhttp_get_error_pos(&shake->parser);
    len = end - bytes;
  } else if (rc != HPE_OK) {
    return TW_EPARSE;
  }
  shake->size += len;
  return shake->size > MOST ? TW_EPARSE : len;
}

const char *tw__ws_shake_target(const tw__ws_shake *shake) {
  return shake->head.at;
}

static const char *after(const char *text) {
  return text + strlen(text) + 1;
}

/* The field behind another one of that name, or the first; NULL: none. */
static const char *find(const tw__ws_shake *shake, const char *name,
                        const char *before) {
  const char *at = after(before ? before : shake->head.at);
  const char *end = shake->head.at + shake->head.len;
  while (at < end) {
    const char *value = after(at);
    if (!strcmp(at, name)) return value;
    at = after(value);
  }
  return NULL;
}

const char *tw__ws_shake_field(const tw__ws_shake *shake, const char *name) {
  const char *value = find(shake, name, NULL);
  return value ? value : "";
}

/* ---- lists "a, b" ------------------------------------------------------------------ */

/* The next word of a list, its length in *len; NULL: there is none. */
static const char *word(const char **list, size_t *len) {
  const char *at = *list + strspn(*list, ", \t");
  *len = strcspn(at, ",");
  *list = at + *len;
  while (*len && (at[*len - 1] == ' ' || at[*len - 1] == '\t')) --*len;
  return *len ? at : NULL;
}

static int lists(const char *list, const char *what, size_t size, int exactly) {
  size_t len;
  for (const char *at; (at = word(&list, &len));)
    if (len == size && (exactly ? !memcmp(at, what, len) : !strncasecmp(at, what, len)))
      return 1;
  return 0;
}

/* In any field of that name. */
static int has(const tw__ws_shake *shake, const char *name, const char *what,
               size_t size, int exactly) {
  const char *value = NULL;
  while ((value = find(shake, name, value)))
    if (lists(value, what, size, exactly)) return 1;
  return 0;
}

static int upgrades(const tw__ws_shake *shake) {
  return has(shake, "upgrade", "websocket", 9, 0) &&
         has(shake, "connection", "upgrade", 7, 0);
}

/* ---- keys ---------------------------------------------------------------------------- */

void tw__ws_shake_accept(const char *key, char accept[TW__WS_ACCEPT]) {
  char text[LINE];
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  const int len =
      snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  accept[0] = '\0';
  if (EVP_Digest(text, (size_t)len, digest, &n, EVP_sha1(), NULL) == 1 && n == DIGEST)
    EVP_EncodeBlock((unsigned char *)accept, digest, DIGEST);
}

/* Base64 of 16 bytes. */
static int is_key(const char *key) {
  static const char digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return strlen(key) == 24 && strspn(key, digits) == 22 && !strcmp(key + 22, "==");
}

/* ---- the server's side ------------------------------------------------------------------ */

static const char *phrase(int status) {
  switch (status) {
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 426: return "Upgrade Required";
  case 503: return "Service Unavailable";
  default: return "Bad Request";
  }
}

int tw__ws_shake_refuse(int status, struct tw__bytes *answer) {
  char text[LINE], body[64];
  const int len = snprintf(body, sizeof body, "%d %s\n", status, phrase(status));
  const int n =
      snprintf(text, sizeof text,
               "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n"
               "Connection: close\r\n\r\n%s",
               status, phrase(status),
               status == 426   ? "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               : status == 405 ? "Allow: GET\r\n"
                               : "",
               len, body);
  return tw__bytes_add(answer, text, n);
}

static int same_path(const char *target, const char *path) {
  const size_t len = strlen(path);
  return !strncmp(target, path, len) && (target[len] == '\0' || target[len] == '?');
}

/* 0, or the status with which the request is refused. */
static int judge(const tw__ws_shake *shake, const tw_ws_options *o) {
  const llhttp_t *parser = &shake->parser;
  const char *host = find(shake, "host", NULL);
  const char *key = find(shake, "sec-websocket-key", NULL);
  const char *version = find(shake, "sec-websocket-version", NULL);
  const char *origin = find(shake, "origin", NULL);
  if (parser->http_major != 1 || parser->http_minor < 1) return 400;
  if (!host || find(shake, "host", host)) return 400;
  if (parser->method != HTTP_GET) return 405;
  if (o->path && !same_path(tw__ws_shake_target(shake), o->path)) return 404;
  if (!upgrades(shake)) return 426;
  if (!version || strcmp(version, "13")) return version ? 426 : 400;
  if (!key || !is_key(key) || find(shake, "sec-websocket-key", key)) return 400;
  /* only browsers have one, and there others decide whose page connects to us */
  if (o->origins && origin && !lists(o->origins, origin, strlen(origin), 1)) return 403;
  return 0;
}

/* The first of ours that the client knows, its length in *len; NULL: none. */
static const char *choose(const tw__ws_shake *shake, const char *ours, size_t *len) {
  const char *at;
  while (ours && (at = word(&ours, len)))
    if (has(shake, "sec-websocket-protocol", at, *len, 1)) return at;
  return NULL;
}

int tw__ws_shake_answer(tw__ws_shake *shake, const tw_ws_options *o,
                        struct tw__bytes *answer) {
  char text[LINE], accept[TW__WS_ACCEPT];
  size_t len = 0;
  shake->status = judge(shake, o);
  if (shake->status) {
    tw__ws_shake_refuse(shake->status, answer);
    return TW_EPARSE;
  }
  tw__ws_shake_accept(tw__ws_shake_field(shake, "sec-websocket-key"), accept);
  const int n = snprintf(text, sizeof text,
                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                         accept);
  int rc = tw__bytes_add(answer, text, n);
  const char *chosen = choose(shake, o->protocols, &len);
  if (chosen && !rc) {
    rc = tw__bytes_add(answer, "Sec-WebSocket-Protocol: ", 24);
    if (!rc) rc = tw__bytes_add(answer, chosen, (int64_t)len);
    if (!rc) rc = tw__bytes_add(answer, "\r\n", 2);
  }
  if (!rc && o->headers)
    rc = tw__bytes_add(answer, o->headers, (int64_t)strlen(o->headers));
  if (!rc) rc = tw__bytes_add(answer, "\r\n", 2);
  return rc;
}

/* ---- the client's side ----------------------------------------------------------------- */

static int line(struct tw__bytes *text, const char *name, const char *value) {
  int rc = tw__bytes_add(text, name, (int64_t)strlen(name));
  if (!rc) rc = tw__bytes_add(text, value, (int64_t)strlen(value));
  return rc ? rc : tw__bytes_add(text, "\r\n", 2);
}

int tw__ws_shake_request(tw__ws_shake *shake, const tw_ws_options *o,
                         struct tw__bytes *request) {
  uint8_t nonce[NONCE];
  for (int i = 0; i < NONCE; i += 4) tw__ws_mask(nonce + i);
  EVP_EncodeBlock((unsigned char *)shake->key, nonce, NONCE);
  int rc = tw__bytes_add(request, "GET ", 4);
  if (!rc)
    rc = tw__bytes_add(request, o->path ? o->path : "/",
                       o->path ? (int64_t)strlen(o->path) : 1);
  if (!rc) rc = line(request, " HTTP/1.1", "");
  if (!rc) rc = line(request, "Host: ", o->authority);
  if (!rc) rc = line(request, "Upgrade: websocket\r\nConnection: Upgrade", "");
  if (!rc) rc = line(request, "Sec-WebSocket-Version: 13", "");
  if (!rc) rc = line(request, "Sec-WebSocket-Key: ", shake->key);
  if (!rc && o->protocols) rc = line(request, "Sec-WebSocket-Protocol: ", o->protocols);
  if (!rc) rc = line(request, o->headers ? o->headers : "", "");
  return rc;
}

int tw__ws_shake_check(const tw__ws_shake *shake, const tw_ws_options *o, char *error,
                       int64_t size) {
  const char *given = tw__ws_shake_field(shake, "sec-websocket-accept");
  const char *protocol = tw__ws_shake_field(shake, "sec-websocket-protocol");
  char accept[TW__WS_ACCEPT];
  const char *why = NULL;
  if (shake->parser.status_code != 101) {
    snprintf(error, (size_t)size, "answered %d", (int)shake->parser.status_code);
    return TW_EPARSE;
  }
  tw__ws_shake_accept(shake->key, accept);
  if (!upgrades(shake) || strcmp(given, accept))
    why = "the answer to the handshake is not a WebSocket server's";
  else if (*protocol &&
           !(o->protocols && lists(o->protocols, protocol, strlen(protocol), 1)))
    why = "the server has chosen a subprotocol that it was not offered";
  else if (*tw__ws_shake_field(shake, "sec-websocket-extensions"))
    why = "the server has chosen an extension that it was not offered";
  if (!why) return TW_OK;
  snprintf(error, (size_t)size, "%s", why);
  return TW_EPARSE;
}
