/* records -- whole records only, whatever the pieces in which they were appended, short and
 * longer than the buffer, with delimiters that overlap; too long ones are an error. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../check.h"
#include "source/follow.h"

enum { ROOM = 3 << 20 };

static char dir[] = "/tmp/tideway-spec-XXXXXX", path[64];
static char text[ROOM], got[ROOM];
static tw_loop *loop;

static tw_follow *follow(const char *delim, int64_t max_line) {
  const tw_follow_options o = {.pattern = path,
                               .delim = delim,
                               .dlen = (int64_t)strlen(delim),
                               .max_line = max_line,
                               .partial = 1};
  tw_follow *f = tw_follow_open(loop, &o, NULL, 0);
  CHECK(f && f->tails == 1);
  f->current = f->tail[0];
  return f;
}

/* Reads what there is behind got; delimiters are put in again. Returns the bytes. */
static int64_t read_on(tw_follow *f, const char *delim, int64_t have) {
  for (;;) {
    const int64_t used = tw__records_read(f, f->tail[0]);
    CHECK(used >= 0);
    if (used <= 0) return have;
    while (f->at < f->end) {
      const int n = tw__records_cut(f);
      CHECK(n > 0 && n <= TW__FOLLOW_BATCH);
      if (n <= 0) return have;
      for (int i = 0; i < n; i++) {
        memcpy(got + have, f->lines[i].ptr, (size_t)f->lines[i].len);
        have += f->lines[i].len;
        memcpy(got + have, delim, strlen(delim));
        have += (int64_t)strlen(delim);
      }
    }
  }
}

static void pieces(const char *delim) {
  const int64_t dlen = (int64_t)strlen(delim);
  const int64_t longest = check_below(2) ? 100 : 700000;
  int64_t len = 0, have = 0;
  while (len < ROOM / 2) {
    for (int64_t n = check_below(longest); n > 0; n--)
      text[len++] = check_below(30) ? 'x' : delim[0];
    text[len++] = 'x'; /* the last delimiter is a whole one */
    memcpy(text + len, delim, (size_t)dlen);
    len += dlen;
  }
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  tw_follow *f = follow(delim, 0);
  for (int64_t at = 0; at < len;) {
    int64_t n = 1 + check_below(check_below(2) ? 300000 : 5000);
    if (n > len - at) n = len - at;
    CHECK(write(fd, text + at, (size_t)n) == n);
    at += n;
    have = read_on(f, delim, have);
    CHECK(f->tail[0]->position == have && have <= at);
  }
  CHECKF(have == len && !memcmp(text, got, (size_t)len), "%lld of %lld bytes",
         (long long)have, (long long)len);
  close(fd);
  tw_follow_close(f);
}

static void limit(void) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  tw_follow *f = follow("\n", 5);
  CHECK(write(fd, "12345\n123456", 12) == 12);
  CHECK(read_on(f, "\n", 0) == 6);
  CHECK(write(fd, "\n", 1) == 1);
  CHECK(tw__records_read(f, f->tail[0]) == 7 && tw__records_cut(f) == TW_EPARSE);
  tw_follow_close(f);
  f = follow("\n", 5);
  CHECK(write(fd, "1234567", 7) == 7); /* without an end, too */
  CHECK(tw__records_read(f, f->tail[0]) == 13 && tw__records_cut(f) == 1);
  tw_follow_close(f);
  close(fd);
}

/* Shorter than it was: nothing is read, the tail begins anew. */
static void truncated(void) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  tw_follow *f = follow("\n", 0);
  CHECK(write(fd, "one\ntwo\n", 8) == 8);
  CHECK(read_on(f, "\n", 0) == 8);
  CHECK(!ftruncate(fd, 0) && pwrite(fd, "new\n", 4, 0) == 4);
  CHECK(tw__records_read(f, f->tail[0]) == TW_AGAIN);
  CHECK(read_on(f, "\n", 0) == 4 && !memcmp(got, "new\n", 4));
  tw_follow_close(f);
  close(fd);
}

int main(int argc, char **argv) {
  static const char *const delim[] = {"\n", "aab", "--", "\r\n"};
  check_open(argc, argv);
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/log", dir);
  loop = tw_loop_open();
  for (int i = 0; i < (check_long ? 40 : 8); i++) pieces(delim[i % 4]);
  limit();
  truncated();
  tw_loop_close(loop);
  unlink(path), rmdir(dir);
  return check_close();
}
