/* measure.c -- run a program, its output into a file, and say what it used.
 *     measure OUTPUT PROGRAM ARGUMENT...
 * prints: wall seconds, CPU seconds (user and system, all threads), MB resident at most,
 * seconds until its first output ("-1": none). Exit status: the program's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  int ends[2];
  if (file < 0 || pipe(ends)) return 2;

  double start = now(), first = -1;
  pid_t child = vfork();
  if (child == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  close(ends[1]);
  static char buf[65536];
  for (ssize_t n; (n = read(ends[0], buf, sizeof buf)) > 0;) {
    if (first < 0) first = now() - start;
    if (write(file, buf, (size_t)n) != n) return 2;
  }
  int status;
  struct rusage used;
  if (wait4(child, &status, 0, &used) < 0) return 2;
  double wall = now() - start;
  double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  printf("%.6f\t%.6f\t%.1f\t%.6f\n", wall, cpu, (double)used.ru_maxrss / 1024, first);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
