/* look.c -- what has happened to the followed paths.
 *
 * It is seen by comparing (device, inode) at each look:
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
 * owner's timer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "source/follow.h"

static const int64_t LINGER_NS =
    60 * 1000000000ll; /* silent, until a left file is closed */

/* The descriptor's file is a new one at the path. */
static tw__tail *take_in(tw_follow *f, const char *path, int fd,
                         const struct stat *st) {
  tw__tail *old = tw__tail_last(f, path);
  struct stat was;
  if (old) {
    old->dirty = old->fd >= 0;
    if (old->fd >= 0 && !fstat(old->fd, &was))
      old = tw__beside_missed(f, old, path, tw__tail_changed_ns(&was), 0);
  }
  tw__tail *t = tw__tail_find(f, st); /* it may have been rotated itself meanwhile */
  if (!t) return tw__tail_add(f, path, fd, st, old);
  close(fd);
  return t;
}

/* The file has been truncated: st is what it was then, or a little after. */
static void note_empty(tw__tail *t, const struct stat *st) {
  t->emptied = st->st_size == 0;
  t->size = st->st_size;
  t->changed_ns = tw__tail_changed_ns(st);
}

void tw__look_refilled(tw_follow *f, tw__tail *t) {
  struct stat st;
  if (!t->emptied || t->left || t->fd < 0 || fstat(t->fd, &st)) return;
  const int64_t at = tw__tail_changed_ns(&st);
  if (at == t->changed_ns) return;
  t->before = tw__beside_missed(f, t->before, t->path, t->changed_ns, at);
  t->dirty = 1;
  t->emptied = st.st_size == 0;
  t->changed_ns = at;
}

