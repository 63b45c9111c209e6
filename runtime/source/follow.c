/* follow.c -- files that grow, read on and on through all that is done to logs.
 *
 * A tail is one file: an open descriptor and how far it has been delivered. It begins
 * where the last whole record has ended (`position`); a record that has not ended stays
 * in the file, and is read again when its end has been seen, so that a tail holds no text.
 * All share one buffer.
 *
 *     file | delivered ............ | no end in here ... | not looked at ...
 *                                   position             + searched
 *
 * What happens to a path is seen by comparing (device, inode) at each look:
 *
 *   renamed, deleted  its tail is `left`: read on until it has been silent for a while.
 *   a new file there  is a new tail, whose records come after (`before`) those of the one that
 *                     was there; files between the two, numbered or dated, are found by
 *                     their time.
 *   truncated         the head of the file is no longer what it was, or the file is too short.
 *                     The tail moves on to the copy, if there is one with that head, and what
 *                     is left at the path is a new tail.
 *
 * Looks are asked for by inotify (the callback only looks, it does not read) and by the
 * owner's timer. Reading is the owner's, when the pipeline has room: from the page cache,
 * where what has just been written is.
 *
 * What a position file says of a tail is where its oldest batch starts that is not through.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "loop/loop.h"
#include "source/position.h"
#include "source/watch.h"

enum {
  CHUNK = 256 << 10,
  BATCH = 2048,
  HEAD = 512, /* bytes of a file that tell it from others */
  DIRS = 64   /* directories that are watched; others are looked at by the timer */
};

static const int64_t LINGER_NS =
    60 * 1000000000ll; /* silent, until a left file is closed */

struct tail {
  char *path; /* where it was followed last */
  int fd;     /* -1: closed, but not all of it is through */
  int wd;
  dev_t dev;
  ino_t ino;
  int64_t position, searched;
  struct tail *before; /* its records come first */
  int dirty;           /* there may be more to read */
  int left;            /* no longer at its path */
  int copy;            /* nothing will be appended */
  int final;           /* a last record without an end counts */
  int seen;            /* by the look that is under way */
  int64_t size, changed_ns,
      since_ns; /* at the last look; left and silent since, 0: not */
  int64_t head_len;
  uint64_t head; /* hash of the first head_len bytes */
  int64_t held;  /* batches that are not through */
  int64_t saved; /* while the position file is written */
};

struct batch {
  struct tail *tail;
  int64_t start, end;
  int through;
};

struct tw_follow {
  tw__handle handle; /* first */
  char *pattern, *delim;
  int64_t dlen, max_line;
  int partial;
  tw_watch *watch;
  tw__position *keep;       /* NULL: nobody wants to go on later */
  int changed;              /* something is to be saved */
  int64_t now_ns, saved_ns; /* of the last look; when the position file was written */

  struct tail **tail;
  int tails, room, turn;
  int dir_wd[DIRS], dirs;

  struct batch *batch; /* ring of batch_room, from first_batch to next_batch */
  int64_t batch_room, first_batch, next_batch;

  char *buf;
  int64_t buf_room;
  const char *at, *end; /* whole records in buf still to be delivered, of `current` */
  struct tail *current; /* of the last batch */
  int64_t start;        /* where that began */
  int failed;
  tw_slice lines[BATCH];
  char error[1024];
};

static int fail(tw_follow *f, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(f->error, sizeof f->error, format, args);
  va_end(args);
  return f->failed = status;
}

/* ---- heads ---------------------------------------------------------------- */

/* FNV-1a, the same on every machine: it is kept in files. */
static uint64_t hash(const char *bytes, int64_t len) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (int64_t i = 0; i < len; i++)
    h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
  return h;
}

static ssize_t read_at(int fd, char *buf, int64_t len, int64_t offset) {
  ssize_t n;
  do n = pread(fd, buf, (size_t)len, offset);
  while (n < 0 && errno == EINTR);
  return n;
}

static int has_head(int fd, int64_t len, uint64_t head) {
  char buf[HEAD];
  return read_at(fd, buf, len, 0) == len && hash(buf, len) == head;
}

/* Is the file still the one it was? Notes more of its head, if there is more by now. */
static int same_head(tw_follow *f, struct tail *t) {
  char buf[HEAD];
  if (t->head_len == HEAD) return has_head(t->fd, HEAD, t->head);
  const ssize_t n = read_at(t->fd, buf, HEAD, 0);
  if (n < t->head_len || hash(buf, t->head_len) != t->head) return 0;
  if (n > t->head_len) f->changed = 1;
  t->head_len = n;
  t->head = hash(buf, n);
  return 1;
}

/* ---- tails ---------------------------------------------------------------- */

static void free_tail(struct tail *t) {
  if (t->fd >= 0) close(t->fd);
  tw__free(t->path);
  tw__free(t);
}

