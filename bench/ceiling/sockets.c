/* sockets.c -- what from_tcp and from_udp are compared with, and what feeds them.
 *     sockets read                  a port, printed; counts the lines of each client that comes:
 *                                   read() into 128 KB, memchr
 *     sockets feed MB COMMAND ...   starts COMMAND, which prints its port first; sends that many MB
 *                                   of 100-byte lines and waits until it closes the connection.
 *                                   Prints GB/s, and the CPU time of COMMAND per line in ns.
 *     sockets receive               a port, printed; counts datagrams, recvmmsg() of 128, until one
 *                                   of one byte comes; prints the count
 *     sockets throw N COMMAND ...   starts COMMAND, which prints its port first; sends that many
 *                                   thousands of 100-byte datagrams as fast as it can, then some of
 *                                   one byte until COMMAND has printed its count. Prints how many
 *                                   millions came a second, the CPU time of COMMAND per datagram in
 *                                   ns, and the share that came. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <poll.h>
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

enum { SLOTS = 128, SLOT = 2048 };

static void prepare(struct mmsghdr *head, struct iovec *part, char *bytes, size_t len,
                    size_t stride) {
  for (int i = 0; i < SLOTS; i++) {
    part[i] = (struct iovec){bytes + (size_t)i * stride, len};
    head[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
  }
}

static int receive(void) {
  static char slots[SLOTS * SLOT];
  static struct mmsghdr head[SLOTS];
  static struct iovec part[SLOTS];
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
  struct sockaddr_in at = loopback(0);
  socklen_t len = sizeof at;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr *)&at, len)) return 1;
  getsockname(fd, (struct sockaddr *)&at, &len);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  prepare(head, part, slots, SLOT, SLOT);
  for (long count = 0;;) {
    const int n = recvmmsg(fd, head, SLOTS, MSG_WAITFORONE, NULL);
    if (n < 0) return 1;
    for (int i = 0; i < n; i++) {
      if (head[i].msg_len == 1) return printf("%ld\n", count) < 0;
      count++;
    }
  }
}

/* Seconds that it takes to send so many datagrams; *count: how many came. */
static double throw(FILE * from, int port, long datagrams, long *count) {
  static char text[LINE];
  static struct mmsghdr head[SLOTS];
  static struct iovec part[SLOTS];
  struct sockaddr_in to = loopback(port);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (connect(fd, (struct sockaddr *)&to, sizeof to)) return -1;
  prepare(head, part, text, sizeof text, 0);
  const double began = now();
  for (long sent = 0; sent < datagrams;) {
    const long left = datagrams - sent;
    const int n = sendmmsg(fd, head, left < SLOTS ? (unsigned)left : SLOTS, 0);
    if (n > 0) sent += n;
  }
  const double took = now() - began;
  for (struct pollfd poll_on = {.fd = fileno(from), .events = POLLIN};
       poll(&poll_on, 1, 10) == 0;)
    (void)!send(fd, ".", 1, 0);
  if (fscanf(from, "%ld", count) != 1) return -1;
  close(fd);
  return took;
}

int main(int argc, char **argv) {
  int ends[2], port = 0, status;
  if (argc == 2 && !strcmp(argv[1], "read")) return serve();
  if (argc == 2 && !strcmp(argv[1], "receive")) return receive();
  if (argc < 4 || pipe(ends)) return 2;
  const int lines = !strcmp(argv[1], "feed");
  if (!lines && strcmp(argv[1], "throw")) return 2;
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
  long came = 0;
  if (fscanf(from, "%d", &port) == 1) {
    if (!lines)
      seconds = throw(from, port, atol(argv[2]) * 1000, &came);
    else if (feed(port, blocks / 10) >= 0) /* the first tenth warms up */
      seconds = feed(port, blocks);
  }
  kill(pid, SIGKILL);
  wait4(pid, &status, 0, &use);
  if (seconds < 0) return 1;
  if (lines) {
    const double bytes = (double)blocks * BLOCK;
    printf("%.3f %.1f\n", bytes / seconds / 1e9,
           cpu(&use) * 1e9 / (bytes * 1.1 / LINE));
  } else {
    printf("%.3f %.1f %.4f\n", (double)came / seconds / 1e6,
           cpu(&use) * 1e9 / (double)came, (double)came / 1e3 / (double)atol(argv[2]));
  }
  return 0;
}
