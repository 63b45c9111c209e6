/* stdout.c -- standard output for several threads, line by line.
 *
 * Each thread has a FILE of its own with a buffer of its own, so that writing to it costs what it
 * costs alone. What comes out of the buffer goes on up to the last newline, under the lock of
 * stdio's stdout; the rest waits for its newline.
 */
#define _GNU_SOURCE /* fopencookie */
#include "sink/stdout.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "tideway.h"

enum { BUFFER = 64 << 10 };
enum {
  REST_MAX = 1 << 20
}; /* who writes that much without a newline writes no lines */

struct tw__stdout {
  char *rest; /* len of room bytes: a line that has not ended */
  size_t len, room;
  int failed; /* errno of the first failure */
};

void tw__stdout_lock(void) {
  flockfile(stdout);
}

void tw__stdout_unlock(void) {
  funlockfile(stdout);
}

static int write_all(const char *bytes, size_t len) {
  while (len > 0) {
    const ssize_t n = write(STDOUT_FILENO, bytes, len);
    if (n >= 0) {
      bytes += n;
      len -= (size_t)n;
    } else if (errno == EAGAIN) {
      struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
      (void)poll(&p, 1, -1);
    } else if (errno != EINTR) {
      return TW_EIO;
    }
  }
  return TW_OK;
}

static int keep(tw__stdout *out, const char *bytes, size_t len) {
  if (out->len + len > out->room) {
    const size_t room = 2 * (out->len + len);
    char *rest = tw__realloc(out->rest, room);
    if (!rest) {
      errno = ENOMEM;
      return TW_ENOMEM;
    }
    out->rest = rest;
    out->room = room;
  }
  if (len) memcpy(out->rest + out->len, bytes, len);
  out->len += len;
  return TW_OK;
}

/* What was kept, and these bytes behind it. */
static int pass_on(tw__stdout *out, const char *bytes, size_t len) {
  tw__stdout_lock();
  int rc = write_all(out->rest, out->len);
  if (!rc) rc = write_all(bytes, len);
  tw__stdout_unlock();
  out->len = 0;
  return rc;
}

static ssize_t take(void *cookie, const char *bytes, size_t len) {
  tw__stdout *out = cookie;
  const char *last = memrchr(bytes, '\n', len);
  size_t whole = last ? (size_t)(last - bytes) + 1 : 0;
  if (out->len + len - whole > REST_MAX) whole = len;
  int rc = whole ? pass_on(out, bytes, whole) : TW_OK;
  if (!rc) rc = keep(out, bytes + whole, len - whole);
  if (!rc) return (ssize_t)len;
  if (!out->failed) out->failed = errno;
  return 0;
}

FILE *tw__stdout_open(tw__stdout **result) {
  tw__stdout *out = tw__calloc(1, sizeof *out);
  *result = out;
  if (!out) return NULL;
  FILE *file = fopencookie(out, "w", (cookie_io_functions_t){.write = take});
  if (!file) {
    tw__free(out);
    *result = NULL;
    return NULL;
  }
  if (isatty(STDOUT_FILENO))
    setvbuf(file, NULL, _IOLBF, 0);
  else
    setvbuf(file, NULL, _IOFBF, BUFFER);
  return file;
}

int tw__stdout_finish(tw__stdout *out) {
  if (out->len && pass_on(out, "\n", 1) && !out->failed) out->failed = errno;
  errno = out->failed;
  return out->failed ? TW_EIO : TW_OK;
}

void tw__stdout_free(tw__stdout *out) {
  if (!out) return;
  tw__free(out->rest);
  tw__free(out);
}
