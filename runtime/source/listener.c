/* listener.c -- records of every client of a TCP port or a Unix socket.
 *
 *     listening socket -> connections -> queue of those that have something -> next (the owner)
 *
 * The owner reads, when it asks for records and not before: while the pipeline waits nothing
 * is read, and the clients' TCP windows fill. All connections share one buffer; between
 * reads a connection keeps only the record that has not ended (the carry):
 *
 *     input | . . . carry | what is read now ....... tail |
 *                         HEAD
 *
 * The carry is copied in front of what is read, the tail becomes the next carry. One longer
 * than HEAD is read on where it is. Whoever was read comes last in the queue, so that a
 * client that never stops sending does not keep the others waiting.
 *
 * The poll of a connection is stopped only when it reports what is queued already: libuv
 * asks the kernel twice for each stop and start.
 */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "loop/loop.h"
#include "loop/unix.h"
#include "source/address.h"

enum {
  CHUNK = 128 << 10,
  HEAD = 16 << 10,
  BATCH = 2048,
  READS = 64,    /* in one tw_listener_next */
  ACCEPTS = 256, /* at a time */
  RETRY_MS =
      100, /* until accepting is tried again, when there are no descriptors left */
  SMALL = 4 << 10, /* a carry that is always allowed */
  KEEP = 64 << 10, /* a carry's room that need not be given back */
  ALIVE_AFTER =
      60, /* seconds of silence until the kernel asks whether the peer is there */
  ALIVE_EVERY = 10,
  ALIVE_TIMES = 6
};

struct conn {
  uv_poll_t poll; /* first */
  tw_listener *listener;
  struct conn *prev, *next; /* all, in the order in which they were last heard of */
  struct conn *next_ready;
  int fd;
  uint8_t queued, drained, eof;
  char *
      carry; /* len bytes of a record that has not ended; no delimiter before `searched` */
  int64_t len, room, searched;
  int64_t heard; /* ms */
  int64_t
      left; /* once the listener has stopped: bytes that had been received by then */
  tw__address peer;
};

struct tw_listener {
  tw__handle handle; /* first */
  tw_listener_options options;
  char *delim;
  tw__unix place; /* of the Unix socket */
  int is_unix;
  int fd, port, listening, stopping, closing, pending;
  uv_poll_t poll;
  uv_timer_t timer, retry;
  int armed;
  int64_t judged; /* ms: when time was up for the oldest; 0: it is not */
  struct conn *oldest, *newest;
  struct conn *ready, *last_ready;
  int64_t conns, held;
  int64_t count[TW_LISTENER_COUNTS];
  struct conn *current;        /* whose bytes are between at and end */
  const char *at, *scan, *end; /* not yet handed out; not yet searched; the end of it */
  tw_slice lines[BATCH];
  char error[256];
  char input[HEAD + CHUNK];
};

/* ---- lists ----------------------------------------------------------------- */

static int64_t now_ms(const tw_listener *l) {
  return (int64_t)uv_now(l->timer.loop);
}

static void leave_list(struct conn *conn) {
  tw_listener *l = conn->listener;
  if (conn->prev)
    conn->prev->next = conn->next;
  else
    l->oldest = conn->next;
  if (conn->next)
    conn->next->prev = conn->prev;
  else
    l->newest = conn->prev;
}

static void enter_list(struct conn *conn) {
  tw_listener *l = conn->listener;
  conn->heard = now_ms(l);
  conn->next = NULL;
  conn->prev = l->newest;
  if (l->newest)
    l->newest->next = conn;
  else
    l->oldest = conn;
  l->newest = conn;
}

static void touch(struct conn *conn) {
  if (conn->listener->options.idle_ms == 0) return;
  leave_list(conn);
  enter_list(conn);
}

static void enqueue(struct conn *conn) {
  tw_listener *l = conn->listener;
  if (conn->queued) return;
  conn->queued = 1;
  conn->next_ready = NULL;
  if (l->ready)
    l->last_ready->next_ready = conn;
  else
    l->ready = conn;
  l->last_ready = conn;
}

