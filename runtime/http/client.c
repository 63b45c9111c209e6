/* client.c -- HTTP requests on the loop, by libcurl's multi interface.
 *
 * libcurl says which sockets it waits for and until when; a uv_poll per socket and one
 * uv_timer tell it. It speaks http and https, keeps connections for the next request to
 * the same host, and unpacks bodies. Its only threads are those that resolve names.
 * Redirects are its callers' business: libcurl would send a PUT on without its body.
 *
 *     tw_http_start --> easy handle --> multi --(uv_poll, uv_timer)--> check --> ready
 *
 * Head and body are collected here, up to their limits. Easy handles are used again: they
 * are costly to make.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/bytes.h"
#include "core/mem.h"
#include "loop/loop.h"

enum { SPARES = 32, MAX_HEAD = 256 << 10 };

struct tw_http {
  tw__handle handle; /* first */
  CURLM *multi;
  uv_timer_t timer;
  tw_http_call *calls;
  CURL *spare[SPARES];
  int spares;
  int blind;            /* a socket could not be watched */
  int closing, pending; /* pending: uv handles whose closing is still to be reported */
};

struct tw_http_call {
  tw__handle handle; /* first */
  tw_http *client;   /* NULL once it is over */
  tw_http_call *prev, *next;
  CURL *easy;
  struct curl_slist *headers;
  struct tw__bytes head, body;
  int64_t max_body;
  int state; /* TW_AGAIN, then TW_OK or a status */
  int too_large;
  int status;
  int was_connected;   /* once it is over */
  int64_t retry_after; /* seconds */
  char *redirect;
  char error[CURL_ERROR_SIZE + 64];
  char detail[CURL_ERROR_SIZE];
};

struct poll {
  uv_poll_t uv; /* first */
  tw_http *client;
  curl_socket_t fd;
  int events;
};

/* ---- the end of a call ---------------------------------------------------- */

static void unlink_call(tw_http_call *call) {
  tw_http *client = call->client;
  if (!client) return;
  if (call->next) call->next->prev = call->prev;
  if (call->prev)
    call->prev->next = call->next;
  else
    client->calls = call->next;
  call->client = NULL;
}

/* The easy handle goes back to the spare ones. */
static void give_back(tw_http_call *call) {
  tw_http *client = call->client;
  if (!call->easy) return;
  curl_multi_remove_handle(client->multi, call->easy);
  if (client->spares < SPARES && !client->closing) {
    curl_easy_reset(call->easy);
    client->spare[client->spares++] = call->easy;
  } else {
    curl_easy_cleanup(call->easy);
  }
  call->easy = NULL;
  curl_slist_free_all(call->headers);
  call->headers = NULL;
}

/* Did it get as far as the other side? Then that may have done what it was asked. */
static int got_through(const tw_http_call *call) {
  curl_off_t us = 0;
  curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
  return us > 0;
}

/* Could it go better another time? */
static int may_go_better(CURLcode result) {
  switch (result) {
  case CURLE_COULDNT_CONNECT:
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
  case CURLE_OPERATION_TIMEDOUT:
  case CURLE_GOT_NOTHING:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_PARTIAL_FILE:
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM: return 1;
  default: return 0;
  }
}

static void say(tw_http_call *call, CURLcode result) {
  long os = 0;
  curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os);
  const char *detail = call->detail[0] ? call->detail : curl_easy_strerror(result);
  const char *format = "%s";
  switch (result) {
  case CURLE_COULDNT_CONNECT:
    if (os == ECONNREFUSED) detail = "connection refused";
    break;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY: format = "the name cannot be resolved (%s)"; break;
  case CURLE_OPERATION_TIMEDOUT: detail = "timeout"; break;
  case CURLE_GOT_NOTHING:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_PARTIAL_FILE: format = "connection lost (%s)"; break;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE: format = "TLS: %s"; break;
  case CURLE_UNSUPPORTED_PROTOCOL: format = "not an http or https address (%s)"; break;
  case CURLE_WRITE_ERROR:
    if (call->too_large) {
      snprintf(call->error, sizeof call->error,
               call->too_large == 1 ? "the body is larger than max_body, %lld bytes"
                                    : "the headers are larger than %lld bytes",
               call->too_large == 1 ? (long long)call->max_body : (long long)MAX_HEAD);
      return;
    }
    detail = "no memory";
    break;
  default: break;
  }
  snprintf(call->error, sizeof call->error, format, detail);
}

