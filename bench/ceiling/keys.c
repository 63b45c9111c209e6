/* keys.c -- open addressing over doubles, with an LRU list where keys leave.
 * Rows: lru LIMIT (maxsize 1000, keys 0 .. LIMIT - 1), new (maxsize 1000, every key new),
 * distinct (no limit, 1000003 keys in a scattered order, again and again), count (2000
 * keys, how often each came). */
#include "bench.h"

enum { NIL = -1 };

typedef struct slot {
  double key;
  int32_t entry; /* NIL: free */
} slot;

static slot *table;
static uint64_t mask;
static int shift; /* the hash's top bits: whole numbers have zeros at the bottom */
static double *entry_key;
static int32_t *newer, *older, newest = NIL, oldest = NIL, used;

static inline uint64_t hash(double key) {
  uint64_t h;
  memcpy(&h, &key, sizeof h);
  return h * 0x9E3779B97F4A7C15u >> shift;
}

static inline uint64_t find(double key) {
  uint64_t i = hash(key);
  while (table[i].entry != NIL && table[i].key != key) i = (i + 1) & mask;
  return i;
}

static void erase(double key) {
  uint64_t hole = find(key);
  for (uint64_t i = (hole + 1) & mask; table[i].entry != NIL; i = (i + 1) & mask) {
    uint64_t home = hash(table[i].key);
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    table[hole] = table[i];
    hole = i;
  }
  table[hole].entry = NIL;
}

static void unlink_entry(int32_t e) {
  if (newer[e] == NIL)
    newest = older[e];
  else
    older[newer[e]] = older[e];
  if (older[e] == NIL)
    oldest = newer[e];
  else
    newer[older[e]] = newer[e];
}

static void link_newest(int32_t e) {
  newer[e] = NIL;
  older[e] = newest;
  if (newest != NIL) newer[newest] = e;
  newest = e;
  if (oldest == NIL) oldest = e;
}

static int seen_lru(double key, int32_t maxsize) {
  uint64_t i = find(key);
  int32_t e = table[i].entry;
  if (e != NIL) {
    if (e != newest) {
      unlink_entry(e);
      link_newest(e);
    }
    return 1;
  }
  if (used == maxsize) {
    e = oldest;
    unlink_entry(e);
    erase(entry_key[e]);
    i = find(key);
  } else {
    e = used++;
  }
  entry_key[e] = key;
  table[i] = (slot){key, e};
  link_newest(e);
  return 0;
}

static int seen(double key) {
  uint64_t i = find(key);
  if (table[i].entry != NIL) return 1;
  table[i] = (slot){key, 0};
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  checking = strcmp(argv[1], "check") == 0;
  const char *row = argv[2];
  int64_t limit = argc > 4 ? atoll(argv[3]) : 2000;
  int64_t n = (int64_t)atof(argv[argc - 1]);
  uint64_t room = strcmp(row, "distinct") == 0 ? 1u << 21 : 4096;
  table = malloc(room * sizeof *table);
  for (uint64_t i = 0; i < room; i++) table[i].entry = NIL;
  mask = room - 1;
  shift = 64 - __builtin_popcountll(mask);
  entry_key = malloc(2000 * sizeof *entry_key);
  newer = malloc(2000 * sizeof *newer);
  older = malloc(2000 * sizeof *older);
  double *numbers = random_numbers(65536, limit);

  double before = cpu_ns();
  if (strcmp(row, "lru") == 0) {
    for (int64_t i = 1; i <= n; i++)
      if (!seen_lru(numbers[i & 65535], 1000)) put(numbers[i & 65535]);
  } else if (strcmp(row, "new") == 0) {
    for (int64_t i = 1; i <= n; i++)
      if (!seen_lru((double)i, 1000)) put((double)i);
  } else if (strcmp(row, "distinct") == 0) {
    for (int64_t i = 1; i <= n; i++) {
      double key = (double)(i * 611953 % 1000003);
      if (!seen(key)) put(key);
    }
  } else {
    for (int64_t i = 1; i <= n; i++) { /* the entry is the count */
      uint64_t k = find(numbers[i & 65535]);
      if (table[k].entry == NIL) table[k] = (slot){numbers[i & 65535], 0};
      table[k].entry++;
      uint64_t five = find(5);
      put(table[five].entry == NIL ? 0 : table[five].entry);
    }
  }
  report(cpu_ns() - before, n);
  return 0;
}