static struct conn *dequeue(tw_listener *l) {
  struct conn *conn = l->ready;
  if (!conn) return NULL;
  l->ready = conn->next_ready;
  conn->queued = 0;
  return conn;
}

/* ---- closing --------------------------------------------------------------- */

static void resume_accepting(tw_listener *l);

static void settled(tw_listener *l) {
  if (--l->pending > 0 || !l->closing) return;
  tw__free(l->delim);
  tw__free(l);
}

static void after_handle_close(uv_handle_t *handle) {
  settled(handle->data);
}

static void after_conn_close(uv_handle_t *handle) {
  struct conn *conn = (struct conn *)handle;
  tw_listener *l = conn->listener;
  tw__free(conn);
  settled(l);
}

static void drop_carry(struct conn *conn) {
  conn->listener->held -= conn->room;
  tw__free(conn->carry);
  conn->carry = NULL;
  conn->len = conn->room = conn->searched = 0;
}

/* It is in no queue. */
static void close_conn(struct conn *conn) {
  tw_listener *l = conn->listener;
  drop_carry(conn);
  leave_list(conn);
  l->conns--;
  uv_close((uv_handle_t *)&conn->poll, after_conn_close);
  close(conn->fd);
  if (!l->stopping) resume_accepting(l);
}

static void close_listening(tw_listener *l) {
  if (l->fd < 0) return;
  if (l->listening) uv_close((uv_handle_t *)&l->poll, after_handle_close);
  l->listening = 0;
  close(l->fd);
  l->fd = -1;
  tw__unix_remove(&l->place);
}

void tw_listener_close(tw_listener *l) {
  if (!l || l->closing) return;
  l->closing = l->stopping = 1;
  tw__loop_detach(&l->handle);
  close_listening(l);
  l->ready = NULL;
  while (l->oldest) close_conn(l->oldest);
  uv_close((uv_handle_t *)&l->timer, after_handle_close);
  uv_close((uv_handle_t *)&l->retry, after_handle_close);
}

static void close_handle(tw__handle *handle) {
  tw_listener_close((tw_listener *)handle);
}

/* ---- connections ------------------------------------------------------------- */

static void readable(uv_poll_t *poll, int status, int events) {
  struct conn *conn = (struct conn *)poll;
  (void)status, (void)events; /* read says what is wrong */
  tw_listener *l = conn->listener;
  if (conn == l->current && conn->drained) {
    conn->drained = 0;
    return;
  }
  if (conn->queued || conn == l->current) {
    uv_poll_stop(poll);
    return;
  }
  enqueue(conn);
  tw__loop_ready(&l->handle);
}

/* libuv itself stops the poll of a connection that is broken, which may have sent something
 * before that: then it is asked again. */
static void listen_to(struct conn *conn) {
  conn->drained = 0;
  if (uv_is_active((uv_handle_t *)&conn->poll)) return;
  uv_poll_start(&conn->poll, UV_READABLE, readable);
}

static void arm(tw_listener *l);

/* Timers fire before descriptors are looked at, so that what has come while we did not run is not
 * known yet: who seems to be silent has until the next millisecond, and one look, to be heard. */
static void sweep(uv_timer_t *timer) {
  tw_listener *l = timer->data;
  if (!l->judged) {
    l->judged = now_ms(l);
    uv_timer_start(&l->timer, sweep, 1, 0);
    return;
  }
  const int64_t before = l->judged - l->options.idle_ms;
  l->armed = 0;
  l->judged = 0;
  while (l->oldest && l->oldest->heard <= before) {
    struct conn *conn = l->oldest;
    if (conn->queued || conn == l->current) { /* it is us who wait */
      touch(conn);
      continue;
    }
    l->count[TW_LISTENER_IDLE]++;
    if (conn->len) l->count[TW_LISTENER_PARTIAL]++;
    close_conn(conn);
  }
  arm(l);
}

