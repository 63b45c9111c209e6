/* textfile.c -- files read ahead, decompressed and cut into records.
 *
 *      file --- fill ---> queue of filled chunks --- cut (the owner) ---> slices
 *        ^                                                 |
 *        '---------------- stack of spare chunks <---------'
 *
 * What is in the page cache is read by the owner itself, chunk by chunk (RWF_NOWAIT
 * says when it is not): two chunks that stay in the second-level cache, no handing
 * over, the speed of wc. What would have to be waited for is read ahead by a job on
 * libuv's thread pool, which fills spare chunks, in order, until none is left, the file
 * ends, or the owner waits; the owner starts the next job when half of them are spare
 * again. Archives are always unpacked by jobs. One job at a time, so that one thread at
 * a time touches the descriptor and the decompressor. Pipes, terminals and sockets are
 * read by the owner, when poll(2) says that there is something.
 *
 *     chunk.mem | . . . carry | data ............. tail |
 *                             HEAD                      HEAD + len
 *
 * The tail, a record that goes on in the next chunk, is copied in front of that chunk's
 * data (the carry), so that records are whole in memory. When it does not fit there,
 * the record is collected in `big`, chunk by chunk, until it ends.
 *
 * Measured over a 580 MB log in page cache, 2 cores: wc -l 19 ns a line; this 20 with
 * chunks of 96 or 128 KB of which two are in use; 28 with 256 KB or more; 45 with all
 * reading on the pool, more on busy cores.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "codec/inflate.h"
#include "core/mem.h"
#include "loop/loop.h"

enum {
  CHUNK = 128 << 10,
  CHUNKS = 8,
  HEAD = 16 << 10,
  RAW = 64 << 10, /* compressed bytes at a time */
  BATCH = 2048,
  JOBS = 4,  /* that may wait for their after_job at a time */
  COLD = 64, /* chunks to leave to jobs once something was not in the page cache */
  ALWAYS = INT_MAX
};

struct chunk {
  char *mem;
  int64_t len; /* bytes at mem + HEAD */
  int status;  /* TW_OK, or why nothing comes after this chunk */
};

struct tw_textfile {
  tw__handle handle; /* first */

  /* Set at open. */
  char *name, *delim;
  int64_t dlen, max_line;
  int fd, partial, waits; /* waits: pipes and the like */
  int leave_at_end;       /* close sets the descriptor's position */

  /* The filler's: the job that is under way, else the owner. */
  int64_t offset; /* where pread continues; -1: read */
  int64_t until;  /* where what is read of a file ends */
  int64_t taken;  /* bytes of the file used so far, from where it stood */
  char *prefix;   /* what stdio had read already, not yet used */
  int64_t prefix_at, prefix_len;
  tw__inflate *inflate;
  char *raw;
  int64_t raw_at, raw_len;
  int raw_ended, more; /* more: the decompressor may give without input */
  int now, never_now;  /* read only what is in the page cache; that cannot be asked */
  char why[256];       /* of a chunk's status; the owner's once that is seen */

  /* Under lock, also whose turn the filler's part is. A chunk is spare, being filled,
   * filled, or held by the owner. */
  uv_mutex_t lock;
  struct chunk chunk[CHUNKS];
  int spare[CHUNKS], spares;  /* a stack */
  int queue[CHUNKS];          /* the filled ones, oldest at taken_out % CHUNKS */
  uint32_t filled, taken_out; /* chunks, ever */
  int running, over, stop, waiting;

  /* The owner's. */
  int held;               /* the chunk that at .. end is in; -1: none */
  int cold;               /* how many chunks are still left to jobs */
  int last_status, ended; /* of the chunk taken last; what next returns from now on */
  const char *at, *scan, *end; /* not yet delivered; not yet searched; the end of it */
  int64_t position;            /* of at, in the (decompressed) text */
  char *big;
  int64_t big_room;
  uv_work_t job[JOBS];
  int job_used[JOBS], pending; /* pending: callbacks still to come */
  uv_poll_t poll;
  int closing;
  tw_slice lines[BATCH];
  char error[1024];
};