static struct tail *find_inode(const tw_follow *f, const struct stat *st) {
  for (int i = 0; i < f->tails; i++)
    if (f->tail[i]->fd >= 0 && f->tail[i]->ino == st->st_ino &&
        f->tail[i]->dev == st->st_dev)
      return f->tail[i];
  return NULL;
}

/* Is it the file of a tail, also of one that is closed (whose inode may be another's by now)? */
static int known(const tw_follow *f, const struct stat *st, int fd) {
  for (int i = 0; i < f->tails; i++) {
    const struct tail *t = f->tail[i];
    if (t->ino == st->st_ino && t->dev == st->st_dev &&
        (t->fd >= 0 || has_head(fd, t->head_len, t->head)))
      return 1;
  }
  return 0;
}

static int64_t changed_ns(const struct stat *st) {
  return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* A tail for an open file, fd, which is taken; it comes after `before` (NULL: none), also in the
 * list. NULL: no memory. */
static struct tail *add_tail(tw_follow *f, const char *path, int fd,
                             const struct stat *st, struct tail *before) {
  struct tail *t = NULL;
  if (f->tails == f->room) {
    const int room = 2 * f->room + 8;
    struct tail **more = tw__realloc(f->tail, (size_t)room * sizeof *more);
    if (!more) goto none;
    f->tail = more;
    f->room = room;
  }
  t = tw__calloc(1, sizeof *t);
  if (!t) goto none;
  t->path = tw__mem_copy(path, (int64_t)strlen(path));
  if (!t->path) goto none;
  t->fd = fd;
  t->dev = st->st_dev;
  t->ino = st->st_ino;
  t->head = hash("", 0);
  (void)same_head(f, t);
  t->wd = tw__watch_file(f->watch, fd, path);
  t->dirty = f->changed = 1;
  t->before = before;
  int at = f->tails++;
  for (; before && f->tail[at - 1] != before; at--) f->tail[at] = f->tail[at - 1];
  f->tail[at] = t;
  return t;

none:
  tw__free(t);
  close(fd);
  fail(f, TW_ENOMEM, "%s: no memory", path);
  return NULL;
}

/* The tail that came last at a path, other than `but`. */
static struct tail *last_at(const tw_follow *f, const char *path,
                            const struct tail *but) {
  for (int i = f->tails - 1; i >= 0; i--)
    if (f->tail[i] != but && !strcmp(f->tail[i]->path, path)) return f->tail[i];
  return NULL;
}

static void close_fd(tw_follow *f, struct tail *t) {
  if (t->fd < 0) return;
  tw__watch_remove(f->watch, t->wd);
  close(t->fd);
  t->fd = t->wd = -1;
  t->dirty = 0;
  f->changed = 1;
}

/* Drops the tails that are closed and through. */
static void reap(tw_follow *f) {
  int kept = 0;
  for (int i = 0; i < f->tails; i++) {
    struct tail *t = f->tail[i];
    if (t->fd >= 0 || t->held > 0 || t == f->current) {
      f->tail[kept++] = t;
      continue;
    }
    for (int k = 0; k < f->tails; k++)
      if (k >= i || k < kept)
        if (f->tail[k]->before == t) f->tail[k]->before = t->before;
    free_tail(t);
  }
  f->tails = kept;
}

/* ---- the files beside ------------------------------------------------------ */

struct sibling {
  char path[4096];
  struct stat st;
  int fd;
};

/* What a directory entry must be: rest is what follows the name of the path. */
static int packed(const char *rest) {
  static const char *const suffix[] = {".gz", ".zst", ".xz", ".bz2", ".zip", ".lz4"};
  const size_t len = strlen(rest);
  for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++) {
    const size_t n = strlen(suffix[i]);
    if (len >= n && !strcmp(rest + len - n, suffix[i])) return 1;
  }
  return 0;
}

static int dated(const char *rest) {
  if (*rest != '.' && *rest != '-') return 0;
  if (!isdigit((unsigned char)rest[1])) return 0;
  return rest[strspn(rest, "0123456789.-_:TZ")] == 0;
}

static int dir_len(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (int)(slash - path) + 1 : 0;
}

/* Calls fits(data, s, rest) with each file, opened, in the directory of the path whose name
 * begins as the path's; rest NULL: it is not such a name. The file is closed when that gives
 * 0; the search ends when it gives 2. */
static void beside(const char *path,
                   int (*fits)(void *data, struct sibling *s, const char *rest),
                   void *data) {
  struct sibling s;
  const int len = dir_len(path);
  const size_t base = strlen(path + len);
  snprintf(s.path, sizeof s.path, "%.*s", len, path);
  DIR *dir = opendir(len ? s.path : ".");
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    const char *rest =
        !strncmp(entry->d_name, path + len, base) ? entry->d_name + base : NULL;
    if (snprintf(s.path, sizeof s.path, "%.*s%s", len, path, entry->d_name) >=
        (int)sizeof s.path)
      continue;
    if (stat(s.path, &s.st) || !S_ISREG(s.st.st_mode)) continue;
    s.fd = open(s.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (s.fd < 0) continue;
    const int did = fits(data, &s, rest);
    if (did == 0) close(s.fd);
    if (did == 2) break;
  }
  closedir(dir);
}

