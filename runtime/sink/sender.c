/* sender.c -- records to a TCP port, as many at a time as the system takes.
 *
 *     RESOLVING --> CONNECTING --> READY <--> SENDING
 *          '-------------'-----------'-----------'------> FAILED, for good
 *
 * What the system takes of a record that does not fit into the socket as a whole is its
 * beginning; the rest is copied and sent when there is room, before the next one. What the
 * other side says is read and thrown away; that it closes ends the connection, so that
 * what comes next goes to a new one instead of nowhere.
 */
#define _GNU_SOURCE /* SOCK_NONBLOCK */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "codec/number.h"
#include "core/mem.h"
#include "loop/loop.h"

enum {
  ELEMENTS = 256, /* in a system call; it takes 1024 pieces, two of each */
  SCRAP = 4096
};
enum state { RESOLVING, CONNECTING, READY, SENDING, FAILED };

struct tw_sender {
  tw__handle handle; /* first */
  enum state state;
  int fd, closing, pending; /* fd: -1, or that of the open poll handle */
  uv_poll_t poll;
  uv_getaddrinfo_t lookup;
  struct addrinfo *addresses, *next; /* to be tried */
  char *unsent;
  int64_t at, len;
  char error[160];
};

static void settled(tw_sender *s) {
  if (--s->pending > 0 || !s->closing) return;
  tw__free(s->unsent);
  tw__free(s);
}

static void after_poll_close(uv_handle_t *handle) {
  settled(handle->data);
}

/* The poll handle goes with its descriptor: closed later it would take the number out of epoll that
 * is somebody else's by then. */
static void drop_socket(tw_sender *s) {
  if (s->fd < 0) return;
  uv_close((uv_handle_t *)&s->poll, after_poll_close);
  close(s->fd);
  s->fd = -1;
}

static void fail(tw_sender *s, const char *text) {
  snprintf(s->error, sizeof s->error, "%s", text);
  s->state = FAILED;
  drop_socket(s);
  tw__loop_ready(&s->handle);
}

static void try_next(tw_sender *s, const char *before);

/* Has the other side closed? Throws away what it has said. */
static int gone(tw_sender *s) {
  char scrap[SCRAP];
  ssize_t n;
  do {
    n = recv(s->fd, scrap, sizeof scrap, MSG_DONTWAIT);
  } while (n > 0 || (n < 0 && errno == EINTR));
  if (n < 0 && errno == EAGAIN) return 0;
  fail(s, n == 0 ? "closed by the other side" : strerror(errno));
  return 1;
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(tw_sender *s) {
  const int writing = s->state == CONNECTING || s->state == SENDING;
  uv_poll_start(&s->poll, UV_READABLE | (writing ? UV_WRITABLE : 0), on_event);
}

static void send_rest(tw_sender *s) {
  while (s->at < s->len) {
    const ssize_t n =
        send(s->fd, s->unsent + s->at, (size_t)(s->len - s->at), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      fail(s, strerror(errno));
      return;
    }
    s->at += n;
  }
  tw__free(s->unsent);
  s->unsent = NULL;
  s->at = s->len = 0;
  s->state = READY;
  watch(s);
  tw__loop_ready(&s->handle);
}

static void connected(tw_sender *s) {
  int error = 0;
  const int on = 1;
  socklen_t len = sizeof error;
  getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
  if (error) {
    try_next(s, strerror(error));
    return;
  }
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  uv_freeaddrinfo(s->addresses);
  s->addresses = NULL;
  s->state = READY;
  watch(s);
  tw__loop_ready(&s->handle);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  tw_sender *s = poll->data;
  (void)status; /* send and recv say what is wrong */
  if (s->state == CONNECTING) {
    connected(s);
    return;
  }
  if ((events & UV_READABLE || !events) && gone(s)) return;
  if (s->state == SENDING) send_rest(s);
}

/* Connect to the next address there is; before: why not to the last one. A poll handle is made
 * for one descriptor, so that further addresses take the place of the first's. */
static void try_next(tw_sender *s, const char *before) {
  struct addrinfo *to = s->next;
  if (!to) {
    uv_freeaddrinfo(s->addresses);
    s->addresses = NULL;
    fail(s, before);
    return;
  }
  s->next = to->ai_next;
  int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int reuse = fd >= 0 && s->fd >= 0;
  if (reuse) {
    uv_poll_stop(&s->poll);
    if (dup3(fd, s->fd, O_CLOEXEC) < 0) {
      close(fd);
      fail(s, strerror(errno));
      return;
    }
    close(fd);
    fd = s->fd;
  }
  if (fd < 0 || (!reuse && uv_poll_init(s->lookup.loop, &s->poll, fd))) {
    if (fd >= 0) close(fd);
    try_next(s, "no descriptor for a socket");
    return;
  }
  if (!reuse) s->pending++;
  s->poll.data = s;
  s->fd = fd;
  s->state = CONNECTING;
  if (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
    try_next(s, strerror(errno));
  else
    watch(s);
}

static void resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list) {
  tw_sender *s = lookup->data;
  if (s->closing || status) {
    uv_freeaddrinfo(list);
    if (!s->closing) fail(s, uv_strerror(status));
  } else {
    s->addresses = s->next = list;
    try_next(s, "no address");
  }
  settled(s);
}

void tw_sender_close(tw_sender *s) {
  if (!s || s->closing) return;
  s->closing = 1;
  tw__loop_detach(&s->handle);
  if (s->state == RESOLVING) uv_cancel((uv_req_t *)&s->lookup);
  if (s->addresses) uv_freeaddrinfo(s->addresses);
  /* with something unread the connection would be reset, and what is on its way lost */
  if (s->state == READY && !gone(s)) shutdown(s->fd, SHUT_WR);
  s->pending++;
  drop_socket(s);
  settled(s);
}

static void close_handle(tw__handle *handle) {
  tw_sender_close((tw_sender *)handle);
}

tw_sender *tw_sender_open(tw_loop *loop, const char *host, const char *port) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  tw_sender *s = tw__calloc(1, sizeof *s);
  if (!s) return NULL;
  s->fd = -1;
  s->lookup.data = s;
  if (uv_getaddrinfo(tw__loop_uv(loop), &s->lookup, resolved, host, port, &hints)) {
    tw__free(s);
    return NULL;
  }
  s->pending = 1;
  tw__loop_attach(loop, &s->handle, close_handle);
  return s;
}

