/* datagrams.c -- what comes to a UDP port.
 *
 *     socket's buffer -> slots, a datagram in each -> records (the owner)
 *
 * The owner reads, when it asks for records and not before: up to SLOTS datagrams with one
 * system call. UDP has no window that would fill while the pipeline waits: the system drops
 * what its buffer has no room for, and counts it.
 *
 * A slot is as long as the longest datagram that is allowed; a longer one is cut by the system,
 * which says so. Of the slots' memory only what has been written to is ever there.
 *
 * After a stop the socket is connected to itself: what had come stays in its buffer, and nobody
 * else's comes in any more.
 */
#define _GNU_SOURCE /* recvmmsg */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sock_diag.h>
#endif

#include "core/mem.h"
#include "loop/loop.h"
#include "source/address.h"

enum {
  SLOTS = 128,
  BATCH = 2048,
  /* between slots, so that the beginnings of all do not meet in the same lines of the cache */
  STAGGER = 192
};

struct tw_datagrams {
  tw__handle handle; /* first */
  char *delim;
  int64_t dlen, max_record;
  int fd, port, listening, stopping, closing;
  int last; /* read once more, whatever there is after it */
  uv_poll_t poll;
  int pending;  /* the poll handle is there */
  int waiting;  /* the owner waits for it */
  int got, at;  /* datagrams in the slots; the first that has not been handed out */
  int64_t used; /* bytes of that one that have been */
  int64_t count[TW_DATAGRAMS_COUNTS];
  char *slots;
  struct mmsghdr head[SLOTS];
  struct iovec part[SLOTS];
  tw__address peer[SLOTS];
  tw_slice lines[BATCH];
  char error[256];
};

/* ---- opening and closing ------------------------------------------------------- */

static int64_t dropped(const tw_datagrams *d) {
#ifdef SO_MEMINFO
  uint32_t info[SK_MEMINFO_VARS];
  socklen_t len = sizeof info;
  if (d->fd >= 0 && !getsockopt(d->fd, SOL_SOCKET, SO_MEMINFO, info, &len) &&
      len > SK_MEMINFO_DROPS * sizeof *info)
    return info[SK_MEMINFO_DROPS];
#endif
  return d->count[TW_DATAGRAMS_DROPPED];
}

static void release(tw_datagrams *d) {
  tw__free(d->slots);
  tw__free(d->delim);
  tw__free(d);
}

static void after_poll_close(uv_handle_t *handle) {
  tw_datagrams *d = handle->data;
  d->pending = 0;
  if (d->closing) release(d);
}

/* Gives the port back, and the poll handle with it: closed later it would take a descriptor of
 * this number, which is somebody else's by then, out of epoll. */
static void close_fd(tw_datagrams *d) {
  if (d->fd < 0) return;
  if (d->listening) uv_close((uv_handle_t *)&d->poll, after_poll_close);
  d->count[TW_DATAGRAMS_DROPPED] = dropped(d);
  close(d->fd);
  d->fd = -1;
}

void tw_datagrams_close(tw_datagrams *d) {
  if (!d || d->closing) return;
  d->closing = 1;
  tw__loop_detach(&d->handle);
  close_fd(d);
  if (!d->pending) release(d);
}

static void close_handle(tw__handle *handle) {
  tw_datagrams_close((tw_datagrams *)handle);
}

static void set_slots(tw_datagrams *d, int64_t stride) {
  for (int i = 0; i < SLOTS; i++) {
    d->part[i] = (struct iovec){d->slots + i * stride, (size_t)d->max_record};
    d->head[i].msg_hdr = (struct msghdr){
        .msg_name = &d->peer[i], .msg_iov = &d->part[i], .msg_iovlen = 1};
  }
}