struct wanted {
  const tw_follow *f;
  int64_t position, head_len;
  uint64_t head;
  dev_t dev;
  ino_t ino;
  struct sibling found; /* fd -1: none */
};

/* A copy of the file that there was: of the same head and long enough. The newest. */
static int is_copy(void *data, struct sibling *s, const char *rest) {
  struct wanted *w = data;
  if (!rest || !*rest || packed(rest) || s->st.st_size < w->position) return 0;
  if (known(w->f, &s->st, s->fd) || !has_head(s->fd, w->head_len, w->head)) return 0;
  if (w->found.fd >= 0) {
    if (changed_ns(&s->st) <= changed_ns(&w->found.st)) return 0;
    close(w->found.fd);
  }
  w->found = *s;
  return 1;
}

static int is_same(void *data, struct sibling *s, const char *rest) {
  struct wanted *w = data;
  (void)rest;
  if (s->st.st_ino != w->ino || s->st.st_dev != w->dev || find_inode(w->f, &s->st) ||
      s->st.st_size < w->position || !has_head(s->fd, w->head_len, w->head))
    return 0;
  w->found = *s;
  return 2;
}

struct missed {
  tw_follow *f;
  int64_t after_ns, until_ns; /* the oldest that is younger; 0: no limit */
  struct sibling found;
};

static int is_missed(void *data, struct sibling *s, const char *rest) {
  struct missed *m = data;
  if (!rest || !dated(rest) || s->st.st_size == 0 || known(m->f, &s->st, s->fd))
    return 0;
  const int64_t at = changed_ns(&s->st);
  if (at <= m->after_ns || (m->until_ns && at > m->until_ns)) return 0;
  if (m->found.fd >= 0) {
    if (at >= changed_ns(&m->found.st)) return 0;
    close(m->found.fd);
  }
  m->found = *s;
  return 1;
}

/* Files that were at the path after `old` (NULL: none) and before the one that is there now, that
 * is, have changed since after_ns, and not since until_ns, unless that is 0. Returns the newest of them, or old. */
static struct tail *add_missed(tw_follow *f, struct tail *old, const char *path,
                               int64_t after_ns, int64_t until_ns) {
  struct missed m = {.f = f, .after_ns = after_ns, .until_ns = until_ns};
  for (;;) {
    m.found.fd = -1;
    beside(path, is_missed, &m);
    if (m.found.fd < 0) return old;
    m.after_ns = changed_ns(&m.found.st);
    struct tail *t = add_tail(f, path, m.found.fd, &m.found.st, old);
    if (!t) return old;
    t->left = 1;
    old = t;
  }
}

/* ---- looking ---------------------------------------------------------------- */

/* The descriptor's file is a new one at the path. */
static struct tail *take_in(tw_follow *f, const char *path, int fd,
                            const struct stat *st) {
  struct tail *old = last_at(f, path, NULL);
  struct stat was;
  if (old) {
    old->dirty = old->fd >= 0;
    if (old->fd >= 0 && !fstat(old->fd, &was))
      old = add_missed(f, old, path, changed_ns(&was), 0);
  }
  return add_tail(f, path, fd, st, old);
}

/* The file was truncated: the tail goes on with its copy, the path with a new tail. */
static void truncated(tw_follow *f, struct tail *t) {
  struct wanted w = {.f = f,
                     .position = t->position,
                     .head_len = t->head_len,
                     .head = t->head,
                     .found.fd = -1};
  struct stat st;
  f->changed = 1;
  t->searched = 0;
  if (t->copy || fstat(t->fd, &st)) {
    close_fd(f, t);
    return;
  }
  if (t->head_len) beside(t->path, is_copy, &w);
  if (w.found.fd < 0 && t->held == 0) { /* nothing to be kept of it */
    t->position = t->head_len = 0;
    t->head = hash("", 0);
    (void)same_head(f, t);
    t->dirty = 1;
    return;
  }
  const int fd = t->fd;
  t->fd = w.found.fd;
  t->wd = -1;
  t->dev = w.found.st.st_dev;
  t->ino = w.found.st.st_ino;
  const int left = t->left;
  t->left = t->copy = 1;
  t->dirty = t->fd >= 0;
  struct tail *n = add_tail(f, t->path, fd, &st, t);
  if (!n) return;
  n->left = left;
  for (int i = 0; i < f->tails; i++)
    if (f->tail[i]->before == t && f->tail[i] != n) f->tail[i]->before = n;
  if (t->fd >= 0)
    n->before =
        add_missed(f, t, t->path, changed_ns(&w.found.st), left ? changed_ns(&st) : 0);
}