static void finish(tw_http_call *call, CURLcode result) {
  const char *redirect = NULL;
  long status = 0;
  curl_off_t retry_after = 0;
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &redirect);
  curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after);
  if (redirect) call->redirect = tw__mem_copy(redirect, (int64_t)strlen(redirect));
  call->status = (int)status;
  call->retry_after = retry_after;
  call->was_connected = got_through(call);
  call->state = result == CURLE_OK ? TW_OK : may_go_better(result) ? TW_EIO : TW_EINVAL;
  if (result != CURLE_OK) say(call, result);
  give_back(call);
  unlink_call(call);
  tw__loop_ready(&call->handle);
}

/* Calls under way end without an answer. */
static void fail_all(tw_http *client, const char *why) {
  while (client->calls) {
    tw_http_call *call = client->calls;
    call->state = TW_EIO;
    snprintf(call->error, sizeof call->error, "%s", why);
    give_back(call);
    unlink_call(call);
    tw__loop_ready(&call->handle);
  }
}

static void check(tw_http *client) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(client->multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result; /* message dies with the handle */
    tw_http_call *call = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
    finish(call, result);
  }
  if (client->blind) {
    client->blind = 0;
    fail_all(client, "no memory");
  }
}

/* ---- libcurl and the loop -------------------------------------------------- */

static void destroy(tw_http *client) {
  tw__free(client);
}

static void settled(tw_http *client) {
  client->pending--;
  if (client->closing && client->pending == 0) destroy(client);
}

static void after_poll_close(uv_handle_t *handle) {
  struct poll *poll = (struct poll *)handle;
  tw_http *client = poll->client;
  tw__free(poll);
  settled(client);
}

static void after_timer_close(uv_handle_t *handle) {
  settled(handle->data);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  struct poll *poll = (struct poll *)handle;
  tw_http *client = poll->client;
  int flags = 0, running; /* 0, of an error: libcurl reads what came before it */
  if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
  if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
  curl_multi_socket_action(client->multi, poll->fd, flags, &running);
  if (status < 0 && !uv_is_closing((uv_handle_t *)handle))
    uv_poll_start(handle, poll->events, on_poll); /* libuv has stopped it */
  check(client);
}

static void on_timer(uv_timer_t *timer) {
  tw_http *client = timer->data;
  int running;
  curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  check(client);
}

static struct poll *watch(tw_http *client, curl_socket_t fd) {
  struct poll *poll = tw__calloc(1, sizeof *poll);
  if (!poll) return NULL;
  if (uv_poll_init_socket(tw__loop_uv(client->handle.loop), &poll->uv, fd)) {
    tw__free(poll);
    return NULL;
  }
  poll->client = client;
  poll->fd = fd;
  client->pending++;
  curl_multi_assign(client->multi, fd, poll);
  return poll;
}

/* libcurl waits for something else on a socket from now on. To fail here would be the end of
 * all requests for ever; those that there are fail instead. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context,
                         void *known) {
  tw_http *client = context;
  struct poll *poll = known;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (!poll) return 0;
    curl_multi_assign(client->multi, fd, NULL);
    uv_poll_stop(&poll->uv);
    uv_close((uv_handle_t *)&poll->uv, after_poll_close);
    return 0;
  }
  int events = 0;
  if (what & CURL_POLL_IN) events |= UV_READABLE;
  if (what & CURL_POLL_OUT) events |= UV_WRITABLE;
  if (!poll) poll = watch(client, fd);
  if (poll) poll->events = events;
  if (!poll || uv_poll_start(&poll->uv, events, on_poll)) client->blind = 1;
  return 0;
}

static int timer_wanted(CURLM *multi, long ms, void *context) {
  tw_http *client = context;
  (void)multi;
  if (ms < 0) {
    uv_timer_stop(&client->timer);
  } else {
    uv_update_time(client->timer.loop);
    uv_timer_start(&client->timer, on_timer, (uint64_t)ms, 0);
  }
  return 0;
}

/* ---- the client ------------------------------------------------------------ */

