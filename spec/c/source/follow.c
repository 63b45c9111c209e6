/* follow -- numbered lines in a log that is rotated at random, by renaming, by copying and
 * truncating, by deleting, arrive each once and in order; after a restart none is left out, and
 * none comes that was through. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

enum { KEPT = 40, HELD = 64 };

static tw_loop *loop;
static tw_follow *f;
static char dir[] = "/tmp/tideway-spec-XXXXXX", path[64], position[64];
static const char *delim;
static int64_t written, expected; /* numbers of lines */
static int64_t now_s = 1000000000, look_ns = 1;
static int64_t pad; /* longest line */
static int with_position;

/* Batches that are not through: their numbers and the first lines of each. */
static struct { int64_t batch, first, end; } held[HELD];
static int helds;

static void name(char *buf, int i) {
  if (i == 0)
    strcpy(buf, path);
  else
    sprintf(buf, "%s.%d", path, i);
}

/* Its time is ours: the file system's has steps of milliseconds. */
static void stamp(const char *file) {
  struct timespec times[2] = {{.tv_sec = ++now_s}, {.tv_sec = now_s}};
  CHECK(utimensat(AT_FDCWD, file, times, 0) == 0);
}

static void append(const char *text, size_t len) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len);
  close(fd);
  stamp(path);
}

static void turn(void); /* below: have the reader do something */

static void write_lines(int64_t n) {
  static char text[1 << 20];
  for (int64_t i = 0; i < n; i++) {
    size_t len = (size_t)sprintf(text, "%lld ", (long long)written);
    const int64_t more = check_below(20) ? check_below(80) : check_below(pad);
    for (int64_t k = 0; k < more; k++)
      text[len++] = (char)('a' + (k * 7 + written) % 25);
    memcpy(text + len, delim, strlen(delim));
    len += strlen(delim);
    if (check_below(10) == 0) { /* in two pieces */
      const size_t part = (size_t)check_below((int64_t)len);
      append(text, part);
      turn();
      append(text + part, len - part);
    } else {
      append(text, len);
    }
    written++;
  }
}

static void shift(void) {
  char from[96], to[96];
  for (int i = KEPT; i >= 1; i--) {
    name(from, i);
    name(to, i + 1);
    if (i == KEPT)
      unlink(from);
    else
      rename(from, to);
  }
}

static void rotate(int by_copy) {
  char to[96], command[256];
  struct stat st;
  if (stat(path, &st)) return;
  /* what is empty when it is looked at, and is filled and copied before the next look, cannot be
   * told from what was always so */
  if (f) tw_follow_look(f, look_ns);
  shift();
  name(to, 1);
  if (!by_copy) {
    rename(path, to);
    if (check_below(2)) write_lines(0), append("", 0);
    return;
  }
  snprintf(command, sizeof command, "cp '%s' '%s'", path, to);
  CHECK(system(command) == 0);
  stamp(to);
  CHECK(truncate(path, 0) == 0);
  stamp(path);
}

static void open_follow(void) {
  char error[256];
  const tw_follow_options o = {.pattern = path,
                               .position = with_position ? position : NULL,
                               .delim = delim,
                               .dlen = (int64_t)strlen(delim),
                               .partial = 1};
  f = tw_follow_open(loop, &o, error, sizeof error);
  CHECKF(f != NULL, "%s", error);
  if (!f) exit(1);
}

/* Lines that are through: after a restart they come again only when one before them in their
 * file is not. */
static char done[1 << 20];

static void mark(int64_t first, int64_t end) {
  memset(done + first, 1, (size_t)(end - first));
}

static void through(int i) {
  tw_follow_through(f, held[i].batch);
  mark(held[i].first, held[i].end);
  memmove(held + i, held + i + 1, (size_t)(helds - i - 1) * sizeof *held);
  helds--;
}

static void take(int n) {
  const tw_slice *lines = tw_follow_lines(f);
  int64_t first = -1;
  int used = n;
  for (int i = 0; i < n; i++) {
    char number[32] = {0};
    memcpy(number, lines[i].ptr, (size_t)(lines[i].len < 20 ? lines[i].len : 20));
    const int64_t got = atoll(number);
    while (got > expected && done[expected]) expected++;
    CHECKF(got == expected, "line %lld, expected %lld", (long long)got,
           (long long)expected);
    if (got != expected) exit(1);
    if (first < 0) first = got;
    expected++;
  }
  if (!with_position) return;
  int64_t batch = tw_follow_batch(f);
  if (n > 1 && check_below(4) == 0) { /* stopped in the middle, and gone on */
    used = (int)check_below(n + 1);
    if (used < n) {
      const int64_t rest = tw_follow_split(f, batch, used);
      tw_follow_through(f, batch);
      mark(first, first + used);
      batch = rest;
    }
  }
  held[helds].batch = batch;
  held[helds].first = used < n ? first + used : first;
  held[helds++].end = expected;
  while (helds == HELD || (helds && check_below(3))) through((int)check_below(helds));
}

