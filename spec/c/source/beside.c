/* beside -- the files beside a path: the newest copy with the head, the same file under another
 * name, those that were missed in the order of their times; archives never. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "source/follow.h"

static char dir[] = "/tmp/tideway-spec-XXXXXX", path[64];

/* The path with a suffix. */
static const char *at(const char *suffix) {
  static char buf[128];
  snprintf(buf, sizeof buf, "%s%s", path, suffix);
  return buf;
}

static void put(const char *suffix, const char *text, int seconds) {
  const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
  const int fd = open(at(suffix), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
  CHECK(!utimensat(AT_FDCWD, at(suffix), times, 0));
}

static void names(void) {
  CHECK(tw__beside_dir_len("/a/b.log") == 3 && tw__beside_dir_len("b.log") == 0);
  CHECK(tw__beside_packed(".1.gz") && tw__beside_packed("x.zst"));
  CHECK(!tw__beside_packed(".gz.1") && !tw__beside_packed(""));
}

static tw__wanted like(const tw_follow *f, const tw__tail *t) {
  return (tw__wanted){.f = f,
                      .position = 4,
                      .head_len = t->head_len,
                      .head = t->head,
                      .dev = t->dev,
                      .ino = t->ino,
                      .found.fd = -1};
}

static void copies(const tw_follow *f) {
  tw__wanted w = like(f, f->tail[0]);
  tw__beside_copy(path, &w);
  CHECK(w.found.fd == -1);
  put(".1", "one\ntwo\n", 20);
  put("-old", "one\ntwo\n", 10);
  put(".2", "one", 40);        /* too short */
  put(".3", "won\ntwo\n", 50); /* another head */
  put(".4.gz", "one\ntwo\n", 60);
  tw__beside_copy(path, &w);
  CHECK(w.found.fd >= 0 && !strcmp(w.found.path, at(".1")));
  close(w.found.fd);
}

static void same(tw_follow *f) {
  tw__wanted w = like(f, f->tail[0]);
  CHECK(!rename(path, at("!"))); /* also under a name that no rotation gives */
  tw__beside_same(path, &w);
  CHECK(w.found.fd == -1); /* its tail has it open */
  const ino_t ino = f->tail[0]->ino;
  f->tail[0]->ino = 0;
  tw__beside_same(path, &w);
  CHECK(w.found.fd >= 0 && !strcmp(w.found.path, at("!")));
  close(w.found.fd);
  f->tail[0]->ino = ino;
}

/* A rotation renames all the time: the file has one name or another, and is found. */
static void stirred(tw_follow *f) {
  enum { FILES = 40 };
  char name[FILES + 2][80];
  for (int i = 0; i <= FILES + 1; i++)
    snprintf(name[i], sizeof name[i], "%s.%d", path, i);
  for (int i = 1; i <= FILES; i++) put(name[i] + strlen(path), "x", i);
  struct stat st;
  CHECK(!stat(name[FILES / 2], &st));
  const pid_t child = fork();
  for (; child == 0;) {
    for (int i = FILES; i > 0; i--) (void)!rename(name[i], name[i + 1]);
    (void)!rename(name[FILES + 1], name[1]);
  }
  CHECK(child > 0);
  int found = 0, others = 0;
  for (int i = 0; i < 300; i++) {
    tw__wanted w = {.f = f, .dev = st.st_dev, .ino = st.st_ino, .found.fd = -1};
    w.head = 0xcbf29ce484222325ull; /* of nothing, FNV-1a's basis */
    tw__beside_same(path, &w);
    if (w.found.fd < 0) continue;
    struct stat is;
    others += fstat(w.found.fd, &is) || is.st_ino != st.st_ino;
    found++;
    close(w.found.fd);
  }
  kill(child, SIGKILL);
  CHECK(waitpid(child, NULL, 0) == child);
  CHECKF(found == 300 && others == 0, "%d of 300, %d others", found, others);
  for (int i = 1; i <= FILES + 1; i++) unlink(name[i]);
}

static void missed(tw_follow *f) {
  put(".1", "b", 20);
  put(".2", "a", 10);
  put("-20260101", "c", 30);
  put(".3", "", 25); /* empty */
  put(".5.gz", "z", 26);
  put(".txt", "t", 27); /* not numbered or dated */
  put(".4", "old", 4);  /* read before */
  put(".6", "new", 60); /* younger than the one that is there */
  tw__tail *first = f->tail[0],
           *last = tw__beside_missed(f, first, path, 5000000000, 40000000000);
  CHECK(f->tails == 4 && last == f->tail[3] && last->left);
  for (int i = 1; i < 4; i++) {
    char text[8] = {0};
    CHECK(f->tail[i]->before == f->tail[i - 1]);
    CHECK(tw__tail_read(f->tail[i]->fd, text, 4, 0) == 1 && text[0] == 'a' + i - 1);
  }
  CHECK(tw__beside_missed(f, last, path, 30000000000, 40000000000) == last);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/log", dir);
  put("", "one\n", 1);
  tw_loop *loop = tw_loop_open();
  const tw_follow_options o = {.pattern = path, .delim = "\n", .dlen = 1};
  tw_follow *f = tw_follow_open(loop, &o, NULL, 0);
  names();
  copies(f);
  same(f);
  stirred(f);
  missed(f);
  tw_follow_close(f);
  tw_loop_close(loop);
  char command[128];
  snprintf(command, sizeof command, "rm -r %s", dir);
  CHECK(!system(command));
  return check_close();
}