int tw_sender_state(const tw_sender *s) {
  return s->state == READY ? TW_OK : s->state == FAILED ? TW_EIO : TW_AGAIN;
}

/* The text of element k of a queue; that of a number is written to room. */
static tw_slice text_of(const tw_queue *q, int64_t k, char room[TW__NUMBER_TEXT]) {
  const tw_value *val = &q->vals[(q->head + (uint64_t)k) & q->mask];
  if (val->type == TW_BYTES) return (tw_slice){val->bytes, val->len};
  return (tw_slice){room, tw__number_tostring(room, val->num)};
}

/* Of an element and the delimiter behind it, what follows its first `sent` bytes: is copied, to be
 * sent when there is room. */
static int put_by(tw_sender *s, tw_slice text, const char *delim, int64_t dlen,
                  int64_t sent) {
  const int64_t of_text = sent < text.len ? text.len - sent : 0;
  const int64_t rest = text.len + dlen - sent;
  s->unsent = tw__malloc((size_t)(rest ? rest : 1));
  if (!s->unsent) {
    fail(s, "no memory");
    return TW_EIO;
  }
  if (of_text) memcpy(s->unsent, text.ptr + sent, (size_t)of_text);
  if (rest > of_text)
    memcpy(s->unsent + of_text, delim + dlen - (rest - of_text),
           (size_t)(rest - of_text));
  s->at = 0;
  s->len = rest;
  s->state = SENDING;
  watch(s);
  return TW_OK;
}

/* Hands up to ELEMENTS elements from number k on to the system. Returns how many it has taken
 * whole; when it has not taken all that there were, the next one has been begun, or all has failed. */
static int send_some(tw_sender *s, const tw_queue *q, int64_t k, const char *delim,
                     int64_t dlen) {
  struct iovec part[2 * ELEMENTS];
  tw_slice text[ELEMENTS];
  char room[ELEMENTS][TW__NUMBER_TEXT];
  const int64_t left = (int64_t)(q->tail - q->head) - k;
  const int count = left < ELEMENTS ? (int)left : ELEMENTS;
  for (int i = 0; i < count; i++) {
    text[i] = text_of(q, k + i, room[i]);
    part[2 * i] = (struct iovec){(char *)(uintptr_t)text[i].ptr, (size_t)text[i].len};
    part[2 * i + 1] = (struct iovec){(char *)(uintptr_t)delim, (size_t)dlen};
  }
  const struct msghdr message = {.msg_iov = part, .msg_iovlen = 2 * (size_t)count};
  ssize_t n;
  do n = sendmsg(s->fd, &message, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN) {
    fail(s, strerror(errno));
    return 0;
  }
  if (n < 0) n = 0;
  for (int i = 0; i < count; i++) {
    if (n < text[i].len + dlen) {
      (void)put_by(s, text[i], delim, dlen, n);
      return i;
    }
    n -= text[i].len + dlen;
  }
  return count;
}

int64_t tw_sender_send(tw_sender *s, const tw_queue *q, const char *delim,
                       int64_t dlen) {
  const int64_t count = (int64_t)(q->tail - q->head);
  int64_t taken = 0;
  if (s->state != READY) return s->state == FAILED ? TW_EIO : TW_EINVAL;
  if (gone(s)) return TW_EIO;
  while (taken < count && s->state == READY)
    taken += send_some(s, q, taken, delim, dlen);
  return taken;
}

uint32_t tw_sender_id(const tw_sender *s) {
  return s->handle.id;
}

const char *tw_sender_error(const tw_sender *s) {
  return s->error;
}
