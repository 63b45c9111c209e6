/* frames.c -- the rows of bench/frames.lua as plain loops over columns, as one writes them in C.
 *     frames time ROW BATCH SECONDS      prints us per batch
 *     frames check ROW BATCH BATCHES     prints the checksum
 * Names are numbers on arrival. Time is the process's CPU time, without moving the clock of the
 * batches on. "memory" has one batch, and many names. */
#include "bench.h"

enum { NAMES = 10, SPAN_NS = 2000000000 };

static int64_t rows_of_batch, batches, all;
static uint32_t *name;
static double *x, *amount;
static int64_t *ts;

/* What reaches the sink: count and weighted sum of the cells, when checked. */
static double weighted;

static inline void cell(double v) {
  if (v == v) weighted += v * (double)(1 + count % 7);
  count++;
}

static inline void column(const double *v, int64_t n) {
  if (!checking)
    last = n ? v[n - 1] : 0;
  else
    for (int64_t i = 0; i < n; i++) cell(v[i]);
}

static uint32_t *out_name;
static double *out_x, *out_amount;
static int64_t *out_ts;

static int64_t selected(int64_t at, int64_t bob) {
  int64_t k = 0;
  for (int64_t i = at; i < at + rows_of_batch; i++) {
    out_name[k] = name[i], out_x[k] = x[i], out_amount[k] = amount[i],
    out_ts[k] = ts[i];
    k += (x[i] > 50000) & (bob < 0 || name[i] == (uint32_t)bob);
  }
  return k;
}

static void filter(int64_t at) {
  int64_t k = selected(at, -1);
  column(out_x, k);
  column(out_amount, k);
}

static void query(int64_t at) {
  int64_t k = selected(at, 1);
  column(out_x, k);
  column(out_amount, k);
}

static double total;

static void cumsum(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++) {
    double v = amount[at + i];
    if (v == v) total += v;
    out_x[i] = v == v ? total : v;
  }
  column(out_x, rows_of_batch);
}

static void all_sum(int64_t at) {
  double a = 0, b = 0, c = 0, d = 0;
  int64_t i = 0;
  for (; i + 4 <= rows_of_batch; i += 4) {
    const double *v = amount + at + i;
    a += v[0] == v[0] ? v[0] : 0;
    b += v[1] == v[1] ? v[1] : 0;
    c += v[2] == v[2] ? v[2] : 0;
    d += v[3] == v[3] ? v[3] : 0;
  }
  for (; i < rows_of_batch; i++) a += amount[at + i];
  total += a + b + c + d;
  column(&total, 1);
}

static void arithmetic(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++) out_x[i] = amount[at + i] * 2 + x[at + i];
  column(out_x, rows_of_batch);
}

static double sums[NAMES];
static int64_t counts[NAMES], held[NAMES];

/* The groups there are, by name. */
static void means(void) {
  int64_t k = 0;
  for (uint32_t g = 0; g < NAMES; g++) {
    if (!held[g]) continue;
    out_name[k] = g;
    out_x[k++] = sums[g] / (double)counts[g];
  }
  column(out_x, k);
}

static inline void enter(uint32_t g, double v) {
  held[g]++;
  if (v == v) sums[g] += v, counts[g]++;
}

static inline void leave(uint32_t g, double v) {
  held[g]--;
  if (v == v) sums[g] -= v, counts[g]--;
}

static void groupby(int64_t at) {
  for (int64_t i = at; i < at + rows_of_batch; i++) enter(name[i], amount[i]);
  means();
}

static void filter_groupby(int64_t at) {
  int64_t k = selected(at, -1);
  for (int64_t i = 0; i < k; i++) enter(out_name[i], out_amount[i]);
  means();
}

/* One batch of many names, again and again. */
static int64_t groups;
static struct {
  double sum;
  int64_t count, rows;
} * group;

static void memory(int64_t at) {
  for (int64_t i = at; i < at + rows_of_batch; i++) {
    uint32_t g = name[i];
    group[g].rows++;
    if (amount[i] == amount[i]) group[g].sum += amount[i], group[g].count++;
  }
  int64_t k = 0;
  for (uint32_t g = 0; g < groups; g++) {
    if (!group[g].rows) continue;
    out_name[k] = g;
    out_x[k++] = group[g].sum / (double)group[g].count;
  }
  column(out_x, k);
}

/* The rows of a window, in a ring. */
enum { RING = 1 << 17 };
static uint32_t ring_name[RING];
static double ring_amount[RING];
static int64_t ring_ts[RING];
static uint64_t head, tail;

static inline void push(int64_t i) {
  uint64_t at = tail++ & (RING - 1);
  ring_name[at] = name[i], ring_amount[at] = amount[i], ring_ts[at] = ts[i];
}