static void arm(tw_listener *l) {
  if (l->options.idle_ms == 0 || l->armed || !l->oldest) return;
  const int64_t wait = l->oldest->heard + l->options.idle_ms - now_ms(l);
  l->armed = 1;
  uv_timer_start(&l->timer, sweep, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void watch_peer(int fd) {
  const int on = 1, after = ALIVE_AFTER, every = ALIVE_EVERY, times = ALIVE_TIMES;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#ifdef TCP_KEEPIDLE
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after, sizeof after);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
#endif
}

static struct conn *connected(tw_listener *l, int fd) {
  struct conn *conn = tw__calloc(1, sizeof *conn);
  if (!conn || uv_poll_init(tw__loop_uv(l->handle.loop), &conn->poll, fd)) {
    tw__free(conn);
    close(fd);
    return NULL;
  }
  conn->listener = l;
  conn->fd = fd;
  l->pending++;
  l->conns++;
  l->count[TW_LISTENER_CONNECTIONS]++;
  if (!l->is_unix) watch_peer(fd);
  enter_list(conn);
  arm(l);
  return conn;
}

static void retry(uv_timer_t *timer) {
  resume_accepting(timer->data);
}

/* Returns how many. */
static int accept_some(tw_listener *l) {
  for (int n = 0; n < ACCEPTS; n++) {
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    if (l->conns >= l->options.max_connections) {
      if (l->listening) uv_poll_stop(&l->poll); /* the others wait in the backlog */
      return n;
    }
    const int fd =
        accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        uv_poll_stop(&l->poll);
        uv_timer_start(&l->retry, retry, RETRY_MS, 0);
      }
      return n;
    }
    struct conn *conn = connected(l, fd);
    if (!conn) continue;
    memcpy(&conn->peer, &peer, sizeof conn->peer);
    listen_to(conn);
  }
  return ACCEPTS;
}

static void on_connection(uv_poll_t *poll, int status, int events) {
  tw_listener *l = poll->data;
  (void)events;
  if (status < 0)
    uv_timer_start(&l->retry, retry, RETRY_MS, 0); /* libuv has stopped it */
  accept_some(l);
}

