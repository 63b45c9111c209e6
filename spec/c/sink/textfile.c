/* textfile (sink) -- what was taken is what arrives, also past failures; numbers read
 * back. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "tideway.h"

static int close_fails;

/* The system's, or one that finds the disk full at last. */
int close(int fd) {
  const int rc = (int)syscall(SYS_close, fd);
  if (!close_fails) return rc;
  errno = ENOSPC;
  return -1;
}

static char path[] = "/tmp/tideway-spec-XXXXXX";
static char error[256];

static char *read_all(int64_t *len) {
  FILE *file = fopen(path, "rb");
  fseek(file, 0, SEEK_END);
  *len = ftell(file);
  rewind(file);
  char *bytes = malloc((size_t)*len + 1);
  *len = (int64_t)fread(bytes, 1, (size_t)*len, file);
  bytes[*len] = 0;
  fclose(file);
  return bytes;
}

/* Random records of all sizes, memory failing now and then: those that were taken
 * arrive. */
static void writes_what_it_took(int failing) {
  const int64_t limit = 3000000;
  char *want = malloc((size_t)limit), *record = malloc(300000);
  int64_t len = 0, got_len;
  tw_textsink *s = tw_textsink_open(path, -1, 1, "--", 2, error, sizeof error);
  CHECKF(s != NULL, "%s", error);
  for (int i = 0; i < 300; i++) {
    const int64_t n = check_below(check_below(10) ? 2000 : 250000);
    if (len + n + 2 > limit) break;
    memset(record, 'a' + i % 26, (size_t)n);
    if (failing) tw_mem_fail_at(1 + check_below(2));
    const int rc = tw_textsink_put(s, record, n);
    if (failing) tw_mem_fail_at(0);
    CHECK(rc == TW_OK || (failing && rc == TW_ENOMEM));
    if (rc == TW_ENOMEM) CHECK(strstr(tw_textsink_error(s), "no memory") != NULL);
    if (rc) continue;
    memcpy(want + len, record, (size_t)n);
    memcpy(want + len + n, "--", 2);
    len += n + 2;
  }
  CHECK(tw_textsink_close(s) == TW_OK);
  char *got = read_all(&got_len);
  CHECKF(got_len == len && !memcmp(got, want, (size_t)len), "%ld of %ld", (long)got_len,
         (long)len);
  free(got);
  free(want);
  free(record);
}

static void numbers_read_back(void) {
  enum { N = 20000 };
  static double want[N];
  int64_t len;
  tw_textsink *s = tw_textsink_open(path, -1, 1, "\n", 1, error, sizeof error);
  for (int i = 0; i < N; i++) {
    const uint64_t bits = check_u64();
    memcpy(&want[i], &bits, sizeof bits);
    if (check_below(2))
      want[i] = (check_unit() - 0.5) * pow(10, (double)check_below(30) - 12);
    if (want[i] != want[i]) want[i] = 0;
    CHECK(tw_textsink_put_num(s, want[i]) == TW_OK);
  }
  CHECK(tw_textsink_close(s) == TW_OK);
  char *text = read_all(&len), *at = text, lua[64];
  for (int i = 0; i < N; i++) {
    char *end = strchr(at, '\n');
    *end = 0;
    CHECKF(strtod(at, NULL) == want[i], "%.17g written as %s", want[i], at);
    snprintf(lua, sizeof lua, "%.14g", want[i]);
    if (strtod(lua, NULL) == want[i])
      CHECKF(!strcmp(lua, at), "%s, should be %s", at, lua);
    at = end + 1;
  }
  CHECK(at == text + len);
  free(text);
}

/* Only where a locale with a comma is installed. */
static void leaves_the_locale_alone(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};
  int64_t len;
  for (int i = 0; i < 3; i++)
    if (setlocale(LC_NUMERIC, names[i])) break;
  tw_textsink *s = tw_textsink_open(path, -1, 1, " ", 1, error, sizeof error);
  CHECK(tw_textsink_put_num(s, -1.5e-7) == TW_OK);
  CHECK(tw_textsink_put_num(s, 123456789012345.67) == TW_OK);
  CHECK(tw_textsink_put_num(s, HUGE_VAL) == TW_OK);
  CHECK(tw_textsink_close(s) == TW_OK);
  setlocale(LC_NUMERIC, "C");
  char *text = read_all(&len);
  CHECKF(!strcmp(text, "-1.5e-07 123456789012345.67 inf "), "%s", text);
  free(text);
}