static inline void pop_group(void) {
  uint64_t at = head++ & (RING - 1);
  leave(ring_name[at], ring_amount[at]);
}

static void window_groupby(int64_t at) {
  for (int64_t i = at; i < at + rows_of_batch; i++) {
    push(i);
    enter(name[i], amount[i]);
    if (tail - head > 1000) pop_group();
  }
  means();
}

static void value_groupby(int64_t at) {
  for (int64_t i = at; i < at + rows_of_batch; i++) {
    push(i);
    enter(name[i], amount[i]);
    while (ring_ts[head & (RING - 1)] <= ts[i] - SPAN_NS) pop_group();
  }
  means();
}

static void value_sum(int64_t at) {
  for (int64_t i = at; i < at + rows_of_batch; i++) {
    push(i);
    total += amount[i];
    while (ring_ts[head & (RING - 1)] <= ts[i] - SPAN_NS)
      total -= ring_amount[head++ & (RING - 1)];
  }
  column(&total, 1);
}

/* Rolling: two stacks for sum and max, Welford's update for std, two heaps for median. */
static int64_t size, fill;
static double *in, *front, back;
static int64_t flip_left, back_count;

static inline double combine(double a, double b, int max) {
  return max ? (a > b ? a : b) : a + b;
}

static inline __attribute__((always_inline)) double two_stacks(double v, int max) {
  double empty = max ? -INFINITY : 0;
  if (flip_left + back_count == size) {
    if (flip_left == 0) {
      double acc = empty;
      for (int64_t i = size - 1; i >= 0; i--) front[i] = acc = combine(in[i], acc, max);
      flip_left = size;
      back_count = 0;
    }
    flip_left--;
  }
  back = back_count == 0 ? v : combine(back, v, max);
  in[back_count++] = v;
  if (flip_left + back_count < size) return NAN;
  return flip_left ? combine(front[size - flip_left], back, max) : back;
}

static void rolling_sum(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++) out_x[i] = two_stacks(amount[at + i], 0);
  column(out_x, rows_of_batch);
}

static void rolling_mean(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++)
    out_x[i] = two_stacks(amount[at + i], 0) / (double)size;
  column(out_x, rows_of_batch);
}

static void rolling_max(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++) out_x[i] = two_stacks(amount[at + i], 1);
  column(out_x, rows_of_batch);
}

static double mean, m2;

static void rolling_std(int64_t at) {
  for (int64_t i = 0; i < rows_of_batch; i++) {
    double v = amount[at + i], before = mean;
    if (fill < size) {
      mean += (v - mean) / (double)++fill;
      m2 += (v - before) * (v - mean);
    } else {
      double old = in[head % (uint64_t)size];
      mean += (v - old) / (double)size;
      m2 += (v - old) * (v - mean + old - before);
    }
    in[head++ % (uint64_t)size] = v;
    out_x[i] = fill < size ? NAN : sqrt(m2 / (double)(size - 1));
  }
  column(out_x, rows_of_batch);
}

/* Two heaps of slots of the ring: the lower half, its largest on top, and the upper half. A new
 * value takes the slot, and so the half, of the one that leaves; the tops then change places when
 * they are the wrong way round. */
static struct heap {
  int64_t *slot, n;
  double sign; /* -1: the largest on top */
} heaps[2] = {{.sign = -1}, {.sign = 1}};
static int64_t *place; /* of a slot in its heap */
static char *half;     /* the heap that it is in */

static inline double key(const struct heap *h, int64_t k) {
  return h->sign * in[h->slot[k]];
}

static inline void put_at(struct heap *h, int64_t k, int64_t slot) {
  h->slot[k] = slot;
  place[slot] = k;
}

/* Element k has changed. */
static void settle(struct heap *h, int64_t k) {
  int64_t slot = h->slot[k], next;
  double v = h->sign * in[slot];
  for (; k > 0 && key(h, (k - 1) / 2) > v; k = (k - 1) / 2)
    put_at(h, k, h->slot[(k - 1) / 2]);
  for (; (next = 2 * k + 1) < h->n; k = next) {
    if (next + 1 < h->n && key(h, next + 1) < key(h, next)) next++;
    if (key(h, next) >= v) break;
    put_at(h, k, h->slot[next]);
  }
  put_at(h, k, slot);
}