static char *match(tw_follow *f, int64_t *len) {
  int64_t size = 4096;
  for (;;) {
    char *buf = tw__malloc((size_t)size);
    *len = buf ? tw_paths_match(f->pattern, buf, size) : TW_ENOMEM;
    if (buf && *len <= size && *len >= 0) return buf;
    tw__free(buf);
    if (*len <= 0) return NULL;
    size = *len;
  }
}

static void watch_dir(tw_follow *f, const char *path) {
  char dir[4096];
  const int len = dir_len(path);
  if (f->dirs == DIRS || len >= (int)sizeof dir) return;
  snprintf(dir, sizeof dir, "%.*s", len ? len : 1, len ? path : ".");
  if (strpbrk(dir, "*?[")) return;
  const int wd = tw__watch_dir(f->watch, dir);
  for (int i = 0; i < f->dirs; i++)
    if (f->dir_wd[i] == wd) return;
  if (wd >= 0) f->dir_wd[f->dirs++] = wd;
}

static void see(tw_follow *f, const char *path, int seen, int from_end) {
  struct stat st;
  struct tail *t;
  if (f->keep && tw__position_is(f->keep, path)) return;
  if (stat(path, &st) || !S_ISREG(st.st_mode)) return;
  t = find_inode(f, &st);
  if (!t) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return; /* gone again, or not for us: the next look will tell */
    if (fstat(fd, &st)) {
      close(fd);
      return;
    }
    t = find_inode(f, &st);
    if (t)
      close(fd);
    else
      t = take_in(f, path, fd, &st);
    if (!t) return;
    watch_dir(f, path);
    if (from_end) t->position = (int64_t)st.st_size;
  }
  t->seen = seen;
  t->copy = 0;
  if (!strcmp(t->path, path)) return;
  char *copy = tw__mem_copy(path, (int64_t)strlen(path));
  if (!copy) return;
  tw__free(t->path);
  t->path = copy;
  f->changed = 1;
}

/* Which files are there? */
static void scan(tw_follow *f, int from_end) {
  int64_t len;
  char *paths = match(f, &len);
  for (int i = 0; i < f->tails; i++) f->tail[i]->seen = 0;
  for (const char *path = paths; paths && path < paths + len;
       path += strlen(path) + 1) {
    if (strpbrk(f->pattern, "*?[") && packed(path)) continue;
    see(f, path, 1, from_end);
  }
  tw__free(paths);
  for (int i = 0; i < f->tails; i++) {
    struct tail *t = f->tail[i];
    if (!t->left && !t->seen) t->dirty = t->fd >= 0;
    t->left = !t->seen;
    if (!t->left) t->since_ns = 0;
  }
  watch_dir(f, f->pattern);
}

/* Has the file changed since the last look? */
static void compare(tw_follow *f, struct tail *t) {
  struct stat st;
  if (t->fd < 0 || fstat(t->fd, &st)) return;
  if (t->head_len < HEAD) (void)same_head(f, t);
  const int64_t at = changed_ns(&st);
  if (st.st_size != t->size || at != t->changed_ns) t->dirty = 1;
  t->size = st.st_size;
  t->changed_ns = at;
}

/* Has a file that was left been silent for long enough? */
static void linger(tw_follow *f, struct tail *t) {
  if (!t->left || t->dirty || t->fd < 0) return;
  if (!t->since_ns) t->since_ns = f->now_ns ? f->now_ns : 1;
  if (t->before && t->before->fd >= 0) return;
  if (!t->copy && f->now_ns - t->since_ns < LINGER_NS) return;
  if (t->searched && f->partial && !t->final)
    t->final = t->dirty = 1;
  else
    close_fd(f, t);
}

static void tell(tw_follow *f) {
  for (int i = 0; i < f->tails; i++)
    if (f->tail[i]->dirty) {
      tw__loop_ready(&f->handle);
      return;
    }
}

void tw_follow_look(tw_follow *f, int64_t now_ns) {
  f->now_ns = now_ns;
  scan(f, 0);
  for (int i = 0; i < f->tails; i++) {
    compare(f, f->tail[i]);
    linger(f, f->tail[i]);
  }
  reap(f);
  tell(f);
}