void tw__look_truncated(tw_follow *f, tw__tail *t) {
  tw__wanted w = {.f = f,
                  .position = t->position,
                  .head_len = t->head_len,
                  .head = t->head,
                  .found.fd = -1};
  struct stat st;
  f->changed = 1;
  t->searched = 0;
  if (t->copy || fstat(t->fd, &st)) {
    tw__tail_close(f, t);
    return;
  }
  if (t->head_len) tw__beside_copy(t->path, &w);
  if (w.found.fd < 0 && t->held == 0) { /* nothing to be kept of it */
    note_empty(t, &st);
    tw__tail_restart(f, t);
    t->dirty = 1;
    if (w.known_ns) /* what came after that copy may have been rotated as well */
      t->before = tw__beside_missed(f, t->before, t->path, w.known_ns, 0);
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
  tw__tail *n = tw__tail_add(f, t->path, fd, &st, t);
  if (!n) return;
  n->left = left;
  note_empty(n, &st);
  for (int i = 0; i < f->tails; i++)
    if (f->tail[i]->before == t && f->tail[i] != n) f->tail[i]->before = n;
  if (t->fd >= 0)
    n->before = tw__beside_missed(f, t, t->path, tw__tail_changed_ns(&w.found.st),
                                  left ? tw__tail_changed_ns(&st) : 0);
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

void tw__look_dir(tw_follow *f, const char *path) {
  char dir[4096];
  const int len = tw__beside_dir_len(path);
  if (f->dirs == TW__FOLLOW_DIRS || len >= (int)sizeof dir) return;
  snprintf(dir, sizeof dir, "%.*s", len ? len : 1, len ? path : ".");
  if (strpbrk(dir, "*?[")) return;
  const int wd = tw__watch_dir(f->watch, dir);
  for (int i = 0; i < f->dirs; i++)
    if (f->dir_wd[i] == wd) return;
  if (wd >= 0) f->dir_wd[f->dirs++] = wd;
}

/* A path without the numbers at its end: what rotation renames stays in its share. */
static int64_t stem_len(const char *path) {
  size_t len = strlen(path), digits = len;
  while (digits > 0 && strchr("0123456789.-", path[digits - 1])) {
    digits--;
    if (path[digits] == '.' || path[digits] == '-') len = digits;
  }
  return (int64_t)len;
}

static void see(tw_follow *f, const char *path, int seen, int from_end) {
  struct stat st;
  tw__tail *t;
  if (f->shares && tw_share_bytes(path, stem_len(path), f->shares) != f->share) return;
  if (f->keep && tw__position_is(f->keep, path)) return;
  if (stat(path, &st) || !S_ISREG(st.st_mode)) return;
  t = tw__tail_find(f, &st);
  if (!t) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return; /* gone again, or not for us: the next look will tell */
    if (fstat(fd, &st)) {
      close(fd);
      return;
    }
    t = tw__tail_find(f, &st);
    if (t)
      close(fd);
    else
      t = take_in(f, path, fd, &st);
    if (!t) return;
    tw__look_dir(f, path);
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

void tw__look_scan(tw_follow *f, int from_end) {
  int64_t len;
  char *paths = match(f, &len);
  for (int i = 0; i < f->tails; i++) f->tail[i]->seen = 0;
  for (const char *path = paths; paths && path < paths + len;
       path += strlen(path) + 1) {
    if (strpbrk(f->pattern, "*?[") && tw__beside_packed(path)) continue;
    see(f, path, 1, from_end);
  }
  tw__free(paths);
  for (int i = 0; i < f->tails; i++) {
    tw__tail *t = f->tail[i];
    if (!t->left && !t->seen) t->dirty = t->fd >= 0;
    t->left = !t->seen;
    if (!t->left) t->since_ns = 0;
  }
  tw__look_dir(f, f->pattern);
}

void tw__look_compare(tw_follow *f, tw__tail *t) {
  struct stat st;
  if (t->fd < 0 || fstat(t->fd, &st)) return;
  tw__look_refilled(f, t);
  if (t->head_len < TW__FOLLOW_HEAD) (void)tw__tail_same(f, t);
  const int64_t at = tw__tail_changed_ns(&st);
  if (st.st_size != t->size || at != t->changed_ns) t->dirty = 1;
  t->size = st.st_size;
  t->changed_ns = at;
}

/* Has a file that was left been silent for long enough? */
static void linger(tw_follow *f, tw__tail *t) {
  if (!t->left || t->dirty || t->fd < 0) return;
  if (!t->since_ns) t->since_ns = f->now_ns ? f->now_ns : 1;
  if (t->before && t->before->fd >= 0) return;
  if (!t->copy && f->now_ns - t->since_ns < LINGER_NS) return;
  if (t->searched && f->partial && !t->final)
    t->final = t->dirty = 1;
  else
    tw__tail_close(f, t);
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
  tw__look_scan(f, 0);
  for (int i = 0; i < f->tails; i++) {
    tw__look_compare(f, f->tail[i]);
    linger(f, f->tail[i]);
  }
  tw__tail_reap(f);
  tell(f);
}

void tw__look_seen(void *data, int wd, const char *name) {
  tw_follow *f = data;
  const char *base = f->pattern + tw__beside_dir_len(f->pattern);
  int dir = wd < 0;
  for (int i = 0; i < f->dirs; i++) dir |= f->dir_wd[i] == wd;
  if (!dir) {
    for (int i = 0; i < f->tails; i++)
      if (f->tail[i]->wd == wd) {
        f->tail[i]->dirty = 1;
        tw__look_refilled(f, f->tail[i]);
        if (f->tail[i]->head_len < TW__FOLLOW_HEAD) (void)tw__tail_same(f, f->tail[i]);
      }
  } else if (wd < 0 || !*name || !fnmatch(base, name, 0) || !strcmp(base, name)) {
    tw__look_scan(f, 0);
    if (wd < 0)
      for (int i = 0; i < f->tails; i++) tw__look_compare(f, f->tail[i]);
  } else {
    return;
  }
  tell(f);
}
