/* look -- renamed files are left and closed when they have been silent, new ones come after them,
 * truncated ones go on in their copies; a glob takes in what comes. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../check.h"
#include "../tick.h"
#include "source/follow.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX", buf[2][128];
static tw_loop *loop;
static tw_follow *f;
static const int64_t SECOND = 1000000000;

/* The path of a file of the directory; two at a time. */
static const char *at(const char *name) {
  static int which;
  which = !which;
  snprintf(buf[which], sizeof buf[0], "%s/%s", dir, name);
  return buf[which];
}

static void put(const char *name, const char *text) {
  const int fd = open(at(name), O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static void follow(const char *pattern) {
  const tw_follow_options o = {
      .pattern = at(pattern), .delim = "\n", .dlen = 1, .partial = 1};
  f = tw_follow_open(loop, &o, NULL, 0);
  CHECK(f != NULL);
}

static void clean(void) {
  char command[128];
  tw_follow_close(f);
  snprintf(command, sizeof command, "rm -f %s/*", dir);
  CHECK(!system(command));
}

/* The next record, "" when there is none. */
static const char *next(void) {
  static char line[64];
  const int n = tw_follow_next(f);
  CHECK(n == TW_AGAIN || n == 1);
  *line = 0;
  if (n == 1)
    snprintf(line, sizeof line, "%.*s", (int)f->lines[0].len, f->lines[0].ptr);
  return line;
}

static void renamed(void) {
  put("log", "a\n");
  follow("log");
  CHECK(!strcmp(next(), "a"));
  CHECK(!rename(at("log"), at("log.1")));
  put("log", "d\n");
  put("log.1", "b\n"); /* its writer has not noticed */
  tw_follow_look(f, 1);
  CHECK(f->tails == 2 && f->tail[0]->left && !f->tail[1]->left);
  CHECK(f->tail[1]->before == f->tail[0]);
  CHECK(!strcmp(next(), "b"));
  CHECK(!strcmp(next(), "d") && !strcmp(next(), ""));
  put("log.1", "c"); /* a last line without an end */
  tw_follow_look(f, SECOND);
  CHECK(!strcmp(next(), ""));
  tw_follow_look(f, 2 * SECOND);
  tw_follow_look(f, 50 * SECOND);
  CHECK(!strcmp(next(), "") && f->tails == 2);
  tw_follow_look(f, 70 * SECOND);
  CHECK(!strcmp(next(), "c"));
  tw_follow_look(f, 80 * SECOND);
  tw_follow_look(f, 150 * SECOND);
  CHECK(!strcmp(next(), "") && f->tails == 1 && !f->tail[0]->before);
  clean();
}

static void copied(void) {
  char command[300];
  put("log", "a\n");
  follow("log");
  CHECK(!strcmp(next(), "a"));
  put("log", "b\n");
  snprintf(command, sizeof command, "cp %s %s", at("log"), at("log.1"));
  CHECK(!system(command));
  CHECK(!truncate(at("log"), 0));
  put("log", "c\n");
  tw_follow_look(f, 1);
  CHECK(!strcmp(next(), "b")); /* out of the copy */
  CHECK(!strcmp(next(), "c") && !strcmp(next(), ""));
  CHECK(f->tails == 2 && f->tail[0]->copy && f->tail[1]->before == f->tail[0]);
  tw_follow_look(f, 2);
  CHECK(!strcmp(next(), ""));
  tw_follow_look(f, 3); /* a copy is not waited for */
  CHECK(f->tails == 1);
  clean();
}

/* All between two looks: filled, copied and truncated, once more, and filled. */
static void copied_meanwhile(void) {
  char command[300];
  put("log", "a\n");
  follow("log");
  CHECK(!strcmp(next(), "a"));
  for (int i = 0; i < 3; i++) {
    snprintf(command, sizeof command, "cp %s %s", at("log"),
             at(i == 0   ? "log.3"
                : i == 1 ? "log.2"
                         : "log.1"));
    CHECK(!system(command));
    tick();
    CHECK(!truncate(at("log"), 0));
    if (i == 0) {
      tw_follow_look(f, 1);
      CHECK(!strcmp(next(), "")); /* it is seen that it is empty */
    }
    tick();
    put("log", i == 0 ? "b\n" : i == 1 ? "c\n" : "d\n");
    tick();
  }
  if (check_below(2)) tw_follow_look(f, 2);
  const char *came = next();
  if (!*came) { /* without a look it is told by events, or the next look */
    tw_follow_look(f, 3);
    came = next();
  }
  CHECKF(!strcmp(came, "b"), "%s", came);
  CHECK(!strcmp(next(), "c") && !strcmp(next(), "d") && !strcmp(next(), ""));
  clean();
}

/* The new file is rotated itself while those before it are looked for: it has both names here. */
static void rotated_meanwhile(void) {
  put("log", "a\n");
  follow("log");
  CHECK(!strcmp(next(), "a"));
  CHECK(!rename(at("log"), at("log.2")));
  tick();
  put("log", "b\n");
  CHECK(!link(at("log"), at("log.1")));
  tw_follow_look(f, 1);
  CHECK(f->tails == 2 && !f->tail[1]->left);
  CHECK(!strcmp(next(), "b") && !strcmp(next(), ""));
  CHECK(!unlink(at("log")));
  put("log", "c\n");
  tw_follow_look(f, 2);
  CHECK(f->tails == 3 && f->tail[1]->left && f->tail[2]->before == f->tail[1]);
  CHECK(!strcmp(next(), "c") && !strcmp(next(), ""));
  clean();
}

static void globbed(void) {
  put("x1", "a\n");
  follow("x*");
  put("x2", "b\n");
  put("y", "no\n");
  put("x3.gz", "no\n");
  tw_follow_look(f, 1);
  CHECK(f->tails == 2);
  CHECK(!strcmp(next(), "a") && !strcmp(next(), "b") && !strcmp(next(), ""));
  CHECK(!rename(at("x1"), at("x9"))); /* matches, too: is followed on */
  put("x9", "c\n");
  tw_follow_look(f, 2);
  CHECK(f->tails == 2 && !f->tail[0]->left && !strcmp(next(), "c"));
  clean();
}

/* Without the timer: events alone. */
static void told(void) {
  uint32_t ready[8];
  put("log", "a\n");
  follow("log");
  CHECK(!strcmp(next(), "a") && !strcmp(next(), ""));
  if (!tw_follow_silent(f)) {
    while (tw_loop_poll(loop, 0, ready, 8) > 0) {
    }
    put("log", "b\n");
    CHECK(tw_loop_poll(loop, 5000, ready, 8) == 1 && ready[0] == tw_follow_id(f));
    CHECK(!strcmp(next(), "b") && !strcmp(next(), ""));
    CHECK(!rename(at("log"), at("log.1")));
    put("log", "c\n");
    int came = 0;
    for (int i = 0; i < 10 && !came; i++) {
      tw_loop_poll(loop, 500, ready, 8);
      came = !strcmp(next(), "c");
    }
    CHECK(came && f->tails == 2 && f->tail[0]->left);
  }
  clean();
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  loop = tw_loop_open();
  renamed();
  copied();
  copied_meanwhile();
  rotated_meanwhile();
  globbed();
  told();
  tw_loop_close(loop);
  rmdir(dir);
  return check_close();
}