/* An event of inotify. */
static void seen(void *data, int wd, const char *name) {
  tw_follow *f = data;
  const char *base = f->pattern + dir_len(f->pattern);
  int dir = wd < 0;
  for (int i = 0; i < f->dirs; i++) dir |= f->dir_wd[i] == wd;
  if (!dir) {
    for (int i = 0; i < f->tails; i++)
      if (f->tail[i]->wd == wd) {
        f->tail[i]->dirty = 1;
        if (f->tail[i]->head_len < HEAD) (void)same_head(f, f->tail[i]);
      }
  } else if (wd < 0 || !*name || !fnmatch(base, name, 0) || !strcmp(base, name)) {
    scan(f, 0);
    if (wd < 0)
      for (int i = 0; i < f->tails; i++) compare(f, f->tail[i]);
  } else {
    return;
  }
  tell(f);
}

/* ---- reading ---------------------------------------------------------------- */

static int need(tw_follow *f, int64_t room) {
  if (room <= f->buf_room && (f->buf_room <= CHUNK || room > CHUNK)) return TW_OK;
  if (room < CHUNK) room = CHUNK;
  char *buf = tw__malloc((size_t)room);
  if (!buf) return fail(f, TW_ENOMEM, "%s: no memory for a line", f->pattern);
  tw__free(f->buf);
  f->buf = buf;
  f->buf_room = room;
  return TW_OK;
}

static int too_long(tw_follow *f, const struct tail *t, int64_t at) {
  return fail(f, TW_EPARSE, "%s: byte %lld: a line of more than %lld bytes (max_line)",
              t->path, (long long)at, (long long)f->max_line);
}

/* Is the file shorter than it was? */
static int shrunk(const struct tail *t) {
  struct stat st;
  return !fstat(t->fd, &st) &&
         (st.st_size < t->position + t->searched || st.st_size < t->head_len);
}

/* Bytes of the file from position + skip, up to room. Returns how many, 0: none, and then there
 * is nothing to be read now; < 0 status. */
static int64_t get(tw_follow *f, struct tail *t, int64_t skip, int64_t room) {
  const ssize_t n = read_at(t->fd, f->buf, room, t->position + skip);
  if (n < 0)
    return fail(f, TW_EIO, "%s: byte %lld: %s", t->path,
                (long long)(t->position + skip), strerror(errno));
  /* in this order: what was read before the head was still the same is good */
  if ((n > 0 || !shrunk(t)) && same_head(f, t)) return n;
  truncated(f, t);
  return TW_AGAIN;
}

/* Nothing has been added to the file. Returns the bytes of a last record that has no end, when
 * that counts, else 0; < 0 status. */
static int64_t no_more(tw_follow *f, struct tail *t) {
  const int64_t size = t->searched;
  t->dirty = 0;
  if (!t->final || size == 0) return 0;
  t->final = 0;
  if (need(f, size)) return f->failed;
  const int64_t n = get(f, t, 0, size);
  if (n <= 0) return n;
  t->searched = 0;
  f->at = f->buf;
  f->end = f->buf + n;
  return n;
}

/* Looks for the end of a long record that had none. Returns its size with its end, 0 when there
 * is none yet, < 0 status. */
static int64_t search(tw_follow *f, struct tail *t) {
  for (;;) {
    const int64_t skip = t->searched - (f->dlen - 1);
    const int64_t n = get(f, t, skip, CHUNK);
    if (n < 0) return n;
    const int64_t at = tw_view_find(f->buf, n, f->delim, f->dlen);
    if (at >= 0) return skip + at + f->dlen;
    if (skip + n <= t->searched) return 0;
    t->searched = skip + n;
    if (f->max_line && t->searched > f->max_line + f->dlen)
      return too_long(f, t, t->position);
  }
}

/* Of n bytes, those up to the end of the last delimiter; the first `clean` have none. */
static int64_t whole(const tw_follow *f, int64_t n, int64_t clean) {
  if (f->dlen == 1) {
    const char *last = memrchr(f->buf + clean, f->delim[0], (size_t)(n - clean));
    return last ? last + 1 - f->buf : 0;
  }
  /* from the front: occurrences may overlap, and the first one counts */
  int64_t used = 0, at;
  while ((at = tw_view_find(f->buf + used, n - used, f->delim, f->dlen)) >= 0)
    used += at + f->dlen;
  return used;
}

/* Has whole records between at and end. Returns their bytes, 0: there are none now, or < 0
 * status. */
static int64_t read_records(tw_follow *f, struct tail *t) {
  int64_t size = 0;
  if (need(f, CHUNK)) return f->failed;
  if (t->searched >= CHUNK / 2 && t->searched >= f->dlen) {
    size = search(f, t);
    if (size < 0) return size;
    if (size == 0) return no_more(f, t);
    if (need(f, size)) return f->failed;
  }
  const int64_t n = get(f, t, 0, f->buf_room);
  if (n < 0) return n;
  if (n == 0) return no_more(f, t);
  const int64_t clean = t->searched < n ? t->searched : n;
  const int64_t used = whole(f, n, clean);
  if (used == 0 && n <= t->searched) return no_more(f, t);
  t->searched = n - used;
  if (f->max_line && t->searched > f->max_line + f->dlen && used == 0)
    return too_long(f, t, t->position);
  f->at = f->buf;
  f->end = f->buf + used;
  return used;
}

