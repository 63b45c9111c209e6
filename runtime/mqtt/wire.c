/* wire.c -- a TCP connection on the loop, plain or TLS; see wire.h. */
#include "mqtt/wire.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "mqtt/packet.h"
#include "mqtt/tls.h"

enum { INPUT = 64 << 10, MUCH = 64 << 10, KEEP_ROOM = 1 << 20 };
enum state { RESOLVING, CONNECTING, HANDSHAKE, UP, GONE };

struct tw__wire {
  uv_tcp_t tcp;
  uv_prepare_t prepare;
  uv_getaddrinfo_t lookup;
  uv_connect_t connect;
  uv_write_t write;
  uv_shutdown_t shutdown;
  const struct tw__wire_events *events;
  void *ctx;
  enum state state;
  int refs;     /* callbacks that will come */
  int has_tcp;  /* it is open */
  int retrying; /* it is being closed, to be opened for the next address */
  int closed, held, reading, writing, finishing, watching;
  int broken; /* the owner is told at the next turn */
  struct addrinfo *addresses, *next;
  char why[160]; /* not to the last address */
  struct tw__bytes out, sending;
  int64_t taken, written, told;
  int tls_on;
  struct tw__tls tls;
  char input[INPUT], plain[INPUT];
};

static void try_next(tw__wire *w);
static void flush(tw__wire *w);

static void settled(tw__wire *w) {
  if (--w->refs > 0 || !w->closed) return;
  tw__bytes_clear(&w->out);
  tw__bytes_clear(&w->sending);
  if (w->tls_on) tw__tls_close(&w->tls);
  if (w->addresses) uv_freeaddrinfo(w->addresses);
  tw__free(w);
}

static void fail(tw__wire *w, const char *why) {
  if (w->state == GONE || w->closed) return;
  w->state = GONE;
  uv_prepare_stop(&w->prepare);
  if (w->reading) uv_read_stop((uv_stream_t *)&w->tcp);
  w->reading = 0;
  w->events->down(w->ctx, why);
}

/* ---- writing ---- */

static void stir(tw__wire *w);

static void tell(tw__wire *w) {
  if (w->told == w->written || w->closed || w->state == GONE) return;
  w->told = w->written;
  w->events->written(w->ctx);
}

static void on_written(uv_write_t *request, int status) {
  tw__wire *w = request->data;
  w->writing = 0;
  if (status) {
    fail(w, uv_strerror(status));
  } else if (!w->closed) {
    w->written = w->taken - w->out.len;
    flush(w);
    tell(w);
  }
  settled(w);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  (void)status;
  settled(request->data);
}

static void shut(tw__wire *w) {
  if (w->finishing != 1) return;
  w->finishing = 2;
  w->shutdown.data = w;
  w->refs++;
  if (uv_shutdown(&w->shutdown, (uv_stream_t *)&w->tcp, on_shutdown)) w->refs--;
}

/* Hand to the system what there is. An error is told by the callback of the write. */
static void flush(tw__wire *w) {
  if (w->writing || w->closed || w->state < HANDSHAKE || w->state == GONE) return;
  if (!w->out.len) {
    shut(w);
    return;
  }
  uv_buf_t buf = uv_buf_init(w->out.at, (unsigned)w->out.len);
  const int n = uv_try_write((uv_stream_t *)&w->tcp, &buf, 1);
  if (n == w->out.len) {
    w->out.len = 0;
    if (w->out.room > KEEP_ROOM) tw__bytes_clear(&w->out);
    w->written = w->taken;
    shut(w);
    return;
  }
  const struct tw__bytes out = w->out;
  w->out = w->sending;
  w->out.len = 0;
  w->sending = out;
  const int64_t at = n > 0 ? n : 0;
  buf = uv_buf_init(out.at + at, (unsigned)(out.len - at));
  w->writing = 1;
  w->refs++;
  w->write.data = w;
  if (uv_write(&w->write, (uv_stream_t *)&w->tcp, &buf, 1, on_written)) {
    w->refs--;
    w->writing = 0;
    w->broken = 1;
  }
}