/* ---- filling ------------------------------------------------------------- */

static void why(tw_textfile *f, const char *text) {
  snprintf(f->why, sizeof f->why, "byte %lld: %s", (long long)f->taken, text);
}

/* pread of what is in the page cache; -1 and EAGAIN when it is not. */
static ssize_t read_now(tw_textfile *f, char *buf, int64_t room) {
#ifdef RWF_NOWAIT
  struct iovec part = {.iov_base = buf, .iov_len = (size_t)room};
  const ssize_t n = preadv2(f->fd, &part, 1, f->offset, RWF_NOWAIT);
  /* Linux 5.9 and 5.10 say 0 also in the middle of a file: preadv2(2), BUGS */
  if (n == 0) return pread(f->fd, buf, (size_t)room, f->offset);
  if (n > 0 || errno == EAGAIN || errno == EINTR) return n;
#else
  (void)buf, (void)room;
#endif
  /* procfs, FUSE ... do not know the flag: jobs read all, and say what is wrong */
  f->never_now = 1;
  errno = EAGAIN;
  return -1;
}

/* Bytes of the file into buf. Returns how many, 0 at the end, -1 with errno. */
static int64_t read_some(tw_textfile *f, char *buf, int64_t room) {
  if (f->prefix_at < f->prefix_len) {
    const int64_t n =
        room < f->prefix_len - f->prefix_at ? room : f->prefix_len - f->prefix_at;
    memcpy(buf, f->prefix + f->prefix_at, (size_t)n);
    f->prefix_at += n;
    return n;
  }
  if (f->offset >= 0 && room > f->until - f->offset) room = f->until - f->offset;
  if (room <= 0) return 0;
  ssize_t n;
  do {
    n = f->offset < 0 ? read(f->fd, buf, (size_t)room)
        : f->now      ? read_now(f, buf, room)
                      : pread(f->fd, buf, (size_t)room, f->offset);
  } while (n < 0 && errno == EINTR);
  if (n > 0 && f->offset >= 0) f->offset += n;
  return n;
}

static int read_failed(tw_textfile *f) {
  why(f, strerror(errno));
  return TW_EIO;
}

static int fill_plain(tw_textfile *f, char *data, int64_t *len) {
  while (*len < CHUNK) {
    const int64_t n = read_some(f, data + *len, CHUNK - *len);
    if (n < 0 && errno == EAGAIN) return TW_OK;
    if (n < 0) return read_failed(f);
    if (n == 0) return TW_EOF;
    *len += n;
    f->taken += n;
    if (f->waits) return TW_OK; /* the next read might wait */
  }
  return TW_OK;
}

static int fill_inflated(tw_textfile *f, char *data, int64_t *len) {
  int asked = 0;
  while (*len < CHUNK) {
    if (f->raw_at == f->raw_len && !f->raw_ended && !f->more) {
      if (f->waits && asked) return TW_OK;
      asked = 1;
      const int64_t n = read_some(f, f->raw, RAW);
      if (n < 0 && errno == EAGAIN) return TW_OK;
      if (n < 0) return read_failed(f);
      f->raw_at = 0;
      f->raw_len = n;
      f->raw_ended = n == 0;
    }
    size_t used = 0, made = 0;
    const size_t room = (size_t)(CHUNK - *len);
    int rc = tw__inflate_step(f->inflate, f->raw + f->raw_at,
                              (size_t)(f->raw_len - f->raw_at), &used, data + *len,
                              room, &made);
    f->raw_at += (int64_t)used;
    f->taken += (int64_t)used;
    *len += (int64_t)made;
    f->more = made == room;
    if (rc == TW_OK && f->raw_ended && !f->more && f->raw_at == f->raw_len) {
      rc = tw__inflate_finish(f->inflate);
      if (rc == TW_OK) return TW_EOF;
    }
    if (rc) {
      why(f, tw__inflate_text(f->inflate));
      return rc;
    }
  }
  return TW_OK;
}

