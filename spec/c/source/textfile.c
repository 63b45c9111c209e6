/* textfile -- every record of a random file arrives, whatever the lengths, delimiter,
 * encoding and way of reading; memory failures are one error each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include "../check.h"
#include "tideway.h"

static tw_loop *loop;
static char path[] = "/tmp/tideway-spec-XXXXXX";
static char *text;
static int64_t text_len;

/* The kernel's, or, when it lies, as Linux 5.10 has it: RWF_NOWAIT may give 0 in the
 * middle of a file. */
static int kernel_lies;

ssize_t preadv2(int fd, const struct iovec *part, int count, off_t at, int flags) {
  if (kernel_lies && check_below(3) == 0) return 0;
  return syscall(SYS_preadv2, fd, part, (unsigned long)count, (long)at, 0L, flags);
}

/* What is expected next: records of `text`. */
static int64_t checked;
static long records;

static void expect(const tw_slice *line, const char *delim, int64_t dlen, int last) {
  CHECK(line->len <= text_len - checked);
  if (line->len > text_len - checked) return;
  CHECKF(!memcmp(line->ptr, text + checked, (size_t)line->len), "record %ld", records);
  checked += line->len;
  records++;
  if (last && checked == text_len) return;
  CHECKF(checked + dlen <= text_len && !memcmp(text + checked, delim, (size_t)dlen),
         "record %ld ends at %ld", records, (long)checked);
  checked += dlen;
}

/* Reads all of it. Returns the status it ended with. */
static int drain(tw_textfile *f, const char *delim, int64_t dlen) {
  uint32_t ready[8];
  checked = records = 0;
  for (;;) {
    const int n = tw_textfile_next(f);
    if (n == TW_AGAIN) {
      CHECK(tw_loop_poll(loop, 10000, ready, 8) >= 0);
    } else if (n <= 0) {
      return n;
    } else {
      const tw_slice *lines = tw_textfile_lines(f);
      for (int i = 0; i < n; i++) expect(lines + i, delim, dlen, i == n - 1);
      CHECK(tw_textfile_position(f) == checked);
    }
  }
}

/* Reads all of it as blocks, of which any part is used. Returns the status it ended with. */
static int drain_blocks(tw_textfile *f) {
  uint32_t ready[8];
  tw_slice block;
  int64_t used = 0, fresh = 0;
  checked = 0;
  for (;;) {
    const int n = tw_textfile_block(f, used, &block);
    used = 0;
    if (n == TW_AGAIN) {
      CHECK(tw_loop_poll(loop, 10000, ready, 8) >= 0);
      continue;
    }
    if (n != 1 && n != TW_EOF) return n;
    CHECK(n == TW_EOF || block.len > fresh);
    CHECK(block.len == 0 || (checked + block.len <= text_len &&
                             !memcmp(block.ptr, text + checked, (size_t)block.len)));
    CHECK(tw_textfile_position(f) == checked);
    used = n == TW_EOF || check_below(3) == 0 ? block.len : check_below(block.len + 1);
    if (block.len - used > 300000) used = block.len;
    fresh = block.len - used;
    checked += used;
    if (n == TW_EOF) return n;
  }
}

/* Random records; the last one often without its delimiter. */
static void write_text(const char *delim, int64_t dlen) {
  static const int64_t sizes[] = {1, 8, 120, 3000, 40000, 200000, 1500000};
  const int64_t size = sizes[check_below(7)];
  const int64_t goal = check_below(2) ? check_below(3000000) : check_below(5000);
  text_len = 0;
  while (text_len < goal) {
    int64_t n = check_below(size) + (check_below(3) ? 0 : dlen);
    if (text_len + n + dlen > 5000000) break;
    for (int64_t i = 0; i < n; i++)
      text[text_len + i] = (char)('a' + (i * 7 + text_len) % 26);
    text_len += n;
    memcpy(text + text_len, delim, (size_t)dlen);
    text_len += dlen;
  }
  if (check_below(2)) text_len -= check_below(text_len < 9 ? text_len + 1 : 9);
}

static void write_file(int encoding) {
  if (encoding == TW_ENCODING_GZIP) {
    gzFile gz = gzopen(path, "wb1");
    int64_t half = check_below(text_len + 1);
    gzwrite(gz, text, (unsigned)half);
    gzclose(gz);
    gz = gzopen(path, "ab1");
    gzwrite(gz, text + half, (unsigned)(text_len - half));
    gzclose(gz);
    return;
  }
  FILE *file = fopen(path, "wb");
  fwrite(text, 1, (size_t)text_len, file);
  fclose(file);
}

struct feed {
  int fd;
  int64_t len;
};

static void *feed_pipe(void *arg) {
  struct feed *feed = arg;
  int64_t at = 0;
  uint64_t step = 1;
  while (at < feed->len) {
    step = step * 6364136223846793005u + 1442695040888963407u;
    int64_t n = (int64_t)(step >> 47);
    if (n > feed->len - at) n = feed->len - at;
    const ssize_t put = write(feed->fd, text + at, (size_t)n);
    if (put < 0) break;
    at += put;
  }
  close(feed->fd);
  return NULL;
}