static void on_turn(uv_prepare_t *prepare) {
  tw__wire *w = prepare->data;
  if (w->broken) {
    fail(w, "the connection is broken");
    return;
  }
  if (w->state == UP) w->events->turn(w->ctx);
  flush(w);
  tell(w);
  stir(w);
}

/* The loop is looked at while there is something to send, or somebody wants to know. */
static void stir(tw__wire *w) {
  const int on = w->state != GONE && !w->closed &&
                 (w->watching || w->broken || w->told != w->written ||
                  (!w->writing && (w->out.len || w->finishing == 1)));
  if (on)
    uv_prepare_start(&w->prepare, on_turn);
  else
    uv_prepare_stop(&w->prepare);
}

static int take_cipher(tw__wire *w) {
  int64_t n;
  char buf[4096];
  while ((n = tw__tls_take(&w->tls, buf, sizeof buf)) > 0) {
    tw__bytes_add(&w->out, buf, n);
    w->taken += n;
  }
  return w->out.failed ? TW_ENOMEM : TW_OK;
}

int tw__wire_send(tw__wire *w, const char *bytes, int64_t len) {
  if (w->state != UP) return TW_OK; /* that it is down has been told */
  if (w->tls_on) {
    if (tw__tls_write(&w->tls, bytes, len) || take_cipher(w)) return TW_ENOMEM;
  } else {
    tw__bytes_add(&w->out, bytes, len);
    if (w->out.failed) return TW_ENOMEM;
    w->taken += len;
  }
  if (w->out.len >= MUCH) flush(w);
  stir(w);
  return TW_OK;
}

void tw__wire_finish(tw__wire *w) {
  if (w->finishing) return;
  w->finishing = 1;
  flush(w);
  stir(w);
}

int64_t tw__wire_taken(const tw__wire *w) {
  return w->taken;
}

int64_t tw__wire_written(const tw__wire *w) {
  return w->written;
}

void tw__wire_watch(tw__wire *w, int on) {
  w->watching = on;
  stir(w);
}

/* ---- reading ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  tw__wire *w = handle->data;
  (void)suggested;
  *buf = uv_buf_init(w->input, INPUT);
}

static void come_up(tw__wire *w) {
  w->state = UP;
  w->events->up(w->ctx);
}

/* Cipher text came, or the connection has just been made. */
static void go_on(tw__wire *w) {
  if (w->state == HANDSHAKE) {
    const int rc = tw__tls_handshake(&w->tls);
    take_cipher(w);
    flush(w);
    stir(w);
    if (rc == TW_AGAIN || w->closed || w->state == GONE) return;
    if (rc != TW_OK) {
      fail(w, rc == TW_EOF ? NULL : w->tls.error);
      return;
    }
    come_up(w);
  }
  while (w->state == UP && !w->closed) {
    const int64_t n = tw__tls_read(&w->tls, w->plain, INPUT);
    if (n < 0) fail(w, n == TW_EOF ? NULL : w->tls.error);
    if (n <= 0) break;
    w->events->bytes(w->ctx, w->plain, n);
  }
  if (w->closed || w->state == GONE) return;
  take_cipher(w); /* an answer of TLS's own */
  stir(w);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  tw__wire *w = stream->data;
  if (n == 0 || w->closed || w->state == GONE) return;
  if (n < 0) {
    fail(w, n == UV_EOF ? NULL : uv_strerror((int)n));
  } else if (!w->tls_on) {
    w->events->bytes(w->ctx, buf->base, n);
  } else if (tw__tls_feed(&w->tls, buf->base, n)) {
    fail(w, "no memory");
  } else {
    go_on(w);
  }
}