static void close_client(tw__handle *handle) {
  tw_http_close((tw_http *)handle);
}

static CURLcode started;

static void start_libcurl(void) {
  started = curl_global_init(CURL_GLOBAL_DEFAULT);
  /* a peer that has gone must not end the process */
  struct sigaction now;
  if (!sigaction(SIGPIPE, NULL, &now) && now.sa_handler == SIG_DFL)
    signal(SIGPIPE, SIG_IGN);
}

int tw_http_abi(void) {
  return TW_ABI;
}

tw_http *tw_http_open(tw_loop *loop) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start_libcurl);
  if (started != CURLE_OK) return NULL;
  tw_http *client = tw__calloc(1, sizeof *client);
  if (!client) return NULL;
  client->multi = curl_multi_init();
  if (!client->multi) {
    tw__free(client);
    return NULL;
  }
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
  uv_timer_init(tw__loop_uv(loop), &client->timer);
  client->timer.data = client;
  client->pending = 1;
  tw__loop_attach(loop, &client->handle, close_client);
  return client;
}

void tw_http_close(tw_http *client) {
  if (!client || client->closing) return;
  client->closing = 1;
  fail_all(client, "the client has been closed");
  while (client->spares) curl_easy_cleanup(client->spare[--client->spares]);
  curl_multi_cleanup(client->multi);
  client->multi = NULL;
  tw__loop_detach(&client->handle);
  uv_close((uv_handle_t *)&client->timer, after_timer_close);
}

/* ---- a call ------------------------------------------------------------------ */

static int same_name(const char *line, const char *name, size_t len) {
  return !strncasecmp(line, name, len) && line[len] == ':';
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context) {
  tw_http_call *call = context;
  const int64_t len = (int64_t)(size * count);
  /* of a redirect or a "100 Continue" nothing is kept */
  if (len > 5 && !memcmp(bytes, "HTTP/", 5)) call->head.len = 0;
  if (call->head.len + len > MAX_HEAD) {
    call->too_large = 2;
    return 0;
  }
  return tw__bytes_add(&call->head, bytes, len) ? 0 : (size_t)len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
  tw_http_call *call = context;
  const int64_t len = (int64_t)(size * count);
  if (call->body.len + len > call->max_body) {
    call->too_large = 1;
    return 0;
  }
  return tw__bytes_add(&call->body, bytes, len) ? 0 : (size_t)len;
}

static int add_header(tw_http_call *call, const char *line) {
  struct curl_slist *list = curl_slist_append(call->headers, line);
  if (!list) return TW_ENOMEM;
  call->headers = list;
  return TW_OK;
}

/* The header lines, each ended by a newline, as libcurl's list. */
static int set_headers(tw_http_call *call, const tw_http_options *o) {
  const char *at = o->headers;
  int typed = 0, expects = 0;
  while (at && *at) {
    const char *end = strchr(at, '\n');
    char *line = tw__mem_copy(at, end ? end - at : (int64_t)strlen(at));
    if (!line) return TW_ENOMEM;
    char *colon = strchr(line, ':');
    typed |= same_name(line, "content-type", 12);
    expects |= same_name(line, "expect", 6);
    /* "Name:" would take a header out, "Name;" sends an empty one */
    if (colon && colon[1 + strspn(colon + 1, " ")] == '\0') strcpy(colon, ";");
    const int rc = add_header(call, line);
    tw__free(line);
    if (rc) return rc;
    if (!end) break;
    at = end + 1;
  }
  /* libcurl takes a body for a form when nobody says what it is */
  if (o->body && !typed && add_header(call, "Content-Type:")) return TW_ENOMEM;
  if (!expects && add_header(call, "Expect:")) return TW_ENOMEM;
  return TW_OK;
}

