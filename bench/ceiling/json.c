/* json.c -- read, split, and scan every record's keys by hand for "name" and "amount".
 *     json FILE
 * prints the sum of Alice's amounts. A straightforward scanner for flat objects, not a
 * whole parser: the least that reading two fields of each record costs. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 128 << 10, ROOM = 1 << 20 };
static char buf[ROOM + CHUNK + 64];

static const char *string_end(const char *p) { /* p: behind the opening quote */
  for (; *p != '"' && *p != '\n'; p++)
    if (*p == '\\') p++;
  return p;
}

static const char *space(const char *p) {
  while (*p == ' ' || *p == '\t' || *p == ':' || *p == ',') p++;
  return p;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int file = open(argv[1], O_RDONLY);
  if (file < 0) return 1;
  double total = 0;
  long held = 0;
  for (ssize_t n; (n = read(file, buf + held, CHUNK)) > 0;) {
    char *p = buf, *end = buf + held + n;
    for (char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
      const char *c = p + 1, *name = "", *amount = NULL;
      long name_len = 0;
      while ((c = space(c)) < nl && *c == '"') {
        const char *key = c + 1, *key_end = string_end(key);
        c = space(key_end + 1);
        const char *value = c;
        if (*c == '"')
          c = string_end(c + 1) + 1;
        else
          while (*c != ',' && *c != '}' && *c != '\n') c++;
        if (key_end - key == 4 && memcmp(key, "name", 4) == 0) {
          name = value + 1;
          name_len = c - 1 - name;
        } else if (key_end - key == 6 && memcmp(key, "amount", 6) == 0) {
          amount = value;
        }
      }
      if (name_len == 5 && memcmp(name, "Alice", 5) == 0 && amount)
        total += strtod(amount, NULL);
    }
    held = end - p;
    if (held > ROOM) return 1;
    memmove(buf, p, (size_t)held);
  }
  printf("%.2f\n", total);
  return 0;
}