static void ask_for_room(const tw_datagrams *d, int64_t bytes) {
  const int room = bytes < INT32_MAX / 2 ? (int)bytes : INT32_MAX / 2;
  if (bytes == 0) return;
#ifdef SO_RCVBUFFORCE /* past the system's limit, for those who may */
  if (!setsockopt(d->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) return;
#endif
  setsockopt(d->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
}

tw_datagrams *tw_datagrams_open(tw_loop *loop, const tw_datagrams_options *o,
                                char *error, int64_t size) {
  const char *text = "no memory";
  const int64_t stride = (o->max_record + 63) / 64 * 64 + STAGGER;
  tw_datagrams *d = tw__calloc(1, sizeof *d);
  if (!d) goto fail;
  d->fd = -1;
  d->port = o->port;
  d->dlen = o->dlen;
  d->max_record = o->max_record;
  d->slots = tw__malloc((size_t)(SLOTS * stride));
  d->delim = tw__mem_copy(o->delim, o->dlen);
  if (!d->slots || !d->delim) goto fail;
  set_slots(d, stride);
  d->fd = tw__address_bind(SOCK_DGRAM, o->host, &d->port, &text);
  if (d->fd < 0) goto fail;
  ask_for_room(d, o->receive_buffer);
  tw__loop_attach(loop, &d->handle, close_handle);
  return d;

fail:
  snprintf(error, (size_t)size, "%s", text);
  if (d) release(d);
  return NULL;
}

static void readable(uv_poll_t *poll, int status, int events) {
  tw_datagrams *d = poll->data;
  (void)status, (void)events; /* reading says what is wrong */
  if (d->waiting) {
    d->waiting = 0;
    tw__loop_ready(&d->handle);
    return;
  }
  uv_poll_stop(poll); /* the owner is busy with what was read before */
}

static void wait_for_more(tw_datagrams *d) {
  d->waiting = 1;
  if (uv_is_active((uv_handle_t *)&d->poll)) return; /* libuv stops it after an error */
  uv_poll_start(&d->poll, UV_READABLE, readable);
}

int tw_datagrams_listen(tw_datagrams *d, char *error, int64_t size) {
  const int rc = uv_poll_init(tw__loop_uv(d->handle.loop), &d->poll, d->fd);
  if (rc) {
    snprintf(error, (size_t)size, "%s", uv_strerror(rc));
    return TW_EIO;
  }
  d->poll.data = d;
  d->listening = d->pending = 1;
  return TW_OK;
}

void tw_datagrams_stop(tw_datagrams *d) {
  tw__address self;
  socklen_t len = sizeof self;
  if (d->stopping) return;
  d->stopping = 1;
  if (d->listening && d->fd >= 0) uv_poll_stop(&d->poll);
  if (d->fd < 0 || getsockname(d->fd, &self.any, &len) ||
      connect(d->fd, &self.any, len))
    d->last = 1;
  tw__loop_ready(&d->handle);
}

/* ---- reading --------------------------------------------------------------------- */

/* Fills the slots. Returns how many, or a status. */
static int receive(tw_datagrams *d) {
  if (d->fd < 0) return TW_EOF;
  if (!d->listening) return TW_AGAIN;
  for (int i = 0; i < SLOTS; i++) d->head[i].msg_hdr.msg_namelen = sizeof *d->peer;
  int n;
  do n = recvmmsg(d->fd, d->head, SLOTS, MSG_DONTWAIT, NULL);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN) {
    snprintf(d->error, sizeof d->error, "%s", strerror(errno));
    return TW_EIO;
  }
  if (d->last || (n < 0 && d->stopping)) close_fd(d);
  if (n < 0) {
    if (d->fd < 0) return TW_EOF;
    wait_for_more(d);
    return TW_AGAIN;
  }
  d->got = n;
  d->at = 0;
  d->count[TW_DATAGRAMS_RECEIVED] += n;
  for (int i = 0; i < n; i++) d->count[TW_DATAGRAMS_BYTES] += d->head[i].msg_len;
  return n;
}

static int refuse(tw_datagrams *d) {
  char peer[80];
  tw__address_name(&d->peer[d->at++], peer, sizeof peer);
  snprintf(d->error, sizeof d->error,
           "%s: a datagram of more than %lld bytes (max_record)", peer,
           (long long)d->max_record);
  d->count[TW_DATAGRAMS_REFUSED]++;
  return TW_EPARSE;
}

/* Adds what is left of the datagram at hand to n records. Returns how many there are then; BATCH:
 * there may be more. */
static int split(tw_datagrams *d, int n) {
  const char *bytes = d->part[d->at].iov_base;
  const int64_t len = d->head[d->at].msg_len;
  int64_t used;
  n += tw_lines_split(bytes + d->used, len - d->used, d->delim, d->dlen, d->lines + n,
                      BATCH - n, &used);
  d->used += used;
  if (n == BATCH) return n;
  if (d->used < len) d->lines[n++] = (tw_slice){bytes + d->used, len - d->used};
  d->used = 0;
  d->at++;
  return n;
}

/* Records out of the slots. Returns how many, 0: there are none in them, or a status. */
static int cut(tw_datagrams *d) {
  int n = 0;
  while (d->at < d->got && n < BATCH) {
    const struct mmsghdr *head = &d->head[d->at];
    if (head->msg_hdr.msg_flags & MSG_TRUNC) return n ? n : refuse(d);
    if (d->dlen) {
      n = split(d, n);
    } else {
      d->lines[n++] = (tw_slice){d->part[d->at].iov_base, head->msg_len};
      d->at++;
    }
  }
  return n;
}

int tw_datagrams_next(tw_datagrams *d) {
  for (;;) {
    int n = cut(d);
    if (n) return n;
    n = receive(d);
    if (n < 0) return n;
  }
}

int tw_datagrams_port(const tw_datagrams *d) {
  return d->port;
}

uint32_t tw_datagrams_id(const tw_datagrams *d) {
  return d->handle.id;
}

const tw_slice *tw_datagrams_lines(const tw_datagrams *d) {
  return d->lines;
}

int64_t tw_datagrams_count(const tw_datagrams *d, int what) {
  if (what == TW_DATAGRAMS_DROPPED) return dropped(d);
  return what < 0 || what >= TW_DATAGRAMS_COUNTS ? TW_EINVAL : d->count[what];
}

const char *tw_datagrams_error(const tw_datagrams *d) {
  return d->error;
}