static void names_path_and_byte(void) {
  char record[100];
  memset(record, 'x', sizeof record);
  tw_textsink *s = tw_textsink_open("/dev/full", -1, 0, "\n", 1, error, sizeof error);
  int rc = TW_OK, taken = 0;
  while (taken < 10000 && !(rc = tw_textsink_put(s, record, 100))) taken++;
  CHECK(rc == TW_EIO && taken > 600 && taken < 700);
  CHECKF(!strcmp(tw_textsink_error(s), "/dev/full: byte 0: No space left on device"),
         "%s", tw_textsink_error(s));
  CHECK(tw_textsink_flush(s) == TW_EIO);
  CHECK(tw_textsink_close(s) == TW_EIO);
  CHECK(tw_textsink_open("/no/such", -1, 0, "", 0, error, sizeof error) == NULL);
  CHECKF(!strcmp(error, "/no/such: No such file or directory"), "%s", error);
}

static void tells_of_a_late_failure(void) {
  tw_textsink *s = tw_textsink_open(path, -1, 1, "\n", 1, error, sizeof error);
  CHECK(tw_textsink_put(s, "x", 1) == TW_OK);
  CHECK(tw_textsink_flush(s) == TW_OK);
  close_fails = 1;
  CHECK(tw_textsink_close(s) == TW_EIO);
  close_fails = 0;
}

/* What a file has no room for is not taken; an empty one has room for anything. */
static void keeps_to_a_limit(void) {
  int64_t len;
  tw_textsink *s = tw_textsink_open(path, -1, 1, "\n", 1, error, sizeof error);
  CHECK(tw_textsink_limit(s, 8) == TW_OK && tw_textsink_size(s) == 0);
  CHECK(tw_textsink_put(s, "0123456789", 10) == TW_OK && tw_textsink_size(s) == 11);
  CHECK(tw_textsink_put(s, "", 0) == TW_AGAIN && tw_textsink_size(s) == 11);
  CHECK(tw_textsink_limit(s, 14) == TW_OK);
  CHECK(tw_textsink_put_num(s, 1234) == TW_AGAIN);
  CHECK(tw_textsink_put_num(s, 12) == TW_OK && tw_textsink_put_i64(s, 1) == TW_AGAIN);
  CHECK(tw_textsink_limit(s, 0) == TW_OK && tw_textsink_put_i64(s, 1) == TW_OK);
  CHECK(tw_textsink_flush(s) == TW_OK && tw_textsink_sync(s) == TW_OK);
  CHECK(tw_textsink_close(s) == TW_OK);
  char *text = read_all(&len);
  CHECKF(!strcmp(text, "0123456789\n12\n1\n"), "%s", text);
  free(text);
  s = tw_textsink_open(path, -1, 0, "\n", 1, error, sizeof error);
  CHECK(tw_textsink_size(s) == 16); /* what was there counts */
  CHECK(tw_textsink_close(s) == TW_OK);
  s = tw_textsink_open("/dev/null", -1, 0, "\n", 1, error, sizeof error);
  CHECK(tw_textsink_limit(s, 8) == TW_EINVAL && tw_textsink_put(s, "x", 1) == TW_OK);
  CHECK(tw_textsink_flush(s) == TW_OK && tw_textsink_sync(s) == TW_OK);
  CHECK(tw_textsink_close(s) == TW_OK);
}

/* A full pipe that does not block: waited for. */
static void waits_for_a_slow_reader(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  if (fork() == 0) {
    char buf[4096];
    int64_t sum = 0;
    ssize_t n;
    close(ends[1]);
    while ((n = read(ends[0], buf, sizeof buf)) > 0) {
      sum += n;
      if (sum % 65536 < 4096) usleep(1000);
    }
    _exit(sum == 5000 * 101 ? 0 : 1);
  }
  close(ends[0]);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  tw_textsink *s = tw_textsink_open("pipe", ends[1], 0, "\n", 1, error, sizeof error);
  char record[100] = {0};
  for (int i = 0; i < 5000; i++) CHECK(tw_textsink_put(s, record, 100) == TW_OK);
  CHECK(tw_textsink_close(s) == TW_OK);
  close(ends[1]);
  int status = 1;
  wait(&status);
  CHECK(status == 0);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  close(mkstemp(path));
  for (int i = 0; i < 20; i++) writes_what_it_took(i % 2);
  numbers_read_back();
  leaves_the_locale_alone();
  names_path_and_byte();
  tells_of_a_late_failure();
  keeps_to_a_limit();
  waits_for_a_slow_reader();
  CHECK(tw_textsink_check(path) == NULL);
  CHECK(!strcmp(tw_textsink_check("/tmp"), "Is a directory"));
  CHECK(tw_textsink_check("/tmp/tideway-not-there") == NULL);
  CHECK(!strcmp(tw_textsink_check("/no/such/file"), "No such file or directory"));
  for (int64_t nth = 1; nth < 6; nth++) {
    tw_mem_fail_at(nth);
    tw_textsink *s = tw_textsink_open(path, -1, 0, "", 0, error, sizeof error);
    tw_mem_fail_at(0);
    CHECK(s != NULL || strstr(error, "no memory"));
    CHECK(tw_textsink_close(s) == TW_OK);
  }
  unlink(path);
  return check_close();
}