static void fill(tw_textfile *f, struct chunk *chunk) {
  chunk->len = 0;
  if (!chunk->mem) chunk->mem = tw__malloc(HEAD + CHUNK);
  if (!chunk->mem) {
    why(f, "no memory");
    chunk->status = TW_ENOMEM;
    return;
  }
  chunk->status = f->inflate ? fill_inflated(f, chunk->mem + HEAD, &chunk->len)
                             : fill_plain(f, chunk->mem + HEAD, &chunk->len);
}

static void job(uv_work_t *req) {
  tw_textfile *f = req->data;
  uv_mutex_lock(&f->lock);
  while (f->spares && !f->over && !f->stop) {
    const int id = f->spare[--f->spares];
    uv_mutex_unlock(&f->lock);
    fill(f, &f->chunk[id]);
    uv_mutex_lock(&f->lock);
    f->queue[f->filled++ % CHUNKS] = id;
    if (f->chunk[id].status) f->over = 1;
    if (f->waiting) break; /* its after_job wakes the owner */
  }
  f->running = 0;
  uv_mutex_unlock(&f->lock);
}

/* ---- closing ------------------------------------------------------------- */

static void destroy(tw_textfile *f) {
  uv_mutex_destroy(&f->lock);
  if (f->fd >= 0) close(f->fd);
  tw__inflate_close(f->inflate);
  for (int i = 0; i < CHUNKS; i++) tw__free(f->chunk[i].mem);
  tw__free(f->raw);
  tw__free(f->prefix);
  tw__free(f->big);
  tw__free(f->name);
  tw__free(f->delim);
  tw__free(f);
}

/* One callback less is to come; the last one frees what was closed meanwhile. */
static void settled(tw_textfile *f) {
  f->pending--;
  if (f->closing && f->pending == 0) destroy(f);
}

static void after_job(uv_work_t *req, int status) {
  tw_textfile *f = req->data;
  (void)status;
  f->job_used[req - f->job] = 0;
  tw__loop_ready(&f->handle);
  settled(f);
}

static void after_poll_close(uv_handle_t *handle) {
  settled(handle->data);
}

void tw_textfile_close(tw_textfile *f) {
  if (!f || f->closing) return;
  uv_mutex_lock(&f->lock);
  f->stop = 1;
  uv_mutex_unlock(&f->lock);
  tw__loop_detach(&f->handle);
  if (f->leave_at_end) (void)lseek(f->fd, f->position, SEEK_SET);
  if (f->waits) uv_close((uv_handle_t *)&f->poll, after_poll_close);
  f->closing = 1;
  if (f->pending == 0) destroy(f);
}

void tw_textfile_leave(tw_textfile *f, int64_t position) {
  f->position = position;
}

static void close_handle(tw__handle *handle) {
  tw_textfile_close((tw_textfile *)handle);
}

/* ---- opening ------------------------------------------------------------- */

/* What stdio has read from a pipe and not given out yet can only be had through it. */
static int take_prefix(tw_textfile *f, FILE *file) {
#if defined(__GLIBC__)
  const int64_t held = file->_IO_read_end - file->_IO_read_ptr;
#else
  const int64_t held = 0;
#endif
  if (held <= 0) return TW_OK;
  f->prefix = tw__malloc((size_t)held);
  if (!f->prefix) return TW_ENOMEM;
  f->prefix_len = (int64_t)fread(f->prefix, 1, (size_t)held, file);
  return TW_OK;
}

