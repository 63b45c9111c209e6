/* textfile.c -- records written to a file through a buffer.
 *
 * An element is either taken, wholly, or not at all: put first makes sure that the
 * buffer is below its limit, which may fail, then appends, which cannot tear. What
 * could not be written stays in the buffer, in order, and is tried again by the next
 * put or flush.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/number.h"
#include "core/mem.h"
#include "sink/stdout.h"
#include "tideway.h"

enum { LIMIT = 64 << 10 };

struct tw_textsink {
  int fd;
  int is_stdout; /* threads may share it */
  char *name, *delim;
  int64_t dlen;
  char *buf; /* len of room bytes are waiting */
  int64_t len, room;
  int64_t written; /* offset in the file of what comes next; what was there counts */
  int64_t synced;  /* what of it the disk has, as far as is known */
  int64_t limit;   /* how large the file may become; 0: as it likes */
  char error[1024];
};

static void discard(tw_textsink *s) {
  if (s->fd >= 0) close(s->fd);
  tw__free(s->name);
  tw__free(s->delim);
  tw__free(s->buf);
  tw__free(s);
}

/* The directory of a path, or what is wrong with its length. */
static const char *check_folder(const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  if (!slash) return access(".", W_OK | X_OK) ? strerror(errno) : NULL;
  const size_t len = slash == path ? 1 : (size_t)(slash - path);
  if (len >= sizeof folder) return strerror(ENAMETOOLONG);
  memcpy(folder, path, len);
  folder[len] = 0;
  return access(folder, W_OK | X_OK) ? strerror(errno) : NULL;
}

const char *tw_textsink_check(const char *path) {
  struct stat st;
  if (stat(path, &st)) return errno == ENOENT ? check_folder(path) : strerror(errno);
  if (S_ISDIR(st.st_mode)) return strerror(EISDIR);
  return access(path, W_OK) ? strerror(errno) : NULL;
}

tw_textsink *tw_textsink_open(const char *name, int fd, int truncate, const char *delim,
                              int64_t dlen, char *error, int64_t size) {
  const char *text = "no memory";
  const int how =
      O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (truncate ? O_TRUNC : O_APPEND);
  tw_textsink *s = tw__calloc(1, sizeof *s);
  if (!s) goto fail;
  s->fd = -1;
  s->name = tw__mem_copy(name, (int64_t)strlen(name));
  s->delim = tw__mem_copy(delim, dlen);
  s->dlen = dlen;
  s->room = LIMIT;
  s->is_stdout = fd == STDOUT_FILENO;
  s->buf = tw__malloc(LIMIT);
  if (!s->name || !s->delim || !s->buf) goto fail;
  s->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : open(name, how, 0666);
  if (s->fd < 0) {
    text = strerror(errno);
    goto fail;
  }
  const off_t at = lseek(s->fd, 0, fd >= 0 ? SEEK_CUR : SEEK_END);
  s->written = s->synced = at > 0 ? (int64_t)at : 0;
  return s;

fail:
  if (size > 0) snprintf(error, (size_t)size, "%s: %s", name, text);
  if (s) discard(s);
  return NULL;
}

int tw_textsink_close(tw_textsink *s) {
  if (!s) return TW_OK;
  int rc = tw_textsink_flush(s);
  if (close(s->fd) && errno != EINTR && rc == TW_OK) rc = TW_EIO; /* NFS, quotas */
  s->fd = -1;
  discard(s);
  return rc;
}

/* ---- writing ------------------------------------------------------------- */

static int fail(tw_textsink *s, int status, const char *text) {
  snprintf(s->error, sizeof s->error, "%s: byte %lld: %s", s->name,
           (long long)s->written, text);
  return status;
}

static void wait_writable(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  (void)poll(&p, 1, -1);
}

/* Write what is in the buffer, all of which are whole records. */
static int write_out(tw_textsink *s) {
  int64_t done = 0;
  int rc = TW_OK;
  while (done < s->len) {
    const ssize_t n = write(s->fd, s->buf + done, (size_t)(s->len - done));
    if (n > 0) {
      done += n;
      s->written += n;
    } else if (n < 0 && errno == EAGAIN) {
      wait_writable(s->fd);
    } else if (n == 0 || errno != EINTR) {
      rc = fail(s, TW_EIO, n == 0 ? "nothing more can be written" : strerror(errno));
      break;
    }
  }
  memmove(s->buf, s->buf + done, (size_t)(s->len - done));
  s->len -= done;
  return rc;
}

int tw_textsink_flush(tw_textsink *s) {
  if (s->is_stdout) tw__stdout_lock();
  const int rc = write_out(s);
  if (s->is_stdout) tw__stdout_unlock();
  return rc;
}

int tw_textsink_sync(tw_textsink *s) {
  if (s->synced == s->written) return TW_OK;
  while (fdatasync(s->fd)) {
    if (errno == EINTR) continue;
    if (errno != EINVAL && errno != EROFS && errno != ENOTSUP) /* a pipe, a terminal */
      return fail(s, TW_EIO, strerror(errno));
    break;
  }
  s->synced = s->written;
  return TW_OK;
}

int64_t tw_textsink_size(const tw_textsink *s) {
  return s->written + s->len;
}

int tw_textsink_limit(tw_textsink *s, int64_t bytes) {
  struct stat st;
  if (fstat(s->fd, &st) || !S_ISREG(st.st_mode)) return TW_EINVAL;
  s->limit = bytes;
  return TW_OK;
}

/* Room for n bytes more, made before anything of the element is taken. */
static int make_room(tw_textsink *s, int64_t n) {
  const int64_t size = s->written + s->len;
  if (s->limit && size && size + n > s->limit) return TW_AGAIN;
  if (s->room - s->len >= n) return TW_OK;
  const int rc = tw_textsink_flush(s);
  if (rc) return rc;
  if (s->room >= n && s->room <= 2 * LIMIT) return TW_OK;
  const int64_t room = n > LIMIT ? n : LIMIT;
  if (room == s->room) return TW_OK;
  char *buf = tw__realloc(s->buf, (size_t)room);
  if (!buf) return fail(s, TW_ENOMEM, "no memory for this record");
  s->buf = buf;
  s->room = room;
  return TW_OK;
}

static void append(tw_textsink *s, const char *bytes, int64_t len) {
  memcpy(s->buf + s->len, bytes, (size_t)len);
  s->len += len;
}

int tw_textsink_put(tw_textsink *s, const char *bytes, int64_t len) {
  const int rc = make_room(s, len + s->dlen);
  if (rc) return rc;
  append(s, bytes, len);
  append(s, s->delim, s->dlen);
  return TW_OK;
}

int tw_textsink_put_num(tw_textsink *s, double x) {
  char text[TW__NUMBER_TEXT];
  return tw_textsink_put(s, text, tw__number_tostring(text, x));
}

int tw_textsink_put_i64(tw_textsink *s, int64_t x) {
  char text[TW__NUMBER_TEXT];
  return tw_textsink_put(s, text, tw__number_write_i64(text, x));
}

int tw_textsink_put_u64(tw_textsink *s, uint64_t x) {
  char text[TW__NUMBER_TEXT];
  return tw_textsink_put(s, text, tw__number_write_u64(text, x));
}

const char *tw_textsink_error(const tw_textsink *s) {
  return s->error;
}

int tw_file_number(void *file) {
  return fileno(file);
}
