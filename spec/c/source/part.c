/* part -- a file cut anywhere: the parts read one by one give its records, each once. */
#define _GNU_SOURCE
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

static char path[] = "/tmp/tideway-part-XXXXXX";
static char text[1 << 20];
static int64_t size;

static void write_file(void) {
  FILE *file = fopen(path, "wb");
  fwrite(text, 1, (size_t)size, file);
  fclose(file);
}

/* Records of up to `most` letters from the delimiter's and one more. */
static void make(const char *delim, int records, int64_t most) {
  const int64_t dlen = (int64_t)strlen(delim);
  size = 0;
  for (int i = 0; i < records; i++) {
    for (int64_t n = check_below(most + 1); n > 0; n--)
      text[size++] = check_below(3) ? 'x' : delim[check_below(dlen)];
    if (i < records - 1 || check_below(2)) {
      memcpy(text + size, delim, (size_t)dlen);
      size += dlen;
    }
  }
  write_file();
}

/* Where the records begin, by reading from the front. */
static int64_t next_start(int64_t at, const char *delim) {
  const char *found = memmem(text + at, (size_t)(size - at), delim, strlen(delim));
  return found ? found - text + (int64_t)strlen(delim) : size;
}

static void agrees_with_reading_from_the_front(const char *delim, int records,
                                               int64_t most) {
  const int64_t dlen = (int64_t)strlen(delim);
  make(delim, records, most);
  int64_t start = 0; /* the first one at `at` or after it */
  for (int64_t at = 0; at <= size + 2; at += 1 + check_below(size / 200 + 1)) {
    while (start < at && start < size) start = next_start(start, delim);
    const int64_t got = tw_part_start(path, at, delim, dlen);
    CHECKF(got == (at == 0 ? 0 : start), "at %lld of %lld: %lld, not %lld",
           (long long)at, (long long)size, (long long)got, (long long)start);
  }
}

static int64_t count_part(tw_loop *loop, int64_t start, int64_t stop) {
  char error[200];
  int64_t n = 0;
  uint32_t ready[4];
  const tw_textfile_options o = {.name = path,
                                 .fd = -1,
                                 .delim = "\n",
                                 .dlen = 1,
                                 .partial = 1,
                                 .start = start,
                                 .stop = stop};
  tw_textfile *file = tw_textfile_open(loop, &o, error, sizeof error);
  CHECKF(file != NULL, "%s", error);
  for (;;) {
    const int got = tw_textfile_next(file);
    if (got == TW_AGAIN) tw_loop_poll(loop, -1, ready, 4);
    if (got == TW_EOF) break;
    if (got > 0) n += got;
  }
  CHECK(tw_textfile_position(file) == (stop ? stop : size) || start >= size);
  tw_textfile_close(file);
  return n;
}

static void parts_are_read_like_files(void) {
  tw_loop *loop = tw_loop_open();
  make("\n", 3000, 200);
  const int64_t whole = count_part(loop, 0, 0);
  for (int parts = 1; parts < 9; parts++) {
    int64_t n = 0;
    for (int k = 0; k < parts; k++) {
      const int64_t start = tw_part_start(path, size * k / parts, "\n", 1);
      const int64_t stop =
          k + 1 < parts ? tw_part_start(path, size * (k + 1) / parts, "\n", 1) : 0;
      if (k + 1 == parts || stop > start) n += count_part(loop, start, stop);
    }
    CHECKF(n == whole, "%d parts: %lld of %lld", parts, (long long)n, (long long)whole);
  }
  tw_loop_close(loop);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  close(mkstemp(path));
  for (int i = 0; i < 30; i++) {
    agrees_with_reading_from_the_front("\n", 1 + (int)check_below(200), 20);
    agrees_with_reading_from_the_front("\r\n", 1 + (int)check_below(200), 9);
    agrees_with_reading_from_the_front("ab--", 1 + (int)check_below(50), 9);
  }
  agrees_with_reading_from_the_front("\r\n", 5, 180000); /* longer than a block */
  parts_are_read_like_files();
  size = 0;
  write_file();
  CHECK(tw_part_start(path, 5, "\n", 1) == 0 && tw_part_size(path) == 0);
  CHECK(tw_part_size("/tmp") == TW_EINVAL && tw_part_size("/nowhere") == TW_EINVAL);
  CHECK(tw_part_start("/nowhere", 5, "\n", 1) == TW_EIO);
  CHECK(tw_part_start(path, -1, "\n", 1) == TW_EINVAL);
  CHECK(tw_part_start(path, 1, "", 0) == TW_EINVAL);
  unlink(path);
  return check_close();
}