/* The descriptor to read: a duplicate when it was given, so that closing is ours. */
static int open_fd(const tw_textfile_options *o, int64_t *offset) {
  *offset = 0;
  if (o->file) {
    FILE *file = o->file;
    *offset = (int64_t)ftello(file);
    return fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
  }
  if (o->fd >= 0) {
    *offset = (int64_t)lseek(o->fd, 0, SEEK_CUR);
    return fcntl(o->fd, F_DUPFD_CLOEXEC, 0);
  }
  /* O_NONBLOCK: a FIFO without a writer must not hold up the loop. */
  return open(o->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static void readable(uv_poll_t *poll, int status, int events) {
  tw_textfile *f = poll->data;
  (void)status, (void)events;
  uv_poll_stop(poll);
  tw__loop_ready(&f->handle);
}

/* Descriptors that epoll takes are waited for; others (character devices) go to the
 * pool. */
static void open_poll(tw_textfile *f, uv_loop_t *uv) {
  const int flags = fcntl(f->fd, F_GETFL);
  if (uv_poll_init(uv, &f->poll, f->fd)) return;
  if (flags >= 0) fcntl(f->fd, F_SETFL, flags); /* others share the description */
  f->poll.data = f;
  f->waits = 1;
  f->pending++;
}

/* Decide how to read. Returns NULL or what is wrong. */
static const char *open_reading(tw_textfile *f, const tw_textfile_options *o,
                                int64_t offset, tw_loop *loop) {
  struct stat st;
  if (fstat(f->fd, &st)) return strerror(errno);
  if (S_ISDIR(st.st_mode)) return strerror(EISDIR);
  if (S_ISREG(st.st_mode)) {
    f->offset = offset < 0 ? 0 : offset;
    if (o->start > 0) f->offset = o->start;
    if (o->from_end) f->offset = (int64_t)st.st_size;
    f->taken = f->position = f->offset;
    f->leave_at_end = o->fd >= 0 && !o->file && !f->inflate;
    if (f->inflate) f->cold = ALWAYS;
    return NULL;
  }
  f->offset = -1;
  if (o->from_end) return "only a regular file has an end to start from";
  if (o->file && take_prefix(f, o->file)) return "no memory";
  f->cold = ALWAYS;
  open_poll(f, tw__loop_uv(loop));
  return NULL;
}

static void pump(tw_textfile *f); /* below, with taking */

tw_textfile *tw_textfile_open(tw_loop *loop, const tw_textfile_options *o, char *error,
                              int64_t size) {
  const char *text = "no memory";
  int64_t offset;
  if (size > 0) *error = 0;
  tw_textfile *f = NULL;
  if (o->dlen < 1) {
    text = "an empty delimiter";
    goto fail;
  }
  f = tw__calloc(1, sizeof *f);
  if (!f) goto fail;
  f->fd = f->held = -1;
  for (int i = 0; i < CHUNKS; i++) f->spare[f->spares++] = i;
  if (uv_mutex_init(&f->lock)) {
    tw__free(f);
    f = NULL;
    goto fail;
  }
  f->max_line = o->max_line;
  f->partial = o->partial;
  f->until = o->stop > 0 ? o->stop : INT64_MAX;
  f->name = tw__mem_copy(o->name, (int64_t)strlen(o->name));
  f->delim = tw__mem_copy(o->delim, o->dlen);
  f->dlen = o->dlen;
  if (!f->name || !f->delim) goto fail;
  if (o->encoding != TW_ENCODING_NONE) {
    f->inflate = tw__inflate_open(o->encoding);
    f->raw = tw__malloc(RAW);
    if (!f->inflate || !f->raw) goto fail;
  }
  f->fd = open_fd(o, &offset);
  text = f->fd < 0 ? strerror(errno) : open_reading(f, o, offset, loop);
  if (text) goto fail;
  if (f->inflate) f->position = 0;

  tw__loop_attach(loop, &f->handle, close_handle);
  if (f->cold && !f->waits) pump(f);
  return f;

fail:
  if (size > 0) snprintf(error, (size_t)size, "%s: %s", o->name, text);
  if (f) destroy(f);
  return NULL;
}

/* ---- taking -------------------------------------------------------------- */

/* Start a job when there is something worth doing and none is under way. */
static void pump(tw_textfile *f) {
  int slot = 0;
  while (slot < JOBS && f->job_used[slot]) slot++;
  if (slot == JOBS) return; /* an after_job is due, and then this is tried again */
  uv_mutex_lock(&f->lock);
  const int start = !f->running && !f->over && !f->stop && f->spares >= CHUNKS / 2;
  if (start) f->running = 1;
  uv_mutex_unlock(&f->lock);
  if (!start) return;
  f->job_used[slot] = 1;
  f->job[slot].data = f;
  f->pending++;
  uv_queue_work(tw__loop_uv(f->handle.loop), &f->job[slot], job, after_job);
}

/* The owner fills a spare chunk itself, no job being under way. Returns it, or -1 when
 * there was nothing to be had without waiting. */
static int fill_here(tw_textfile *f) {
  uv_mutex_lock(&f->lock);
  const int id = f->spare[--f->spares];
  uv_mutex_unlock(&f->lock);
  fill(f, &f->chunk[id]);
  if (f->chunk[id].len || f->chunk[id].status) return id;
  uv_mutex_lock(&f->lock);
  f->spare[f->spares++] = id;
  uv_mutex_unlock(&f->lock);
  return -1;
}

/* The next chunk, -1 when there is none yet. */
static int take_waited(tw_textfile *f) {
  struct pollfd fd = {.fd = f->fd, .events = POLLIN};
  int id = -1;
  if (f->prefix_at < f->prefix_len || f->more || poll(&fd, 1, 0) != 0)
    id = fill_here(f);
  if (id < 0) uv_poll_start(&f->poll, UV_READABLE, readable);
  return id;
}

static int take_cached(tw_textfile *f) {
  f->now = 1;
  const int id = fill_here(f);
  f->now = 0;
  if (id < 0) f->cold = f->never_now ? ALWAYS : COLD;
  return id;
}

static int take_read(tw_textfile *f) {
  uv_mutex_lock(&f->lock);
  int id = f->filled != f->taken_out ? f->queue[f->taken_out++ % CHUNKS] : -1;
  f->waiting = id < 0;
  const int running = f->running;
  uv_mutex_unlock(&f->lock);
  if (id < 0 && !running && !f->cold)
    id = take_cached(f);
  else if (id >= 0 && f->cold > 0 && f->cold != ALWAYS)
    f->cold--;
  if (f->cold) pump(f);
  return id;
}

static void give_back(tw_textfile *f, int id) {
  if (id < 0) return;
  uv_mutex_lock(&f->lock);
  f->spare[f->spares++] = id;
  uv_mutex_unlock(&f->lock);
}

static int fail(tw_textfile *f, int status, const char *text) {
  snprintf(f->error, sizeof f->error, "%s: %s", f->name, text);
  f->at = f->end;
  return f->ended = status;
}

static int no_memory(tw_textfile *f) {
  char text[64];
  snprintf(text, sizeof text, "byte %lld: no memory for this line",
           (long long)f->position);
  return fail(f, TW_ENOMEM, text);
}

/* Collect the record that has not ended in `big`, with the chunk appended. */
static int join_big(tw_textfile *f, int id) {
  const struct chunk *chunk = &f->chunk[id];
  const int64_t carry = f->end - f->at, searched = f->scan - f->at;
  const int64_t size = carry + chunk->len;
  char *big = f->big;
  if (size > f->big_room) {
    const int64_t room = size > 2 * f->big_room ? size + CHUNK : 2 * f->big_room;
    big = tw__malloc((size_t)room);
    if (!big) return no_memory(f);
    f->big_room = room;
  }
  memmove(big, f->at, (size_t)carry);
  memcpy(big + carry, chunk->mem + HEAD, (size_t)chunk->len);
  if (big != f->big) {
    tw__free(f->big);
    f->big = big;
  }
  f->at = big;
  f->scan = big + searched;
  f->end = big + size;
  give_back(f, f->held); /* where the record began */
  give_back(f, id);
  f->held = -1;
  return TW_OK;
}

static void join(tw_textfile *f, int id) {
  const struct chunk *chunk = &f->chunk[id];
  const int64_t carry = f->end - f->at, searched = f->scan - f->at;
  char *data = chunk->mem + HEAD;
  if (carry) memcpy(data - carry, f->at, (size_t)carry);
  f->at = data - carry;
  f->scan = f->at + searched;
  f->end = data + chunk->len;
  give_back(f, f->held);
  f->held = id;
  if (f->big) {
    tw__free(f->big);
    f->big = NULL;
    f->big_room = 0;
  }
}

/* Have more bytes between at and end. */
static int advance(tw_textfile *f) {
  const int id = f->waits ? take_waited(f) : take_read(f);
  if (id < 0) return TW_AGAIN;
  f->last_status = f->chunk[id].status;
  if (f->chunk[id].len == 0) { /* nothing but its status, so the last one */
    give_back(f, id);
    return TW_OK;
  }
  if (f->end - f->at > HEAD) return join_big(f, id);
  join(f, id);
  return TW_OK;
}

/* ---- cutting ------------------------------------------------------------- */

static int too_long(tw_textfile *f) {
  char text[128];
  snprintf(text, sizeof text, "byte %lld: a line of more than %lld bytes (max_line)",
           (long long)f->position, (long long)f->max_line);
  return fail(f, TW_EPARSE, text);
}

/* Of n records, those before the first that is too long. */
static int within_limit(tw_textfile *f, int n) {
  int64_t used = 0;
  for (int i = 0; i < n; i++) {
    if (f->lines[i].len > f->max_line) {
      f->position += used;
      (void)too_long(f);
      return i > 0 ? i : f->ended;
    }
    used += f->lines[i].len + f->dlen;
  }
  return n;
}

/* Where the first record between at and end ends, or NULL; what was searched is not
 * searched again. */
static const char *first_end(tw_textfile *f) {
  const int64_t at = tw_view_find(f->scan, f->end - f->scan, f->delim, f->dlen);
  if (at >= 0) return f->scan + at;
  const char *scan = f->end - (f->dlen - 1);
  if (scan > f->scan) f->scan = scan;
  return NULL;
}

static int cut(tw_textfile *f) {
  const char *stop = first_end(f);
  if (!stop) {
    if (f->max_line && f->end - f->at > f->max_line + f->dlen) return too_long(f);
    return 0;
  }
  int64_t used;
  f->lines[0] = (tw_slice){f->at, stop - f->at};
  stop += f->dlen;
  int n = 1 + tw_lines_split(stop, f->end - stop, f->delim, f->dlen, f->lines + 1,
                             BATCH - 1, &used);
  stop += used;
  if (f->max_line) {
    const int good = within_limit(f, n);
    if (f->ended) return good;
  }
  f->position += stop - f->at;
  f->at = f->scan = stop;
  return n;
}

/* The file has ended, or cannot be read further. */
static int finish(tw_textfile *f) {
  if (f->last_status != TW_EOF) return fail(f, f->last_status, f->why);
  f->ended = TW_EOF;
  if (f->at == f->end || !f->partial) return TW_EOF;
  if (f->max_line && f->end - f->at > f->max_line) return too_long(f);
  f->lines[0] = (tw_slice){f->at, f->end - f->at};
  f->position += f->end - f->at;
  f->at = f->end;
  return 1;
}

int tw_textfile_next(tw_textfile *f) {
  while (!f->ended) {
    if (f->scan < f->end) {
      const int n = cut(f);
      if (n) return n;
    }
    if (f->ended) break;
    if (f->last_status) return finish(f);
    const int rc = advance(f);
    if (rc) return rc;
  }
  return f->ended;
}

int tw_textfile_block(tw_textfile *f, int64_t used, tw_slice *block) {
  if (used) {
    f->at += used;
    f->scan = f->at;
    f->position += used;
  }
  const int64_t len = f->end - f->at;
  int rc;
  while (!f->ended && f->end - f->at == len) {
    if (f->last_status == TW_EOF)
      f->ended = TW_EOF;
    else if (f->last_status)
      return fail(f, f->last_status, f->why);
    else if ((rc = advance(f)) != TW_OK)
      return rc;
  }
  *block = (tw_slice){f->at, f->end - f->at};
  return f->ended ? f->ended : 1;
}

uint32_t tw_textfile_id(const tw_textfile *f) {
  return f->handle.id;
}

const tw_slice *tw_textfile_lines(const tw_textfile *f) {
  return f->lines;
}

int64_t tw_textfile_position(const tw_textfile *f) {
  return f->position;
}

const char *tw_textfile_error(const tw_textfile *f) {
  return f->error;
}