static int note_batch(tw_follow *f, struct tail *t, int64_t start, int64_t end) {
  if (f->next_batch - f->first_batch == f->batch_room) {
    const int64_t room = 2 * f->batch_room + 64;
    struct batch *more = tw__malloc((size_t)room * sizeof *more);
    if (!more) return fail(f, TW_ENOMEM, "%s: no memory for what is held", t->path);
    for (int64_t i = f->first_batch; i < f->next_batch; i++)
      more[i % room] = f->batch[i % f->batch_room];
    tw__free(f->batch);
    f->batch = more;
    f->batch_room = room;
  }
  f->batch[f->next_batch++ % f->batch_room] =
      (struct batch){.tail = t, .start = start, .end = end};
  t->held++;
  return TW_OK;
}

/* Of n records, those before the first that is too long. */
static int within_limit(tw_follow *f, struct tail *t, int n, int64_t *used) {
  int64_t size = 0;
  for (int i = 0; i < n; i++) {
    if (f->lines[i].len > f->max_line) {
      (void)too_long(f, t, t->position + size);
      *used = size;
      f->at = f->end;
      return i;
    }
    size += f->lines[i].len + f->dlen;
  }
  return n;
}

/* The next batch out of the buffer. */
static int cut(tw_follow *f) {
  struct tail *t = f->current;
  int64_t used;
  int n =
      tw_lines_split(f->at, f->end - f->at, f->delim, f->dlen, f->lines, BATCH, &used);
  if (n == 0) { /* the rest of a file */
    f->lines[0] = (tw_slice){f->at, f->end - f->at};
    used = f->end - f->at;
    n = 1;
  }
  f->at += used;
  if (f->max_line) {
    n = within_limit(f, t, n, &used);
    if (n == 0) return f->failed;
  }
  if (f->keep && note_batch(f, t, t->position, t->position + used)) return f->failed;
  f->start = t->position;
  t->position += used;
  t->since_ns = 0;
  f->changed = 1;
  return n;
}

/* Is there something that must be read before this? */
static int must_wait(const struct tail *t) {
  for (t = t->before; t; t = t->before)
    if (t->dirty) return 1;
  return 0;
}

int tw_follow_next(tw_follow *f) {
  if (f->failed) return f->failed;
  if (f->keep && tw__position_failed(f->keep))
    return fail(f, TW_EIO, "the position file cannot be written: %s",
                strerror(tw__position_failed(f->keep)));
  if (f->at < f->end) return cut(f);
  f->current = NULL;
  reap(f);
  for (int tries = 0, more = 1; more;) {
    more = 0;
    for (int i = 0; i < f->tails; i++) {
      struct tail *t = f->tail[(f->turn + i) % f->tails];
      if (!t->dirty || t->fd < 0 || must_wait(t)) continue;
      const int64_t n = read_records(f, t);
      if (n < 0 && n != TW_AGAIN) return (int)n;
      if (n > 0) {
        f->current = t;
        f->turn = (f->turn + i + 1) % f->tails;
        return cut(f);
      }
      more = 1;
    }
    if (++tries == 100) { /* somebody truncates faster than we read: let others go on */
      tw__loop_ready(&f->handle);
      break;
    }
  }
  return TW_AGAIN;
}

/* ---- positions ---------------------------------------------------------------- */

int64_t tw_follow_batch(const tw_follow *f) {
  return f->next_batch - 1;
}

void tw_follow_through(tw_follow *f, int64_t batch) {
  if (batch < f->first_batch || batch >= f->next_batch) return;
  struct batch *b = &f->batch[batch % f->batch_room];
  if (b->through) return;
  b->through = f->changed = 1;
  while (f->first_batch < f->next_batch) {
    b = &f->batch[f->first_batch % f->batch_room];
    if (!b->through) break;
    b->tail->held--;
    f->first_batch++;
  }
}

int64_t tw_follow_split(tw_follow *f, int64_t batch, int i) {
  if (batch < f->first_batch || batch >= f->next_batch) return batch;
  struct batch *b = &f->batch[batch % f->batch_room];
  struct tail *t = b->tail;
  const int64_t start = f->start + (f->lines[i].ptr - f->lines[0].ptr), end = b->end;
  b->end = start;
  if (note_batch(f, t, start, end)) return TW_ENOMEM;
  return f->next_batch - 1;
}

int64_t tw_follow_held(const tw_follow *f) {
  return f->next_batch - f->first_batch;
}

static const char MAGIC[] = "tideway positions 1\n";

/* A path in one word; room for three times its length. Returns where it ends. */
static char *put_path(char *to, const char *path) {
  for (; *path; path++) {
    if (*path <= ' ' || *path == '%' || *path == 127)
      to += sprintf(to, "%%%02x", (unsigned char)*path);
    else
      *to++ = *path;
  }
  return to;
}

