/* stdout -- lines of several threads arrive whole, and all of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "sink/stdout.h"

#include "../check.h"
#include "tideway.h"

enum { THREADS = 4, LINES = 5000 };

static char path[] = "/tmp/tideway-stdout-XXXXXX";
static int kept; /* the real one */

static void redirect(const char *to) {
  fflush(stdout);
  kept = dup(1);
  const int fd = open(to, O_WRONLY | O_TRUNC);
  dup2(fd, 1);
  close(fd);
}

static void restore(void) {
  dup2(kept, 1);
  close(kept);
}

/* "3 3 3 3 ...\n", in pieces. */
static void *write_lines(void *arg) {
  const char digit = (char)('0' + (int)(intptr_t)arg);
  tw__stdout *out;
  FILE *file = tw__stdout_open(&out);
  for (int i = 0; i < LINES; i++) {
    for (int k = 0; k < 50; k++) {
      fputc(digit, file);
      if ((i + k) % 97 == 0) fflush(file);
    }
    if (i < LINES - 1) fputc('\n', file); /* the last one is completed */
  }
  fclose(file);
  const int rc = tw__stdout_finish(out);
  tw__stdout_free(out);
  return (void *)(intptr_t)rc;
}

static void lines_are_whole(void) {
  pthread_t id[THREADS];
  char line[200];
  int count[THREADS] = {0}, torn = 0, failed = 0;
  redirect(path);
  for (int i = 0; i < THREADS; i++)
    pthread_create(&id[i], NULL, write_lines, (void *)(intptr_t)i);
  for (int i = 0; i < THREADS; i++) {
    void *rc;
    pthread_join(id[i], &rc);
    failed |= rc != NULL;
  }
  restore();
  CHECK(!failed);
  FILE *file = fopen(path, "r");
  while (fgets(line, sizeof line, file)) {
    torn += strlen(line) != 51 || strspn(line, (char[]){line[0], 0}) != 50;
    if (line[0] >= '0' && line[0] < '0' + THREADS) count[line[0] - '0']++;
  }
  fclose(file);
  CHECKF(torn == 0, "%d torn", torn);
  for (int i = 0; i < THREADS; i++) CHECKF(count[i] == LINES, "%d", count[i]);
}

static void what_is_lost_is_told(void) {
  tw__stdout *out;
  redirect("/dev/full");
  FILE *file = tw__stdout_open(&out);
  fputs("a line\n", file);
  const int flushed = fflush(file);
  fclose(file);
  const int finished = tw__stdout_finish(out), why = errno;
  restore();
  CHECK(flushed == EOF && finished == TW_EIO && why == ENOSPC);
  tw__stdout_free(out);
  tw__stdout_free(NULL);
}

static void no_line_is_kept_without_end(void) {
  tw__stdout *out;
  redirect(path);
  FILE *file = tw__stdout_open(&out);
  for (int i = 0; i < 3 << 20; i++) fputc('x', file);
  fflush(file);
  restore();
  CHECK(access(path, F_OK) == 0);
  FILE *got = fopen(path, "r");
  fseek(got, 0, SEEK_END);
  CHECKF(ftell(got) > 1 << 20, "%ld", ftell(got));
  fclose(got);
  redirect("/dev/null");
  fclose(file);
  CHECK(tw__stdout_finish(out) == TW_OK);
  restore();
  tw__stdout_free(out);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  close(mkstemp(path));
  lines_are_whole();
  what_is_lost_is_told();
  no_line_is_kept_without_end();
  unlink(path);
  CHECKF(tw_mem_bytes() == 0, "%lld", (long long)tw_mem_bytes());
  return check_close();
}