static void rolling_median(int64_t at) {
  struct heap *low = &heaps[0], *high = &heaps[1];
  if (!place) {
    place = calloc((size_t)size, sizeof *place), half = calloc((size_t)size, 1);
    low->slot = calloc((size_t)size, sizeof *place),
    high->slot = calloc((size_t)size, sizeof *place);
  }
  for (int64_t i = 0; i < rows_of_batch; i++) {
    int64_t slot = (int64_t)(head++ % (uint64_t)size);
    in[slot] = amount[at + i];
    if (fill < size) {
      half[slot] = (char)(fill++ % 2);
      struct heap *h = &heaps[(int)half[slot]];
      put_at(h, h->n++, slot);
    }
    settle(&heaps[(int)half[slot]], place[slot]);
    if (high->n && in[low->slot[0]] > in[high->slot[0]]) {
      int64_t a = low->slot[0], b = high->slot[0];
      half[a] = 1, half[b] = 0;
      put_at(low, 0, b), put_at(high, 0, a);
      settle(low, 0), settle(high, 0);
    }
    out_x[i] = fill < size ? NAN
               : size % 2  ? in[low->slot[0]]
                           : (in[low->slot[0]] + in[high->slot[0]]) / 2;
  }
  column(out_x, rows_of_batch);
}

static const struct {
  const char *name;
  void (*run)(int64_t at);
  int64_t size;
} rows[] = {
    {"filter", filter, 0},
    {"query", query, 0},
    {"cumsum", cumsum, 0},
    {"sum", all_sum, 0},
    {"arithmetic", arithmetic, 0},
    {"groupby", groupby, 0},
    {"window groupby", window_groupby, 0},
    {"value window groupby", value_groupby, 0},
    {"value window sum", value_sum, 0},
    {"rolling", rolling_mean, 1000},
    {"filter groupby", filter_groupby, 0},
    {"memory", memory, -1},
    {"rolling sum", rolling_sum, -1},
    {"rolling mean", rolling_mean, -1},
    {"rolling std", rolling_std, -1},
    {"rolling max", rolling_max, -1},
    {"rolling median", rolling_median, -1},
};

static double *numbers(int64_t limit, int64_t seed) {
  double *out = malloc((size_t)all * sizeof *out);
  for (int64_t i = 0; i < all; i++) {
    seed = seed * 16807 % 2147483647;
    out[i] = (double)(seed / 128 % limit);
  }
  return out;
}

/* "rolling sum 1000" is the row "rolling sum" with that size. */
static int find(const char *text) {
  for (int k = 0; k < (int)(sizeof rows / sizeof *rows); k++) {
    size_t len = strlen(rows[k].name);
    if (rows[k].size >= 0 && strcmp(text, rows[k].name) == 0) {
      size = rows[k].size;
      return k;
    }
    if (rows[k].size < 0 && strncmp(text, rows[k].name, len) == 0 && text[len] == ' ') {
      size = atoll(text + len + 1);
      return k;
    }
  }
  return -1;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  int row = find(argv[2]);
  if (row < 0) return 3;
  checking = strcmp(argv[1], "check") == 0;
  rows_of_batch = atoll(argv[3]);
  batches = checking               ? atoll(argv[4])
            : rows_of_batch == 1   ? 20000
            : rows_of_batch == 100 ? 1000
                                   : 20;
  groups = rows[row].run == memory ? size : NAMES;
  if (rows[row].run == memory) batches = 1;
  group = calloc((size_t)groups, sizeof *group);
  all = rows_of_batch * batches;
  double *codes = numbers(groups, 7);
  x = numbers(100000, 42);
  amount = numbers(1000, 99);
  name = malloc((size_t)all * sizeof *name);
  ts = malloc((size_t)all * sizeof *ts);
  for (int64_t i = 0; i < all; i++) name[i] = (uint32_t)codes[i], ts[i] = i * 1000000;
  int64_t room = rows_of_batch + groups + 1;
  out_name = malloc((size_t)room * sizeof *out_name);
  out_x = malloc((size_t)room * sizeof *out_x);
  out_amount = malloc((size_t)room * sizeof *out_amount);
  out_ts = malloc((size_t)room * sizeof *out_ts);
  in = calloc((size_t)size + 1, sizeof *in);
  front = calloc((size_t)size + 1, sizeof *front);

  double took = 0;
  int64_t done = 0;
  for (int64_t round = 0; checking ? round < 1 : took < atof(argv[4]) * 1e9; round++) {
    double before = cpu_ns();
    for (int64_t k = 0; k < batches; k++) rows[row].run(k * rows_of_batch);
    if (round > 0)
      took += cpu_ns() - before, done += batches; /* the first fills the windows */
    for (int64_t i = 0; i < all; i++) ts[i] += all * 1000000;
  }
  if (checking)
    printf("%lld:%.17g\n", (long long)count, weighted);
  else
    printf("%.6f\n", took / 1e3 / (double)done);
  return 0;
}