static void set_method(CURL *easy, const tw_http_options *o) {
  if (o->body) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, o->body);
    if (strcmp(o->method, "POST"))
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, o->method);
  } else if (!strcmp(o->method, "HEAD")) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (strcmp(o->method, "GET")) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, o->method);
  }
}

/* What is on this machine is not asked for through a proxy. */
static int is_loopback(const char *url) {
  CURLU *parsed = curl_url();
  char *host = NULL;
  int yes = 0;
  if (parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0) &&
      !curl_url_get(parsed, CURLUPART_HOST, &host, 0)) {
    yes = !strncmp(host, "127.", 4) || !strcasecmp(host, "localhost") ||
          !strcmp(host, "[::1]");
    curl_free(host);
  }
  curl_url_cleanup(parsed);
  return yes;
}

static int set_up(tw_http_call *call, const tw_http_options *o) {
  CURL *easy = call->easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  /* a call that is given up does not wait for its name to be resolved */
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "tideway");
  /* how long is our callers' to say, by their clock */
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30 * 24 * 3600L);
  if (!o->verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (o->ca_file) curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
  if (o->cert) {
    curl_easy_setopt(easy, CURLOPT_SSLCERT, o->cert);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, o->key ? o->key : o->cert);
  }
  if (o->unix_socket) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, o->unix_socket);
  if (o->proxy || is_loopback(o->url))
    curl_easy_setopt(easy, CURLOPT_PROXY, o->proxy ? o->proxy : "");
  set_method(easy, o);
  const int rc = set_headers(call, o);
  if (rc) return rc;
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
  return curl_easy_setopt(easy, CURLOPT_URL, o->url) ? TW_ENOMEM : TW_OK;
}

static void close_call(tw__handle *handle) {
  tw_http_end((tw_http_call *)handle);
}

tw_http_call *tw_http_start(tw_http *client, const tw_http_options *options) {
  tw_http_call *call = tw__calloc(1, sizeof *call);
  if (!call) return NULL;
  call->state = TW_AGAIN;
  call->max_body = options->max_body;
  call->easy = client->spares ? client->spare[--client->spares] : curl_easy_init();
  if (!call->easy) goto fail;
  if (set_up(call, options)) goto fail_easy;
  if (curl_multi_add_handle(client->multi, call->easy)) goto fail_easy;
  call->client = client;
  call->next = client->calls;
  if (call->next) call->next->prev = call;
  client->calls = call;
  tw__loop_attach(client->handle.loop, &call->handle, close_call);
  return call;

fail_easy:
  curl_easy_cleanup(call->easy);
  curl_slist_free_all(call->headers);
fail:
  tw__free(call);
  return NULL;
}

void tw_http_end(tw_http_call *call) {
  if (!call) return;
  if (call->client) {
    give_back(call);
    unlink_call(call);
  }
  tw__loop_detach(&call->handle);
  tw__bytes_clear(&call->head);
  tw__bytes_clear(&call->body);
  tw__free(call->redirect);
  tw__free(call);
}

uint32_t tw_http_id(const tw_http_call *call) {
  return call->handle.id;
}

int tw_http_state(const tw_http_call *call) {
  return call->state;
}

int tw_http_status(const tw_http_call *call) {
  return call->status;
}

const char *tw_http_head(const tw_http_call *call, int64_t *len) {
  *len = call->head.len;
  return call->head.at ? call->head.at : "";
}

const char *tw_http_body(const tw_http_call *call, int64_t *len) {
  *len = call->body.len;
  return call->body.at ? call->body.at : "";
}

int tw_http_connected(const tw_http_call *call) {
  return call->easy ? got_through(call) : call->was_connected;
}

const char *tw_http_redirect(const tw_http_call *call) {
  return call->redirect ? call->redirect : "";
}

int64_t tw_http_retry_after(const tw_http_call *call) {
  return call->retry_after;
}

const char *tw_http_error(const tw_http_call *call) {
  return call->error;
}