static void resume_accepting(tw_listener *l) {
  if (!l->listening || uv_is_active((uv_handle_t *)&l->poll)) return;
  uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

/* ---- opening ----------------------------------------------------------------- */

static int bind_tcp(tw_listener *l, const char **text) {
  l->port = l->options.port;
  l->fd = tw__address_bind(SOCK_STREAM, l->options.host, &l->port, text);
  return l->fd < 0 ? -1 : 0;
}

static int bind_unix(tw_listener *l, const char **text) {
  l->fd = tw__unix_bind(&l->place, l->options.path, text);
  return l->fd < 0 ? -1 : 0;
}

tw_listener *tw_listener_open(tw_loop *loop, const tw_listener_options *options,
                              char *error, int64_t size) {
  const char *text = "no memory";
  tw_listener *l = options->dlen > 0 ? tw__calloc(1, sizeof *l) : NULL;
  if (!l) {
    snprintf(error, (size_t)size, "%s",
             options->dlen > 0 ? text : "an empty delimiter");
    return NULL;
  }
  l->fd = -1;
  l->options = *options;
  l->is_unix = options->path != NULL;
  uv_timer_init(tw__loop_uv(loop), &l->timer);
  uv_timer_init(tw__loop_uv(loop), &l->retry);
  l->timer.data = l->retry.data = l;
  l->pending = 2;
  tw__loop_attach(loop, &l->handle, close_handle);
  l->delim = tw__mem_copy(options->delim, options->dlen);
  if (!l->delim) goto fail;
  text = NULL;
  if (options->path ? bind_unix(l, &text) : bind_tcp(l, &text)) {
    if (!text) text = strerror(errno);
    goto fail;
  }
  return l;

fail:
  snprintf(error, (size_t)size, "%s", text);
  tw_listener_close(l);
  return NULL;
}

int tw_listener_listen(tw_listener *l, char *error, int64_t size) {
  int rc = listen(l->fd, l->options.backlog) ? -errno : 0;
  if (!rc) rc = uv_poll_init(tw__loop_uv(l->handle.loop), &l->poll, l->fd);
  if (rc) {
    snprintf(error, (size_t)size, "%s", strerror(-rc));
    return TW_EIO;
  }
  l->poll.data = l;
  l->pending++;
  l->listening = 1;
  resume_accepting(l);
  return TW_OK;
}

void tw_listener_stop(tw_listener *l) {
  if (l->stopping) return;
  if (l->listening)
    while (accept_some(l) == ACCEPTS) {
    }
  l->stopping = 1;
  close_listening(l);
  uv_timer_stop(&l->timer);
  uv_timer_stop(&l->retry);
  for (struct conn *conn = l->oldest; conn; conn = conn->next) {
    int n = 0;
    if (ioctl(conn->fd, FIONREAD, &n)) n = 0;
    conn->left = n;
    uv_poll_stop(&conn->poll);
    if (conn != l->current) enqueue(conn);
  }
  tw__loop_ready(&l->handle);
}

/* ---- reading ----------------------------------------------------------------- */

/* Reads up to room bytes. Sets what is known of the connection after. Returns how many, or -1:
 * the connection is broken. */
static int64_t receive(struct conn *conn, char *to, int64_t room) {
  tw_listener *l = conn->listener;
  if (l->stopping && room > conn->left) room = conn->left;
  ssize_t n;
  do {
    n = room ? recv(conn->fd, to, (size_t)room, 0) : -1;
  } while (n < 0 && room && errno == EINTR);
  if (n < 0 && (!room || errno == EAGAIN)) {
    conn->drained = 1;
    n = 0;
  } else if (n < 0) {
    return -1;
  } else if (n == 0) {
    conn->eof = 1;
  } else if (n < room) {
    conn->drained = 1;
  }
  if (l->stopping) {
    char next;
    conn->left = n ? conn->left - n : 0;
    if (conn->left <= 0 && recv(conn->fd, &next, 1, MSG_PEEK) == 0) conn->eof = 1;
  }
  l->count[TW_LISTENER_BYTES] += n;
  if (n) touch(conn);
  return n;
}

/* Room for so many bytes of a record that has not ended. */
static int grow(struct conn *conn, int64_t least) {
  tw_listener *l = conn->listener;
  if (least <= conn->room) return TW_OK;
  int64_t room = conn->room ? conn->room : 256;
  while (room < least) room *= 2;
  if (room > SMALL && l->held + room - conn->room > l->options.max_held)
    return TW_ENOMEM;
  char *grown = tw__realloc(conn->carry, (size_t)room);
  if (!grown) return TW_ENOMEM;
  l->held += room - conn->room;
  conn->carry = grown;
  conn->room = room;
  return TW_OK;
}

/* The connection's record will not be taken, nor what comes after it. */
static int refuse(struct conn *conn, const char *what, int64_t limit) {
  tw_listener *l = conn->listener;
  char peer[80];
  tw__address_name(&conn->peer, peer, sizeof peer);
  snprintf(l->error, sizeof l->error, "%s: a record of more than %lld bytes (%s)", peer,
           (long long)limit, what);
  l->count[TW_LISTENER_REFUSED]++;
  l->current = NULL;
  close_conn(conn);
  return TW_EPARSE;
}

static int too_long(struct conn *conn) {
  return refuse(conn, "max_record", conn->listener->options.max_record);
}

static int no_room(struct conn *conn) {
  return refuse(conn, "no memory for more", conn->len);
}

static int broken(struct conn *conn) {
  tw_listener *l = conn->listener;
  l->count[TW_LISTENER_BROKEN]++;
  if (conn->len) l->count[TW_LISTENER_PARTIAL]++;
  close_conn(conn);
  return 0;
}

/* Has what a connection has sent between at and end. Returns 1, 0: it is gone, or a status. */
static int read_from(struct conn *conn) {
  tw_listener *l = conn->listener;
  char *start, *data;
  int64_t room = CHUNK;
  if (conn->len <= HEAD) {
    data = l->input + HEAD;
    start = data - conn->len;
    if (conn->len) memcpy(start, conn->carry, (size_t)conn->len);
  } else {
    if (grow(conn, conn->len + HEAD)) return no_room(conn);
    start = conn->carry;
    data = start + conn->len;
    room = conn->room - conn->len;
  }
  const int64_t n = receive(conn, data, room);
  if (n < 0) return broken(conn);
  l->current = conn;
  l->at = start;
  l->scan = start + conn->searched;
  l->end = data + n;
  return 1;
}

/* Keep what has not ended, and see to it that the connection is heard again, or closed.
 * Returns 0, 1: a last record, or a status. */
static int put_by(tw_listener *l) {
  struct conn *conn = l->current;
  const int64_t tail = l->end - l->at, searched = l->scan - l->at;
  if (conn->eof || (l->stopping && conn->left <= 0)) {
    if (tail && conn->eof && l->options.partial) {
      if (tail > l->options.max_record) return too_long(conn);
      l->lines[0] = (tw_slice){l->at, tail};
      l->at = l->scan = l->end;
      return 1;
    }
    if (tail) l->count[TW_LISTENER_PARTIAL]++;
    l->current = NULL;
    close_conn(conn);
    return 0;
  }
  if (tail > l->options.max_record + l->options.dlen) return too_long(conn);
  if (l->at >= conn->carry && conn->carry && l->at <= conn->carry + conn->room) {
    memmove(conn->carry, l->at, (size_t)tail);
  } else if (tail) {
    conn->len = 0;
    if (grow(conn, tail)) {
      conn->len = tail;
      return no_room(conn);
    }
    memcpy(conn->carry, l->at, (size_t)tail);
  }
  if (tail == 0 || (conn->room > KEEP && tail < conn->room / 4)) {
    char *less = tail ? tw__malloc((size_t)tail) : NULL;
    if (less || !tail) {
      if (tail) memcpy(less, conn->carry, (size_t)tail);
      drop_carry(conn);
      conn->carry = less;
      conn->room = tail;
      l->held += tail;
    }
  }
  conn->len = tail;
  conn->searched = searched;
  l->current = NULL;
  if (conn->drained && !l->stopping)
    listen_to(conn);
  else
    enqueue(conn);
  return 0;
}

/* Of n records, those before the first that is too long. */
static int within_limit(const tw_listener *l, int n) {
  for (int i = 0; i < n; i++)
    if (l->lines[i].len > l->options.max_record) return i;
  return n;
}

/* Records between at and end: how many, 0: none has ended, or a status. */
static int cut(tw_listener *l) {
  const int64_t dlen = l->options.dlen;
  const int64_t found = tw_view_find(l->scan, l->end - l->scan, l->delim, dlen);
  if (found < 0) {
    const char *scan = l->end - (dlen - 1);
    if (scan > l->scan) l->scan = scan;
    return 0;
  }
  const char *stop = l->scan + found;
  int64_t used;
  l->lines[0] = (tw_slice){l->at, stop - l->at};
  stop += dlen;
  int n = 1 + tw_lines_split(stop, l->end - stop, l->delim, dlen, l->lines + 1,
                             BATCH - 1, &used);
  if (l->end - l->at > l->options.max_record) {
    const int good = within_limit(l, n);
    if (good == 0) return too_long(l->current);
    if (good < n) { /* those before it first */
      l->at = l->scan = l->lines[good].ptr;
      return good;
    }
  }
  l->at = l->scan = stop + used;
  return n;
}

int tw_listener_next(tw_listener *l) {
  for (int reads = 0;; reads++) {
    if (l->current) {
      int n = l->scan < l->end ? cut(l) : 0;
      if (n == 0) n = put_by(l);
      if (n) return n;
    }
    if (reads == READS && l->ready) { /* others have something to do, too */
      tw__loop_ready(&l->handle);
      return TW_AGAIN;
    }
    struct conn *conn = dequeue(l);
    if (!conn) return l->stopping ? TW_EOF : TW_AGAIN;
    const int rc = read_from(conn);
    if (rc < 0) return rc;
  }
}

int tw_listener_port(const tw_listener *l) {
  return l->port;
}

uint32_t tw_listener_id(const tw_listener *l) {
  return l->handle.id;
}

const tw_slice *tw_listener_lines(const tw_listener *l) {
  return l->lines;
}

int64_t tw_listener_count(const tw_listener *l, int what) {
  if (what == TW_LISTENER_OPEN) return l->conns;
  return what < 0 || what >= TW_LISTENER_COUNTS ? TW_EINVAL : l->count[what];
}

const char *tw_listener_error(const tw_listener *l) {
  return l->error;
}
