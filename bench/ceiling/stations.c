/* stations.c -- min, mean and max of each station of a file station;temperature.
 *     stations fused|plain FILE
 * fused: one pass over the bytes, a hash of the name on the way, whole tenths, open
 * addressing; plain: what comes to mind first, memchr, a table of strings, strtod. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 128 << 10, SLOTS = 1 << 14, HEAD = 4096 };
struct station {
  char name[104];
  size_t len;
  double low, high, sum;
  long count;
};
static struct station slot[SLOTS];
static char room[HEAD + CHUNK + 64];

static struct station *find(const char *name, size_t len, uint64_t hash) {
  for (uint64_t i = hash % SLOTS;; i = (i + 1) % SLOTS) {
    struct station *s = &slot[i];
    if (s->len == len && memcmp(s->name, name, len) == 0) return s;
    if (s->len) continue;
    memcpy(s->name, name, len);
    s->len = len;
    s->low = 1e9, s->high = -1e9;
    return s;
  }
}

static void add(struct station *s, double x) {
  if (x < s->low) s->low = x;
  if (x > s->high) s->high = x;
  s->sum += x;
  s->count++;
}

/* The whole lines of p .. end. Returns where the next one begins. */
static char *fused(char *p, char *end) {
  char *last = memrchr(p, '\n', (size_t)(end - p));
  if (!last) return p;
  while (p <= last) {
    char *name = p;
    uint64_t hash = 14695981039346656037u;
    for (; *p != ';'; p++) hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    size_t len = (size_t)(p++ - name);
    int minus = *p == '-', x = 0;
    for (p += minus; *p != '\n'; p++)
      if (*p != '.') x = x * 10 + *p - '0';
    p++;
    add(find(name, len, hash >> 20), minus ? -x : x);
  }
  return p;
}

static char *plain(char *p, char *end) {
  for (char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
    char *semicolon = memchr(p, ';', (size_t)(nl - p));
    uint64_t hash = 14695981039346656037u;
    for (char *q = p; q < semicolon; q++)
      hash = (hash ^ (unsigned char)*q) * 1099511628211u;
    add(find(p, (size_t)(semicolon - p), hash >> 20), strtod(semicolon + 1, NULL) * 10);
  }
  return p;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct station *)a)->name, ((const struct station *)b)->name);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  char *(*scan)(char *, char *) = strcmp(argv[1], "plain") == 0 ? plain : fused;
  int file = open(argv[2], O_RDONLY);
  if (file < 0) return 1;
  char *data = room + HEAD;
  size_t held = 0; /* bytes in front of data */
  for (ssize_t n; (n = read(file, data, CHUNK)) > 0;) {
    char *rest = scan(data - held, data + n);
    held = (size_t)(data + n - rest);
    if (held > HEAD) return 1;
    memmove(data - held, rest, held);
  }
  int n = 0;
  for (int i = 0; i < SLOTS; i++)
    if (slot[i].len) slot[n++] = slot[i];
  qsort(slot, (size_t)n, sizeof *slot, by_name);
  for (int i = 0; i < n; i++)
    printf("%s;%.1f;%.3f;%.1f\n", slot[i].name, slot[i].low / 10,
           slot[i].sum / 10 / (double)slot[i].count, slot[i].high / 10);
  return 0;
}
