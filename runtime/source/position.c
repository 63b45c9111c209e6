/* position.c -- a small file that is written anew as a whole, off the loop's thread.
 *
 * The new text goes into `path.new`, to the disk, and in the place of the old: whatever
 * happens, the file is one or the other. The thread has the lock while it writes: who has
 * a newer text waits for it, and what has not begun by then is left out.
 */
#include "source/position.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"

struct tw__position {
  char *path, *fresh; /* fresh: path.new */
  uv_work_t work;
  uv_mutex_t lock; /* late, failed */
  char *text;      /* to be written */
  int64_t len;
  struct timespec of;             /* when it was made */
  int busy, late, closed, failed; /* late: a newer text has been written */
};

static void destroy(tw__position *p) {
  uv_mutex_destroy(&p->lock);
  tw__free(p->text);
  tw__free(p->path);
  tw__free(p->fresh);
  tw__free(p);
}

tw__position *tw__position_open(const char *path) {
  tw__position *p = tw__calloc(1, sizeof *p);
  if (!p) return NULL;
  if (uv_mutex_init(&p->lock)) {
    tw__free(p);
    return NULL;
  }
  const size_t len = strlen(path);
  p->path = tw__mem_copy(path, (int64_t)len);
  p->fresh = tw__malloc(len + 5);
  if (!p->path || !p->fresh) {
    destroy(p);
    return NULL;
  }
  memcpy(p->fresh, path, len);
  memcpy(p->fresh + len, ".new", 5);
  return p;
}

int tw__position_read(const tw__position *p, char **text, int64_t *len) {
  *text = NULL;
  *len = 0;
  FILE *file = fopen(p->path, "re");
  if (!file) return errno == ENOENT ? TW_OK : TW_EIO;
  int64_t room = 0;
  for (;;) {
    if (*len + 1 >= room) {
      room = 2 * room + 4096;
      char *more = tw__realloc(*text, (size_t)room);
      if (!more) {
        tw__free(*text);
        *text = NULL;
        fclose(file);
        return TW_ENOMEM;
      }
      *text = more;
    }
    const size_t n = fread(*text + *len, 1, (size_t)(room - 1 - *len), file);
    *len += (int64_t)n;
    if (n == 0) break;
  }
  const int failed = ferror(file);
  fclose(file);
  (*text)[*len] = 0;
  if (!failed) return TW_OK;
  tw__free(*text);
  *text = NULL;
  errno = EIO;
  return TW_EIO;
}

static int write_all(int fd, const char *text, int64_t len) {
  while (len > 0) {
    const ssize_t n = write(fd, text, (size_t)len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text += n;
    len -= n;
  }
  return fdatasync(fd) && errno != EINVAL ? errno : 0;
}

/* The file's time is that of the text: what has changed since then is not in it. By the clock of
 * file systems, which goes in steps. */
static struct timespec now(void) {
  struct timespec at;
#ifdef CLOCK_REALTIME_COARSE
  clock_gettime(CLOCK_REALTIME_COARSE, &at);
#else
  clock_gettime(CLOCK_REALTIME, &at);
#endif
  return at;
}

static int replace(const tw__position *p, const char *text, int64_t len,
                   struct timespec of) {
  const struct timespec times[2] = {of, of};
  const int fd = open(p->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  int failed = write_all(fd, text, len);
  (void)!futimens(fd, times); /* without it the time is a little late */
  if (close(fd) && !failed) failed = errno;
  if (!failed && rename(p->fresh, p->path)) failed = errno;
  return failed;
}

static void job(uv_work_t *req) {
  tw__position *p = req->data;
  uv_mutex_lock(&p->lock);
  if (!p->late) p->failed = replace(p, p->text, p->len, p->of);
  uv_mutex_unlock(&p->lock);
}

static void after_job(uv_work_t *req, int status) {
  tw__position *p = req->data;
  (void)status;
  p->busy = p->late = 0;
  if (p->closed) {
    destroy(p);
    return;
  }
  tw__free(p->text);
  p->text = NULL;
}

int tw__position_save(tw__position *p, uv_loop_t *uv, char *text, int64_t len) {
  if (p->busy) return 0;
  p->text = text;
  p->len = len;
  p->of = now();
  p->busy = 1;
  p->work.data = p;
  uv_queue_work(uv, &p->work, job, after_job);
  return 1;
}

int tw__position_busy(const tw__position *p) {
  return p->busy;
}

int tw__position_failed(const tw__position *p) {
  return p->busy ? 0 : p->failed;
}

int tw__position_write(tw__position *p, char *text, int64_t len) {
  uv_mutex_lock(&p->lock);
  p->late = p->busy;
  const int failed = p->failed = replace(p, text, len, now());
  uv_mutex_unlock(&p->lock);
  tw__free(text);
  return failed;
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The directory of a path. */
static int folder(const char *path, struct stat *st) {
  char dir[4096];
  const int64_t len = name_of(path) - path;
  if (len >= (int64_t)sizeof dir) return -1;
  snprintf(dir, sizeof dir, "%.*s", len ? (int)len : 1, len ? path : ".");
  return stat(dir, st);
}

int tw__position_is(const tw__position *p, const char *path) {
  struct stat ours, its;
  if (strcmp(name_of(path), name_of(p->path)) &&
      strcmp(name_of(path), name_of(p->fresh)))
    return 0;
  return !folder(p->path, &ours) && !folder(path, &its) && ours.st_ino == its.st_ino &&
         ours.st_dev == its.st_dev;
}

void tw__position_close(tw__position *p) {
  if (!p) return;
  uv_mutex_lock(&p->lock); /* waits for what is just being written */
  p->closed = p->late = 1;
  uv_mutex_unlock(&p->lock);
  if (!p->busy) destroy(p);
}