static void get_path(char *path) {
  char *to = path;
  for (; *path; path++, to++) {
    unsigned code;
    if (*path == '%' && sscanf(path + 1, "%2x", &code) == 1) {
      *to = (char)code;
      path += 2;
    } else {
      *to = *path;
    }
  }
  *to = 0;
}

/* The text of the position file, tw__malloc'ed; NULL: no memory. */
static char *positions(tw_follow *f, int64_t *len) {
  size_t room = sizeof MAGIC;
  for (int i = 0; i < f->tails; i++) room += 128 + 3 * strlen(f->tail[i]->path);
  char *text = tw__malloc(room), *to = text;
  if (!text) return NULL;
  to += sprintf(to, "%s", MAGIC);
  for (int i = 0; i < f->tails; i++) f->tail[i]->saved = f->tail[i]->position;
  for (int64_t i = f->next_batch - 1; i >= f->first_batch; i--) {
    const struct batch *b = &f->batch[i % f->batch_room];
    if (!b->through && b->start < b->tail->saved) b->tail->saved = b->start;
  }
  for (int i = 0; i < f->tails; i++) {
    const struct tail *t = f->tail[i];
    if ((t->fd < 0 || (t->left && t->head_len == 0)) && t->held == 0) continue;
    to += sprintf(to, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %016" PRIx64 " ",
                  (uint64_t)t->dev, (uint64_t)t->ino, t->saved, t->head_len, t->head);
    to = put_path(to, t->path);
    *to++ = '\n';
  }
  *len = to - text;
  return text;
}

void tw_follow_save(tw_follow *f) {
  int64_t len;
  if (!f->keep || !f->changed) return;
  char *text = positions(f, &len);
  if (!text) return; /* the next time, then */
  if (tw__position_save(f->keep, tw__loop_uv(f->handle.loop), text, len))
    f->changed = 0;
  else
    tw__free(text);
}

/* A record of the position file: go on there. The file may have got another name, or its text
 * may be in a copy. */
static void resume(tw_follow *f, const char *path, struct wanted *w) {
  struct stat st;
  struct tail *t;
  w->f = f;
  w->found.fd = -1;
  if (w->head_len ==
      0) { /* it was empty: nothing tells it from others but that they are newer */
    (void)add_missed(f, last_at(f, path, NULL), path, f->saved_ns, 0);
    return;
  }
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  int left = 1, copy = 0;
  if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_ino == w->ino &&
      st.st_dev == w->dev && st.st_size >= w->position &&
      has_head(fd, w->head_len, w->head)) {
    w->found.fd = fd;
    w->found.st = st;
    left = 0;
  } else if (fd >= 0) {
    close(fd);
  }
  if (w->found.fd < 0) beside(path, is_same, w);
  if (w->found.fd < 0 && w->head_len) {
    beside(path, is_copy, w);
    copy = 1;
  }
  if (w->found.fd < 0) return; /* gone, or another file by now */
  struct tail *old = last_at(f, path, NULL);
  t = add_tail(f, path, w->found.fd, &w->found.st, old);
  if (!t) return;
  t->position = w->position;
  t->left = left;
  t->copy = copy;
}

/* What was left of files that were copied and truncated may have been rotated as well. */
static void resume_between(tw_follow *f) {
  for (int i = 0; i < f->tails; i++) {
    struct tail *t = f->tail[i], *next = NULL;
    struct stat st, until = {0};
    if (!t->copy || fstat(t->fd, &st)) continue;
    for (int k = 0; k < f->tails; k++)
      if (f->tail[k]->before == t) next = f->tail[k];
    if (next && !fstat(next->fd, &until))
      next->before = add_missed(f, t, t->path, changed_ns(&st), changed_ns(&until));
  }
}

/* Returns how many records there were, -1: there is no position file; else a status. */
static int load(tw_follow *f, const char *name) {
  char *text;
  int64_t len;
  int records = 0;
  struct stat st;
  const int rc = tw__position_read(f->keep, &text, &len);
  if (rc == TW_ENOMEM) return fail(f, rc, "%s: no memory", name);
  if (rc) return fail(f, rc, "%s: %s", name, strerror(errno));
  if (!text) return -1;
  f->saved_ns = stat(name, &st) ? 0 : changed_ns(&st);
  int good = !strncmp(text, MAGIC, sizeof MAGIC - 1);
  for (char *line = text + sizeof MAGIC - 1, *stop; good && *line; line = stop + 1) {
    struct wanted w = {.position = 0};
    uint64_t dev, ino;
    int used = 0;
    stop = strchr(line, '\n');
    good =
        stop &&
        sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 " %" SCNx64 " %n",
               &dev, &ino, &w.position, &w.head_len, &w.head, &used) == 5 &&
        used > 0 && w.position >= 0 && w.head_len >= 0 && w.head_len <= HEAD;
    if (!good) break;
    *stop = 0;
    w.dev = (dev_t)dev;
    w.ino = (ino_t)ino;
    get_path(line + used);
    records++;
    resume(f, line + used, &w);
  }
  tw__free(text);
  resume_between(f);
  if (good) return records;
  return fail(f, TW_ECORRUPT, "%s: this is no position file of tideway's", name);
}

