/* tail -- one followed file: known by its head, which may grow; tails stand behind those that come
 * before them, and go when they are closed and through. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../check.h"
#include "core/mem.h"
#include "source/follow.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX", path[64], other[64];

static void put(const char *file, const char *text, int flags) {
  const int fd = open(file, O_WRONLY | O_CREAT | flags, 0600);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static tw__tail *add(tw_follow *f, const char *file, tw__tail *before) {
  struct stat st;
  const int fd = open(file, O_RDONLY);
  CHECK(!fstat(fd, &st));
  return tw__tail_add(f, file, fd, &st, before);
}

static void heads(tw_follow *f) {
  tw__tail *t = f->tail[0];
  CHECK(t->head_len == 4 && tw__tail_has_head(t->fd, 4, t->head));
  CHECK(!tw__tail_has_head(t->fd, 3, t->head));
  f->changed = 0;
  CHECK(tw__tail_same(f, t) && !f->changed);
  put(path, "more\n", O_APPEND);
  CHECK(tw__tail_same(f, t) && f->changed && t->head_len == 9);
  put(path, "x", 0); /* another first byte */
  CHECK(!tw__tail_same(f, t));
  t->position = 4;
  tw__tail_restart(f, t);
  CHECK(t->position == 0 && t->head_len == 9 && tw__tail_same(f, t));
}

static void order(tw_follow *f) {
  struct stat st;
  tw__tail *first = f->tail[0];
  tw__tail *last = add(f, other, NULL);
  CHECK(f->tails == 2 && f->tail[1] == last);
  tw__tail *between = add(f, path, first);
  CHECK(f->tail[0] == first && f->tail[1] == between && f->tail[2] == last);
  CHECK(between->before == first && !last->before);
  CHECK(tw__tail_last(f, path) == between && !tw__tail_last(f, "none"));
  CHECK(!stat(other, &st) && tw__tail_find(f, &st) == last);

  last->held = 1; /* closed, but not all of it is through: its head tells whose it is */
  const int fd = open(other, O_RDONLY);
  tw__tail_close(f, last);
  tw__tail_close(f, last);
  CHECK(!tw__tail_find(f, &st) && tw__tail_known(f, &st, fd));
  put(other, "?", 0);
  CHECK(!tw__tail_known(f, &st, fd));
  close(fd);

  tw__tail_close(f, first);
  tw__tail_reap(f);
  CHECK(f->tails == 2 && f->tail[0] == between && !between->before);
  last->held = 0;
  tw__tail_reap(f);
  CHECK(f->tails == 1);
  tw_mem_fail_at(1);
  CHECK(add(f, other, NULL) == NULL && f->failed == TW_ENOMEM && f->tails == 1);
  tw_mem_fail_at(0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(other, sizeof other, "%s/other", dir);
  put(path, "one\n", 0);
  put(other, "two\n", 0);
  tw_loop *loop = tw_loop_open();
  const tw_follow_options o = {.pattern = path, .delim = "\n", .dlen = 1};
  tw_follow *f = tw_follow_open(loop, &o, NULL, 0);
  heads(f);
  order(f);
  tw_follow_close(f);
  tw_loop_close(loop);
  unlink(path), unlink(other), rmdir(dir);
  return check_close();
}
