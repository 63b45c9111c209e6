/* resume -- the text of a position file leads back to the byte, whatever the path is called and
 * wherever the file has gone; what is no such text is refused, however little is wrong. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../check.h"
#include "../tick.h"
#include "source/follow.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX", path[128], position[64];
static tw_loop *loop;

static void put(const char *file, const char *text, size_t len, int flags) {
  const int fd = open(file, O_WRONLY | O_CREAT | flags, 0600);
  CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
  close(fd);
}

static tw_follow *follow(void) {
  char error[256];
  const tw_follow_options o = {
      .pattern = path, .position = position, .delim = "\n", .dlen = 1};
  tw_follow *f = tw_follow_open(loop, &o, error, sizeof error);
  CHECKF(f || strstr(error, "no position file"), "%s", error);
  return f;
}

/* Takes one record, and is through with it. */
static int is_next(tw_follow *f, const char *line) {
  const int n = tw_follow_next(f);
  if (n != 1 || f->lines[0].len != (int64_t)strlen(line)) return 0;
  tw_follow_through(f, tw_follow_batch(f));
  return !memcmp(f->lines[0].ptr, line, strlen(line));
}

static void names(void) {
  static const char *const name[] = {"log", "a b%20\n\x7f", "%", "\xc3\xa4 log%"};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    char moved[160];
    snprintf(path, sizeof path, "%s/%s", dir, name[i]);
    snprintf(moved, sizeof moved, "%s.1", path);
    put(path, "one\n", 4, 0);
    tw_follow *f = follow();
    CHECK(is_next(f, "one"));
    tw_follow_close(f);
    put(path, "two\n", 4, O_APPEND);
    f = follow();
    CHECK(is_next(f, "two"));
    tw_follow_close(f);
    put(path, "three\n", 6, O_APPEND);
    CHECK(!rename(path, moved)); /* and there is no file of the name */
    f = follow();
    CHECK(f && f->tail[0]->left && is_next(f, "three") &&
          tw_follow_next(f) == TW_AGAIN);
    put(path, "four\n", 5, 0);
    tw_follow_look(f, 1);
    CHECK(is_next(f, "four"));
    CHECK(!tw_follow_keep(f));
    tw_follow_close(f);
    unlink(path), unlink(moved), unlink(position);
  }
}

/* What was delivered and not through comes again. */
static void held(void) {
  snprintf(path, sizeof path, "%s/log", dir);
  put(path, "one\n", 4, 0);
  tw_follow *f = follow();
  CHECK(tw_follow_next(f) == 1);
  tw_follow_close(f);
  f = follow();
  CHECK(is_next(f, "one"));
  tw_follow_close(f);
}

/* The file has gone, and others have been at its path since: none is left out. */
static void gone(void) {
  char first[160], second[160];
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(first, sizeof first, "%s.2", path);
  snprintf(second, sizeof second, "%s.1", path);
  unlink(path), unlink(position);
  put(path, "old\n", 4, 0);
  put(first, "older\n", 6, 0); /* not of this follower's time */
  tw_follow *f = follow();
  CHECK(is_next(f, "old"));
  tw_follow_close(f);
  unlink(path);
  tick();
  put(first, "one\n", 4, O_TRUNC);
  tick();
  put(second, "two\n", 4, 0);
  tick();
  put(path, "three\n", 6, 0);
  f = follow();
  CHECK(f && is_next(f, "one") && is_next(f, "two") && is_next(f, "three"));
  CHECK(tw_follow_next(f) == TW_AGAIN);
  tw_follow_close(f);
  f = follow();
  CHECK(tw_follow_next(f) == TW_AGAIN);
  tw_follow_close(f);
  unlink(first), unlink(second), unlink(path), unlink(position);
}

/* The file was empty, then filled, copied and truncated while the position file was on its way to
 * the disk. */
