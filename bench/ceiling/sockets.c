/* sockets.c -- what from_tcp is compared with, and what feeds both.
 *     sockets read                  a port, printed; counts the lines of each client that comes:
 *                                   read() into 128 KB, memchr
 *     sockets feed MB COMMAND ...   starts COMMAND, which prints its port first; sends that many MB
 *                                   of 100-byte lines and waits until it closes the connection.
 *                                   Prints GB/s, and the CPU time of COMMAND per line in ns. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 128 << 10, LINE = 100, BLOCK = 1000 * LINE };
static char buf[2 * CHUNK];

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long count_lines(int fd) {
  long lines = 0, held = 0;
  for (ssize_t n; (n = read(fd, buf + held, CHUNK)) > 0;) {
    char *p = buf, *end = buf + held + n;
    for (char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) lines++;
    held = end - p;
    if (held > CHUNK) exit(1);
    memmove(buf, p, (size_t)held);
  }
  return lines;
}

static int serve(void) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = loopback(0);
  socklen_t len = sizeof at;
  if (bind(fd, (struct sockaddr *)&at, len) || listen(fd, 16)) return 1;
  getsockname(fd, (struct sockaddr *)&at, &len);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (long lines = 0;;) {
    const int client = accept(fd, NULL, NULL);
    lines += count_lines(client);
    close(client);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds that the server takes for so many blocks. */
static double feed(int port, long blocks) {
  static char block[BLOCK];
  struct sockaddr_in to = loopback(port);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(block, 'x', sizeof block);
  for (int i = LINE - 1; i < BLOCK; i += LINE) block[i] = '\n';
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) return -1;
  const double began = now();
  for (long i = 0; i < blocks; i++)
    for (size_t at = 0; at < sizeof block;) {
      const ssize_t n = send(fd, block + at, sizeof block - at, MSG_NOSIGNAL);
      if (n <= 0) return -1;
      at += (size_t)n;
    }
  shutdown(fd, SHUT_WR);
  while (read(fd, buf, sizeof buf) > 0) {
  }
  close(fd);
  return now() - began;
}

static double cpu(const struct rusage *use) {
  return (double)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) +
         (double)(use->ru_utime.tv_usec + use->ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv) {
  int ends[2], port = 0, status;
  if (argc == 2 && !strcmp(argv[1], "read")) return serve();
  if (argc < 4 || strcmp(argv[1], "feed") || pipe(ends)) return 2;
  const long blocks = atol(argv[2]) * 1000000 / BLOCK;
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    execvp(argv[3], argv + 3);
    _exit(127);
  }
  close(ends[1]);
  FILE *from = fdopen(ends[0], "r");
  struct rusage use;
  double seconds = -1;
  if (fscanf(from, "%d", &port) == 1 && feed(port, blocks / 10) >= 0)
    seconds = feed(port, blocks); /* the first tenth warms up */
  kill(pid, SIGKILL);
  wait4(pid, &status, 0, &use);
  if (seconds < 0) return 1;
  const double bytes = (double)blocks * BLOCK;
  printf("%.3f %.1f\n", bytes / seconds / 1e9, cpu(&use) * 1e9 / (bytes * 1.1 / LINE));
  return 0;
}
