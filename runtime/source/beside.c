/* beside.c -- the files beside a followed path: rotated ones, copies, the file under another name. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "source/follow.h"

/* Of a directory that keeps changing: 10 ms in all, as long as the system's longest tick. */
enum { SEARCHES = 20, REST_NS = 500000 };

/* The clock of the times of files. */
#ifdef CLOCK_REALTIME_COARSE
enum { CLOCK_FILES = CLOCK_REALTIME_COARSE };
#else
enum { CLOCK_FILES = CLOCK_REALTIME };
#endif

int tw__beside_packed(const char *rest) {
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

int tw__beside_dir_len(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (int)(slash - path) + 1 : 0;
}

typedef int fits_fn(void *data, tw__sibling *s, const char *rest);

/* Returns whether that gave 2. */
static int search(DIR *dir, const char *path, fits_fn *fits, void *data) {
  tw__sibling s;
  const int len = tw__beside_dir_len(path);
  const size_t base = strlen(path + len);
  for (struct dirent *entry; (entry = readdir(dir));) {
    const char *rest =
        !strncmp(entry->d_name, path + len, base) ? entry->d_name + base : NULL;
    if (snprintf(s.path, sizeof s.path, "%.*s%s", len, path, entry->d_name) >=
        (int)sizeof s.path)
      continue;
    if (stat(s.path, &s.st) || !S_ISREG(s.st.st_mode)) continue;
    s.fd = open(s.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (s.fd < 0) continue;
    if (fstat(s.fd, &s.st) || !S_ISREG(s.st.st_mode)) { /* another has got the name */
      close(s.fd);
      continue;
    }
    const int did = fits(data, &s, rest);
    if (did == 0) close(s.fd);
    if (did == 2) return 1;
  }
  return 0;
}

/* Can the directory have been changed between two looks, the first of them begun at `then`? Its
 * time is that of the system's last tick, so that two changes may have the same. */
static int stirred(const struct stat *before, const struct stat *after,
                   const struct timespec *then) {
  const struct timespec *at = &before->st_mtim, *now = &after->st_mtim;
  if (at->tv_sec != now->tv_sec || at->tv_nsec != now->tv_nsec) return 1;
  return at->tv_sec > then->tv_sec ||
         (at->tv_sec == then->tv_sec && at->tv_nsec >= then->tv_nsec);
}

/* Calls fits(data, s, rest) with each file, opened, in the directory of the path whose name
 * begins as the path's; rest NULL: it is not such a name. The file is closed when that gives
 * 0, else it is in *found; the search ends when it gives 2. All over again when files were
 * renamed meanwhile: one that changes from a name not yet seen to one already passed would be
 * missed. */
static void beside(const char *path, fits_fn *fits, void *data, tw__sibling *found) {
  char name[4096];
  const int len = tw__beside_dir_len(path);
  snprintf(name, sizeof name, "%.*s", len ? len : 1, len ? path : ".");
  DIR *dir = opendir(name);
  if (!dir) return;
  for (int tries = 0; tries < SEARCHES; tries++) {
    struct stat before, after;
    struct timespec then;
    if (tries > 0) {
      const struct timespec rest = {.tv_nsec = REST_NS};
      nanosleep(&rest, NULL);
      if (found->fd >= 0) close(found->fd);
      found->fd = -1;
      rewinddir(dir);
    }
    clock_gettime(CLOCK_FILES, &then);
    const int unknown = fstat(dirfd(dir), &before);
    if (search(dir, path, fits, data)) break;
    if (unknown || fstat(dirfd(dir), &after) || !stirred(&before, &after, &then)) break;
  }
  closedir(dir);
}

static int is_copy(void *data, tw__sibling *s, const char *rest) {
  tw__wanted *w = data;
  if (!rest || !*rest || tw__beside_packed(rest) || s->st.st_size < w->position)
    return 0;
  if (!tw__tail_has_head(s->fd, w->head_len, w->head)) return 0;
  if (tw__tail_known(w->f, &s->st, s->fd)) {
    w->known_ns = tw__tail_changed_ns(&s->st);
    return 0;
  }
  if (w->found.fd >= 0) {
    if (tw__tail_changed_ns(&s->st) <= tw__tail_changed_ns(&w->found.st)) return 0;
    close(w->found.fd);
  }
  w->found = *s;
  return 1;
}

static int is_same(void *data, tw__sibling *s, const char *rest) {
  tw__wanted *w = data;
  (void)rest;
  if (s->st.st_ino != w->ino || s->st.st_dev != w->dev || tw__tail_find(w->f, &s->st) ||
      s->st.st_size < w->position || !tw__tail_has_head(s->fd, w->head_len, w->head))
    return 0;
  w->found = *s;
  return 2;
}

void tw__beside_copy(const char *path, tw__wanted *w) {
  beside(path, is_copy, w, &w->found);
}

void tw__beside_same(const char *path, tw__wanted *w) {
  beside(path, is_same, w, &w->found);
}

struct missed {
  tw_follow *f;
  int64_t after_ns, until_ns; /* the oldest that is younger; 0: no limit */
  tw__sibling found;
};

static int is_missed(void *data, tw__sibling *s, const char *rest) {
  struct missed *m = data;
  if (!rest || !dated(rest) || s->st.st_size == 0 ||
      tw__tail_known(m->f, &s->st, s->fd))
    return 0;
  const int64_t at = tw__tail_changed_ns(&s->st);
  if (at <= m->after_ns || (m->until_ns && at > m->until_ns)) return 0;
  if (m->found.fd >= 0) {
    if (at >= tw__tail_changed_ns(&m->found.st)) return 0;
    close(m->found.fd);
  }
  m->found = *s;
  return 1;
}

tw__tail *tw__beside_missed(tw_follow *f, tw__tail *old, const char *path,
                            int64_t after_ns, int64_t until_ns) {
  struct missed m = {.f = f, .after_ns = after_ns, .until_ns = until_ns};
  for (;;) {
    m.found.fd = -1;
    beside(path, is_missed, &m, &m.found);
    if (m.found.fd < 0) return old;
    m.after_ns = tw__tail_changed_ns(&m.found.st);
    tw__tail *t = tw__tail_add(f, path, m.found.fd, &m.found.st, old);
    if (!t) return old;
    t->left = 1;
    old = t;
  }
}
