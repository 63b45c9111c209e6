/* tail.c -- one followed file: its descriptor, its head, its place among the others. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "source/follow.h"

/* FNV-1a, the same on every machine: it is kept in files. */
static uint64_t hash(const char *bytes, int64_t len) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (int64_t i = 0; i < len; i++)
    h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
  return h;
}

ssize_t tw__tail_read(int fd, char *buf, int64_t len, int64_t offset) {
  ssize_t n;
  do n = pread(fd, buf, (size_t)len, offset);
  while (n < 0 && errno == EINTR);
  return n;
}

int tw__tail_has_head(int fd, int64_t len, uint64_t head) {
  char buf[TW__FOLLOW_HEAD];
  return tw__tail_read(fd, buf, len, 0) == len && hash(buf, len) == head;
}

int tw__tail_same(tw_follow *f, tw__tail *t) {
  char buf[TW__FOLLOW_HEAD];
  if (t->head_len == TW__FOLLOW_HEAD)
    return tw__tail_has_head(t->fd, TW__FOLLOW_HEAD, t->head);
  const ssize_t n = tw__tail_read(t->fd, buf, TW__FOLLOW_HEAD, 0);
  if (n < t->head_len || hash(buf, t->head_len) != t->head) return 0;
  if (n > t->head_len) f->changed = 1;
  t->head_len = n;
  t->head = hash(buf, n);
  return 1;
}

void tw__tail_free(tw__tail *t) {
  if (t->fd >= 0) close(t->fd);
  tw__free(t->path);
  tw__free(t);
}

void tw__tail_restart(tw_follow *f, tw__tail *t) {
  t->position = t->head_len = 0;
  t->head = hash("", 0);
  (void)tw__tail_same(f, t);
}

tw__tail *tw__tail_find(const tw_follow *f, const struct stat *st) {
  for (int i = 0; i < f->tails; i++)
    if (f->tail[i]->fd >= 0 && f->tail[i]->ino == st->st_ino &&
        f->tail[i]->dev == st->st_dev)
      return f->tail[i];
  return NULL;
}

int tw__tail_known(const tw_follow *f, const struct stat *st, int fd) {
  for (int i = 0; i < f->tails; i++) {
    const tw__tail *t = f->tail[i];
    if (t->ino == st->st_ino && t->dev == st->st_dev &&
        (t->fd >= 0 || tw__tail_has_head(fd, t->head_len, t->head)))
      return 1;
  }
  return 0;
}

int64_t tw__tail_changed_ns(const struct stat *st) {
  return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

tw__tail *tw__tail_add(tw_follow *f, const char *path, int fd, const struct stat *st,
                       tw__tail *before) {
  tw__tail *t = NULL;
  if (f->tails == f->room) {
    const int room = 2 * f->room + 8;
    tw__tail **more = tw__realloc(f->tail, (size_t)room * sizeof *more);
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
  t->emptied = st->st_size == 0;
  t->size = st->st_size;
  t->changed_ns = tw__tail_changed_ns(st);
  tw__tail_restart(f, t);
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
  tw__follow_fail(f, TW_ENOMEM, "%s: no memory", path);
  return NULL;
}

tw__tail *tw__tail_last(const tw_follow *f, const char *path) {
  for (int i = f->tails - 1; i >= 0; i--)
    if (!strcmp(f->tail[i]->path, path)) return f->tail[i];
  return NULL;
}

void tw__tail_close(tw_follow *f, tw__tail *t) {
  if (t->fd < 0) return;
  tw__watch_remove(f->watch, t->wd);
  close(t->fd);
  t->fd = t->wd = -1;
  t->dirty = 0;
  f->changed = 1;
}

void tw__tail_reap(tw_follow *f) {
  int kept = 0;
  for (int i = 0; i < f->tails; i++) {
    tw__tail *t = f->tail[i];
    if (t->fd >= 0 || t->held > 0 || t == f->current) {
      f->tail[kept++] = t;
      continue;
    }
    for (int k = 0; k < f->tails; k++)
      if (k >= i || k < kept)
        if (f->tail[k]->before == t) f->tail[k]->before = t->before;
    tw__tail_free(t);
  }
  f->tails = kept;
}