static void set_reading(tw__wire *w) {
  const int on = !w->held && !w->closed && w->state >= HANDSHAKE && w->state != GONE;
  if (on == w->reading) return;
  w->reading = on;
  if (!on)
    uv_read_stop((uv_stream_t *)&w->tcp);
  else if (uv_read_start((uv_stream_t *)&w->tcp, on_room, on_read))
    w->broken = 1;
  stir(w);
}

void tw__wire_hold(tw__wire *w, int on) {
  w->held = on;
  set_reading(w);
}

int tw__wire_held(const tw__wire *w) {
  return w->held;
}

/* ---- connecting ---- */

static void after_close(uv_handle_t *handle) {
  tw__wire *w = handle->data;
  if (w->retrying && !w->closed) {
    w->retrying = 0;
    try_next(w);
  }
  settled(w);
}

static void close_tcp(tw__wire *w) {
  if (!w->has_tcp) return;
  w->has_tcp = w->reading = 0;
  w->refs++;
  uv_close((uv_handle_t *)&w->tcp, after_close);
}

static void on_connect(uv_connect_t *request, int status) {
  tw__wire *w = request->data;
  if (status && !w->closed && w->state != GONE) {
    snprintf(w->why, sizeof w->why, "%s", uv_strerror(status));
    w->retrying = 1;
    close_tcp(w);
  } else if (!w->closed && w->state != GONE) {
    uv_tcp_nodelay(&w->tcp, 1);
    uv_tcp_keepalive(&w->tcp, 1, 60);
    w->state = HANDSHAKE;
    if (w->tls_on)
      go_on(w);
    else
      come_up(w);
    if (!w->closed) set_reading(w);
  }
  settled(w);
}

static void try_next(tw__wire *w) {
  const struct addrinfo *to = w->next;
  if (!to) {
    fail(w, w->why);
    return;
  }
  w->next = to->ai_next;
  uv_tcp_init(w->prepare.loop, &w->tcp);
  w->tcp.data = w->connect.data = w;
  w->has_tcp = 1;
  w->state = CONNECTING;
  const int rc = uv_tcp_connect(&w->connect, &w->tcp, to->ai_addr, on_connect);
  if (!rc) {
    w->refs++;
    return;
  }
  snprintf(w->why, sizeof w->why, "%s", uv_strerror(rc));
  w->retrying = 1;
  close_tcp(w);
}

static void on_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list) {
  tw__wire *w = lookup->data;
  w->addresses = w->next = list;
  if (!w->closed && status)
    fail(w, uv_strerror(status));
  else if (!w->closed)
    try_next(w);
  settled(w);
}

static void after_prepare(uv_handle_t *handle) {
  settled(handle->data);
}

tw__wire *tw__wire_open(uv_loop_t *loop, const char *host, int port,
                        const tw_mqtt_tls *tls, const struct tw__wire_events *events,
                        void *ctx) {
  char service[16];
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  tw__wire *w = tw__calloc(1, sizeof *w);
  if (!w) return NULL;
  w->events = events;
  w->ctx = ctx;
  w->lookup.data = w->prepare.data = w;
  snprintf(w->why, sizeof w->why, "no address");
  snprintf(service, sizeof service, "%d", port);
  w->tls_on = tls != NULL;
  if ((tls && tw__tls_open(&w->tls, tls, host)) ||
      uv_getaddrinfo(loop, &w->lookup, on_resolved, host, service, &hints)) {
    if (tls && w->tls.ssl) tw__tls_close(&w->tls);
    tw__free(w);
    return NULL;
  }
  uv_prepare_init(loop, &w->prepare);
  w->refs = 2; /* the lookup, the prepare handle */
  return w;
}

void tw__wire_close(tw__wire *w) {
  if (!w || w->closed) return;
  w->closed = 1;
  if (w->state == RESOLVING) uv_cancel((uv_req_t *)&w->lookup);
  close_tcp(w);
  uv_close((uv_handle_t *)&w->prepare, after_prepare);
}
