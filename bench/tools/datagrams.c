/* datagrams.c -- how late datagrams are that carry the time of their sending.
 *     datagrams send PORT COUNT US   to a port of loopback, one every US us
 *     datagrams receive PORT COUNT   one after the other; prints how late, in us: the median and the
 *                                    90th percentile */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int send_all(int fd, const struct sockaddr_in *to, int count, int us) {
  for (int i = 0; i < count; i++) {
    char text[32];
    const int len = snprintf(text, sizeof text, "%.9f", now());
    if (sendto(fd, text, (size_t)len, 0, (const struct sockaddr *)to, sizeof *to) < 0)
      return 1;
    usleep((useconds_t)us);
  }
  return 0;
}

static int receive_all(int fd, const struct sockaddr_in *at, int count) {
  double *late = calloc((size_t)count, sizeof *late);
  if (!late || bind(fd, (const struct sockaddr *)at, sizeof *at)) return 1;
  for (int i = 0; i < count; i++) {
    char text[32];
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    poll(&readable, 1, -1);
    const ssize_t len = recv(fd, text, sizeof text - 1, 0);
    if (len < 0) return 1;
    text[len] = 0;
    late[i] = (now() - atof(text)) * 1e6;
  }
  qsort(late, (size_t)count, sizeof *late, by_size);
  printf("%.1f %.1f\n", late[count / 2], late[count * 9 / 10]);
  free(late);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)atoi(argv[2])),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (!strcmp(argv[1], "receive")) return receive_all(fd, &at, atoi(argv[3]));
  return send_all(fd, &at, atoi(argv[3]), argc > 4 ? atoi(argv[4]) : 3000);
}
