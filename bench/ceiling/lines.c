/* lines.c -- read() into a buffer of 128 KB and split with memchr.
 *     lines count|has FILE
 * prints the lines, or those that contain ERROR (searched line by line: has.h). */
#define _GNU_SOURCE
#include "has.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 128 << 10, ROOM = 1 << 20 };
static char buf[ROOM + CHUNK + 64];

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int file = open(argv[2], O_RDONLY);
  if (file < 0) return 1;
  int search = strcmp(argv[1], "has") == 0;
  int (*has)(const char *, size_t) = has_best();
  long lines = 0, held = 0;
  for (ssize_t n; (n = read(file, buf + held, CHUNK)) > 0;) {
    char *p = buf, *end = buf + held + n;
    for (char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1)
      lines += search ? has(p, (size_t)(nl - p)) : 1;
    held = end - p;
    if (held > ROOM) return 1;
    memmove(buf, p, (size_t)held);
  }
  printf("%ld\n", lines);
  return 0;
}