static void turn(void) {
  uint32_t ready[8];
  if (!f) return;
  if (check_below(3) == 0) tw_loop_poll(loop, 0, ready, 8);
  if (check_below(3) == 0) tw_follow_look(f, look_ns);
  if (check_below(3) == 0) {
    const int n = tw_follow_next(f);
    CHECKF(n == TW_AGAIN || n > 0, "%d %s", n, tw_follow_error(f));
    if (n > 0) take(n);
  }
  if (check_below(10) == 0) tw_follow_save(f);
}

static void drain(void) {
  for (int i = 0; i < 3; i++) {
    int n;
    tw_follow_look(f, look_ns);
    while ((n = tw_follow_next(f)) > 0) take(n);
    CHECKF(n == TW_AGAIN, "%d %s", n, tw_follow_error(f));
    if (n != TW_AGAIN) exit(1);
  }
  while (expected < written && done[expected]) expected++;
  CHECKF(expected == written, "%lld of %lld", (long long)expected, (long long)written);
}

static void restart(void) {
  write_lines(1);
  tw_follow_look(f, look_ns);
  helds = 0;
  tw_follow_close(f);
  f = NULL;
  for (int64_t i = check_below(4); i > 0; i--) {
    write_lines(check_below(20));
    if (check_below(2)) rotate((int)check_below(2));
  }
  expected = 0; /* the first that is not done */
  open_follow();
}

static void clean(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s/*", dir);
  CHECK(system(command) == 0);
}

static void one_log(void) {
  delim = check_below(3) ? "\n" : check_below(2) ? "\r\n" : "--";
  pad = check_below(2) ? 2000 : 400000;
  with_position = (int)check_below(2);
  written = expected = helds = 0;
  memset(done, 0, sizeof done);
  append("", 0);
  open_follow();
  for (int step = 0; step < 60; step++) {
    write_lines(check_below(pad > 2000 ? 8 : 60));
    turn();
    switch (check_below(10)) {
    case 0:
    case 1: rotate(0); break;
    case 2:
    case 3: rotate(1); break;
    case 4:
      drain();
      while (helds) through(0); /* it could not come again */
      unlink(path);
      if (check_below(2)) tw_follow_look(f, look_ns);
      write_lines(1 + check_below(3));
      break;
    case 5:
      if (with_position) restart();
      break;
    case 6: drain(); break;
    case 7:
      drain();
      look_ns += 61000000000; /* what was left is closed */
      break;
    default: break;
    }
    if (access(path, F_OK)) append("", 0);
  }
  drain();
  tw_follow_close(f);
  f = NULL;
  clean();
}

/* Each allocation fails once: an error, or as if nothing had been. */
static void no_memory(void) {
  int64_t n = 0;
  delim = "\n";
  for (int at = 1; at < 60; at++) {
    char error[256];
    const tw_follow_options o = {
        .pattern = path, .position = position, .delim = delim, .dlen = 1, .partial = 1};
    append("a\nb\n", 4);
    tw_mem_fail_at(at);
    tw_follow *one = tw_follow_open(loop, &o, error, sizeof error);
    CHECK(one || strstr(error, "memory"));
    if (one) {
      while ((n = tw_follow_next(one)) > 0)
        tw_follow_through(one, tw_follow_batch(one));
      CHECK(n == TW_AGAIN || n == TW_ENOMEM);
      tw_follow_look(one, 1);
      tw_follow_save(one);
    }
    tw_follow_close(one);
    tw_mem_fail_at(0);
  }
  clean();
}

static void refused(void) {
  char error[256];
  tw_follow_options o = {.pattern = path, .delim = "\n", .dlen = 1, .max_line = 5};
  CHECK(tw_follow_open(loop, &o, error, sizeof error) == NULL);
  CHECK(strstr(error, "No such file") != NULL);
  append("ok\ntoo long\n", 12);
  f = tw_follow_open(loop, &o, error, sizeof error);
  CHECK(tw_follow_next(f) == 1);
  CHECK(tw_follow_next(f) == TW_EPARSE);
  CHECK(strstr(tw_follow_error(f), "byte 3: a line of more than 5 bytes") != NULL);
  tw_follow_close(f);
  o.position = path; /* it holds something else */
  CHECK(tw_follow_open(loop, &o, error, sizeof error) == NULL);
  CHECK(strstr(error, "no position file") != NULL);
  f = NULL;
  clean();
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/a log%%", dir);
  snprintf(position, sizeof position, "%s/position", dir);
  loop = tw_loop_open();
  refused();
  for (int i = 0; i < (check_long ? 400 : 30); i++) {
    if (i % 3 == 2)
      setenv("TW_NO_INOTIFY", "1", 1);
    else
      unsetenv("TW_NO_INOTIFY");
    one_log();
  }
  no_memory();
  tw_loop_close(loop);
  rmdir(dir);
  return check_close();
}