static void one_round(int encoding, int pipes) {
  static const char *const delims[] = {"\n", "\r\n", "--", "aab", "\0"};
  const char *delim = delims[check_below(pipes ? 2 : 5)];
  const int64_t dlen = *delim ? (int64_t)strlen(delim) : 1;
  char error[256];
  int ends[2];
  pthread_t writer;
  struct feed feed;
  write_text(delim, dlen);
  tw_textfile_options options = {.name = path,
                                 .fd = -1,
                                 .encoding = encoding,
                                 .delim = delim,
                                 .dlen = dlen,
                                 .partial = 1};
  if (pipes) {
    CHECK(pipe(ends) == 0);
    feed = (struct feed){ends[1], text_len};
    options.fd = ends[0];
    options.name = "pipe";
    pthread_create(&writer, NULL, feed_pipe, &feed);
  } else {
    write_file(encoding);
    if (check_below(2)) { /* out of the page cache, so that the pool reads */
      const int fd = open(path, O_RDWR);
      fsync(fd);
      posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      close(fd);
    }
  }
  tw_textfile *f = tw_textfile_open(loop, &options, error, sizeof error);
  CHECKF(f != NULL, "%s", error);
  if (!f) return;
  const int blocks = check_below(3) == 0;
  const int rc = blocks ? drain_blocks(f) : drain(f, delim, dlen);
  CHECKF(rc == TW_EOF, "%d %s", rc, tw_textfile_error(f));
  CHECKF(checked == text_len, "%ld of %ld bytes", (long)checked, (long)text_len);
  if (!blocks) CHECK(tw_textfile_next(f) == TW_EOF);
  tw_textfile_close(f);
  if (pipes) {
    pthread_join(writer, NULL);
    close(ends[0]);
  }
}

/* Closed in the middle, with reads under way. */
static void closes_early(int encoding) {
  char error[256];
  write_text("\n", 1);
  write_file(encoding);
  tw_textfile_options options = {.name = path,
                                 .fd = -1,
                                 .encoding = encoding,
                                 .delim = "\n",
                                 .dlen = 1,
                                 .partial = 1};
  tw_textfile *f = tw_textfile_open(loop, &options, error, sizeof error);
  CHECK(f != NULL);
  if (check_below(2)) (void)tw_textfile_next(f);
  tw_textfile_close(f);
}

static void memory_fails(int encoding) {
  char error[256];
  write_text("\n", 1);
  write_file(encoding);
  tw_textfile_options options = {.name = path,
                                 .fd = -1,
                                 .encoding = encoding,
                                 .delim = "\n",
                                 .dlen = 1,
                                 .partial = 1};
  for (int64_t nth = 1; nth < 40; nth++) {
    tw_mem_fail_at(nth);
    tw_textfile *f = tw_textfile_open(loop, &options, error, sizeof error);
    const int rc = f ? drain(f, "\n", 1) : 0;
    tw_mem_fail_at(0);
    if (!f) {
      CHECKF(strstr(error, "memory") != NULL, "%s", error);
      continue;
    }
    CHECKF(rc == TW_EOF || rc == TW_ENOMEM, "%d %s", rc, tw_textfile_error(f));
    if (rc == TW_ENOMEM) CHECK(strstr(tw_textfile_error(f), "memory") != NULL);
    if (rc == TW_EOF) CHECK(checked == text_len);
    tw_textfile_close(f);
  }
}

static void refuses_no_delimiter(void) {
  char error[256];
  tw_textfile_options options = {.name = path, .fd = -1, .delim = ""};
  CHECK(tw_textfile_open(loop, &options, error, sizeof error) == NULL);
  CHECKF(strstr(error, "an empty delimiter") != NULL, "%s", error);
}

/* A descriptor is left where the caller says, also when it is read ahead by a job. */
static void leaves_the_descriptor(void) {
  char error[256];
  text_len = 0;
  while (text_len < 3000000)
    memcpy(text + text_len, "0123456789abcde\n", 16), text_len += 16;
  write_file(TW_ENCODING_NONE);
  const int fd = open(path, O_RDWR);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  tw_textfile_options options = {
      .name = "fd", .fd = fd, .delim = "\n", .dlen = 1, .partial = 1};
  tw_textfile *f = tw_textfile_open(loop, &options, error, sizeof error);
  CHECKF(f != NULL, "%s", error);
  (void)tw_textfile_next(f);
  tw_textfile_leave(f, 160);
  tw_textfile_close(f);
  CHECK(lseek(fd, 0, SEEK_CUR) == 160);
  close(fd);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  text = malloc(6000000);
  close(mkstemp(path));
  loop = tw_loop_open();
  for (int i = 0; i < 150; i++) one_round(TW_ENCODING_NONE, 0);
  kernel_lies = 1;
  for (int i = 0; i < 30; i++) one_round(TW_ENCODING_NONE, 0);
  kernel_lies = 0;
  for (int i = 0; i < 30; i++) one_round(TW_ENCODING_GZIP, 0);
  for (int i = 0; i < 60; i++) one_round(TW_ENCODING_NONE, 1);
  for (int i = 0; i < 40; i++) closes_early(i % 2);
  for (int i = 0; i < 10; i++) leaves_the_descriptor();
  refuses_no_delimiter();
  memory_fails(TW_ENCODING_NONE);
  memory_fails(TW_ENCODING_GZIP);
  closes_early(TW_ENCODING_GZIP);
  tw_loop_close(loop);
  unlink(path);
  free(text);
  return check_close();
}
