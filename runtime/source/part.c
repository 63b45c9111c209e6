/* part.c -- where a file may be cut, so that each record is in one part. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "tideway.h"

enum { BLOCK = 64 << 10 };

int64_t tw_part_size(const char *path) {
  struct stat st;
  return stat(path, &st) || !S_ISREG(st.st_mode) ? TW_EINVAL : (int64_t)st.st_size;
}

/* Up to `room` bytes from `at` on; fewer only at the end of the file. */
static int64_t read_from(int fd, char *buf, int64_t room, int64_t at) {
  int64_t len = 0;
  while (len < room) {
    const ssize_t n = pread(fd, buf + len, (size_t)(room - len), at + len);
    if (n == 0) break;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return TW_EIO;
    len += n;
  }
  return len;
}

/* Behind the first delimiter that begins at `at` or after it, else the end of the file. */
static int64_t behind_delimiter(int fd, int64_t at, const char *delim, int64_t dlen) {
  char *buf = tw__malloc((size_t)(BLOCK + dlen));
  int64_t found = -1, len = 0;
  if (!buf) return TW_ENOMEM;
  for (;; at += len - (dlen - 1)) { /* the blocks overlap by what may be half of one */
    len = read_from(fd, buf, BLOCK + dlen, at);
    if (len < dlen) break;
    found = tw_view_find(buf, len, delim, dlen);
    if (found >= 0) break;
    if (len < BLOCK + dlen) break;
  }
  tw__free(buf);
  if (len < 0) return len;
  return found >= 0 ? at + found + dlen : at + len;
}

int64_t tw_part_start(const char *path, int64_t at, const char *delim, int64_t dlen) {
  if (at < 0 || dlen < 1) return TW_EINVAL;
  if (at == 0) return 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat st;
  if (fd < 0) return TW_EIO;
  if (fstat(fd, &st) == 0 && at > st.st_size) at = (int64_t)st.st_size;
  const int64_t start = behind_delimiter(fd, at > dlen ? at - dlen : 0, delim, dlen);
  const int failed = errno;
  close(fd);
  errno = failed;
  return start;
}
