/* follow.c -- a log that grows, and what reads `tail -F` of it.
 *     follow grow FILE RATE SECONDS COMMAND ...
 *              starts COMMAND, appends so many 100-byte lines a second to FILE, a piece each
 *              millisecond, which begin with the time in microseconds, at last "end", and waits for
 *              COMMAND to print a line and end. Prints that and its CPU time per line in ns.
 *     follow read
 *              reads lines up to "end"; prints the median and the 99th percentile of their delays
 *              and the last line's, in ms, after the first half second. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, MOST = 2000, SAMPLES = 1 << 20, CHUNK = 1 << 16 };

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- reading ----------------------------------------------------------------- */

static double delay[SAMPLES];
static long delays;

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Looks at one line. Returns 0 at the end. */
static int take(const char *line) {
  static double first = -1, last;
  if (!strncmp(line, "end", 3)) {
    qsort(delay, (size_t)delays, sizeof *delay, by_size);
    printf("%.3f %.3f %.3f\n", delay[delays / 2] / 1e3, delay[delays * 99 / 100] / 1e3,
           last / 1e3);
    return 0;
  }
  const double written = strtod(line, NULL);
  if (first < 0) first = written;
  if (written < first + 5e5) return 1;
  last = now_us() - written;
  if (delays < SAMPLES) delay[delays++] = last;
  return 1;
}

/* Of the lines of a piece, which have come at once, the first and the last are looked at. */
static int read_lines(void) {
  static char buf[CHUNK + LINE];
  for (size_t held = 0;;) {
    const ssize_t n = read(0, buf + held, CHUNK);
    if (n <= 0) return 1;
    const size_t len = held + (size_t)n;
    char *end = memrchr(buf, '\n', len);
    if (end) {
      char *last = memrchr(buf, '\n', (size_t)(end - buf));
      if (!take(buf) || (last && !take(last + 1))) return 0;
      end++;
    } else {
      end = buf;
    }
    held = (size_t)(buf + len - end);
    memmove(buf, end, held);
  }
}

/* ---- writing ----------------------------------------------------------------- */

static void grow(int fd, long rate, double seconds) {
  static char text[MOST * LINE];
  const double began = now_us();
  double written = 0;
  memset(text, 'x', sizeof text);
  for (int i = 0; i < MOST; i++) text[i * LINE + LINE - 1] = '\n';
  for (;;) {
    const double now = now_us(), due = (now - began) * 1e-6 * (double)rate - written;
    long n = due > MOST ? MOST : (long)due;
    char stamp[32];
    if (now > began + seconds * 1e6) return;
    snprintf(stamp, sizeof stamp, "%017.0f ", now);
    for (long i = 0; i < n; i++) memcpy(text + i * LINE, stamp, 18);
    if (n > 0 && write(fd, text, (size_t)n * LINE) < 0) return;
    written += (double)n;
    if (due < MOST) usleep(1000);
  }
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "read")) return read_lines();
  int ends[2], status;
  char line[256];
  struct rusage use;
  if (argc < 6 || strcmp(argv[1], "grow") || pipe(ends)) return 2;
  const int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  const long rate = atol(argv[3]);
  const double seconds = atof(argv[4]);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    execvp(argv[5], argv + 5);
    _exit(127);
  }
  close(ends[1]);
  usleep(500000);
  grow(fd, rate, seconds);
  const double lines = (double)lseek(fd, 0, SEEK_END) / LINE;
  struct pollfd out = {.fd = ends[0], .events = POLLIN};
  FILE *from = fdopen(ends[0], "r");
  do { /* again and again, so that tail notices that nobody reads any more */
    if (write(fd, "end\n", 4) < 0) return 1;
  } while (poll(&out, 1, 20) == 0);
  if (!fgets(line, sizeof line, from)) return 1;
  while (wait4(pid, &status, WNOHANG, &use) == 0) {
    usleep(20000);
    if (write(fd, "end\n", 4) < 0) return 1;
  }
  line[strcspn(line, "\n")] = 0;
  const double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
  printf("%s %.1f %.3f\n", line, cpu * 1e9 / lines, lines / seconds / 1e6);
  return 0;
}