/* ---- opening and closing ------------------------------------------------------ */

static void destroy(tw_follow *f) {
  for (int i = 0; i < f->tails; i++) free_tail(f->tail[i]);
  tw_watch_close(f->watch);
  tw__position_close(f->keep);
  tw__free(f->tail);
  tw__free(f->batch);
  tw__free(f->buf);
  tw__free(f->pattern);
  tw__free(f->delim);
  tw__free(f);
}

int tw_follow_keep(tw_follow *f) {
  int64_t len;
  if (!f->keep || (!f->changed && !tw__position_busy(f->keep))) return TW_OK;
  char *text = positions(f, &len);
  if (!text) return fail(f, TW_ENOMEM, "no memory for the position file");
  const int failed = tw__position_write(f->keep, text, len);
  if (failed)
    return fail(f, TW_EIO, "the position file cannot be written: %s", strerror(failed));
  f->changed = 0;
  return TW_OK;
}

void tw_follow_close(tw_follow *f) {
  if (!f) return;
  tw__loop_detach(&f->handle);
  (void)tw_follow_keep(f);
  destroy(f);
}

static void close_handle(tw__handle *handle) {
  tw_follow_close((tw_follow *)handle);
}

/* What is wrong with a path that is to be followed, and is no glob; NULL: nothing. */
static const char *unfit(const char *path) {
  struct stat st;
  if (stat(path, &st)) return strpbrk(path, "*?[") ? NULL : strerror(errno);
  if (S_ISDIR(st.st_mode)) return strerror(EISDIR);
  if (!S_ISREG(st.st_mode)) return "only regular files can be followed";
  return access(path, R_OK) ? strerror(errno) : NULL;
}

tw_follow *tw_follow_open(tw_loop *loop, const tw_follow_options *o, char *error,
                          int64_t size) {
  if (size > 0) *error = 0;
  const char *text = "no memory";
  int records = -1;
  tw_follow *f = tw__calloc(1, sizeof *f);
  if (!f) goto none;
  text = o->dlen < 1 ? "an empty delimiter" : "no memory";
  if (o->dlen < 1) goto none;
  f->dlen = o->dlen;
  f->max_line = o->max_line;
  f->partial = o->partial;
  f->pattern = tw__mem_copy(o->pattern, (int64_t)strlen(o->pattern));
  f->delim = tw__mem_copy(o->delim, o->dlen);
  f->watch = tw_watch_open(loop);
  if (!f->pattern || !f->delim || !f->watch) goto none;
  tw__watch_seen(f->watch, seen, f);
  if (o->position) {
    f->keep = tw__position_open(o->position);
    if (!f->keep) goto none;
    records = load(f, o->position);
    if (f->failed) {
      if (size > 0) snprintf(error, (size_t)size, "%s", f->error);
      destroy(f);
      return NULL;
    }
  }
  if (records <= 0) { /* else it was there once, and may be about to come again */
    text = unfit(o->pattern);
    if (text) goto none;
  }
  watch_dir(f, f->pattern); /* first, so that nothing comes in between */
  scan(f, o->from_end && records < 0);
  if (f->failed) {
    text = "no memory";
    goto none;
  }
  for (int i = 0; i < f->tails; i++) compare(f, f->tail[i]);
  tw__loop_attach(loop, &f->handle, close_handle); /* closed before the watch */
  if (tw_follow_keep(f) == TW_OK) return f; /* from here on nothing is left out */
  if (size > 0) snprintf(error, (size_t)size, "%s", f->error);
  tw__loop_detach(&f->handle);
  destroy(f);
  return NULL;

none:
  if (size > 0) snprintf(error, (size_t)size, "%s: %s", o->pattern, text);
  if (f) destroy(f);
  return NULL;
}

uint32_t tw_follow_id(const tw_follow *f) {
  return f->handle.id;
}

const tw_slice *tw_follow_lines(const tw_follow *f) {
  return f->lines;
}

const char *tw_follow_path(const tw_follow *f) {
  return f->current ? f->current->path : f->pattern;
}

int64_t tw_follow_start(const tw_follow *f) {
  return f->start;
}

int tw_follow_silent(const tw_follow *f) {
  return tw_watch_silent(f->watch);
}

const char *tw_follow_error(const tw_follow *f) {
  return f->error;
}