static void empty(void) {
  char copy[160];
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(copy, sizeof copy, "%s.1", path);
  put(path, "", 0, 0);
  tw_follow *f = follow();
  CHECK(tw_follow_next(f) == TW_AGAIN);
  tw_follow_close(f);
  tick();
  put(copy, "one\n", 4, 0);
  tick();
  CHECK(!utimensat(AT_FDCWD, position, NULL, 0));
  put(path, "two\n", 4, 0);
  f = follow();
  CHECK(f && is_next(f, "one") && is_next(f, "two") && tw_follow_next(f) == TW_AGAIN);
  tw_follow_close(f);
  unlink(copy), unlink(path), unlink(position);
}

/* It was being copied when following began again, so that the copy is read; then it was truncated,
 * filled, copied and truncated once more before anybody looked. */
static void copied_meanwhile(void) {
  char copy[3][160];
  snprintf(path, sizeof path, "%s/log", dir);
  for (int i = 0; i < 3; i++) snprintf(copy[i], sizeof copy[i], "%s.%d", path, 3 - i);
  put(path, "a\n", 2, 0);
  tw_follow *f = follow();
  CHECK(is_next(f, "a"));
  tw_follow_close(f);
  tick();
  put(copy[0], "a\n", 2, 0);
  tick();
  put(path, "b\n", 2, O_TRUNC);
  tick();
  put(copy[1], "b\n", 2, 0);
  f = follow();
  CHECK(f && is_next(f, "b"));
  tick();
  put(copy[2], "c\n", 2, 0);
  tick();
  put(path, "d\n", 2, O_TRUNC);
  CHECK(is_next(f, "c") && is_next(f, "d") && tw_follow_next(f) == TW_AGAIN);
  tw_follow_close(f);
  for (int i = 0; i < 3; i++) unlink(copy[i]);
  unlink(path), unlink(position);
}

/* The file was copied and truncated, then what came after that was rotated, and nothing is at its
 * path now. */
static void rotated_since(void) {
  char copy[160], second[160], command[400];
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(copy, sizeof copy, "%s.2", path);
  snprintf(second, sizeof second, "%s.1", path);
  put(path, "one\n", 4, 0);
  tw_follow *f = follow();
  CHECK(is_next(f, "one"));
  tw_follow_close(f);
  snprintf(command, sizeof command, "cp '%s' '%s'", path, copy);
  CHECK(!system(command));
  tick();
  put(path, "two\n", 4, O_TRUNC);
  CHECK(!rename(path, second));
  f = follow();
  CHECK(f && is_next(f, "two") && tw_follow_next(f) == TW_AGAIN);
  put(path, "three\n", 6, 0);
  tw_follow_look(f, 1);
  CHECK(is_next(f, "three"));
  tw_follow_close(f);
  unlink(copy), unlink(second), unlink(path), unlink(position);
}

/* A text with bytes changed, cut or doubled: refused or read, never more. */
static void damaged(void) {
  char good[512], bad[600];
  const int fd = open(position, O_RDONLY);
  const ssize_t len = read(fd, good, sizeof good);
  close(fd);
  CHECK(len > 20);
  for (int i = 0; i < (check_long ? 20000 : 1000); i++) {
    size_t n = (size_t)len;
    memcpy(bad, good, n);
    for (int64_t k = check_below(4); k >= 0; k--)
      bad[check_below(len)] =
          (char)(check_below(3) ? check_below(256) : "0 \n-%"[check_below(5)]);
    if (check_below(3) == 0) n = (size_t)check_below(len + 1);
    put(position, bad, n, O_TRUNC);
    tw_follow *f = follow();
    if (f)
      while (tw_follow_next(f) > 0) tw_follow_through(f, tw_follow_batch(f));
    tw_follow_close(f);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(position, sizeof position, "%s/position", dir);
  loop = tw_loop_open();
  names();
  gone();
  rotated_since();
  empty();
  copied_meanwhile();
  held();
  damaged();
  tw_loop_close(loop);
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", dir);
  CHECK(!system(command));
  return check_close();
}
