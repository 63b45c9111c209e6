/* window.c -- sliding windows over a ring of tagged 16-byte values.
 * Rows: emit SIZE (push, look at both ends), resum SIZE (add the window up every time),
 * sum SIZE (two stacks over the ring: no drift), max SIZE (two stacks). */
#include "bench.h"

typedef struct value {
  double num;
  uint32_t len, type;
} value;

static value *ring;
static uint64_t mask, head, tail;
static int64_t size;

static inline void push(double x) {
  if ((int64_t)(tail - head) == size) head++;
  ring[tail++ & mask] = (value){.num = x, .type = 1};
}

static inline double at(uint64_t k) {
  return ring[(head + k) & mask].type == 1 ? ring[(head + k) & mask].num : NAN;
}

static void emit(double x) {
  push(x);
  if (checking) {
    count++;
    for (uint64_t k = 0; k < tail - head; k++) fold(at(k));
    fold(7);
  } else {
    last = at(0) + at(tail - head - 1);
  }
}

static void resum(double x) {
  push(x);
  double total = 0;
  for (uint64_t k = 0; k < tail - head; k++) total += at(k);
  put(total);
}

/* Two stacks: front[i] aggregates in[i .. flip), back everything since the flip. */
static double *in, *front;
static int64_t flip_left, back_count;
static double back;

static inline double combine(double a, double b, int max) {
  return max ? (a > b ? a : b) : a + b;
}

static inline __attribute__((always_inline)) void roll(double x, int max) {
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
  back = back_count == 0 ? x : combine(back, x, max);
  in[back_count++] = x;
  put(flip_left ? combine(front[size - flip_left], back, max) : back);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  checking = strcmp(argv[1], "check") == 0;
  size = atoll(argv[3]);
  int64_t n = (int64_t)atof(argv[4]);
  uint64_t room = 1;
  while ((int64_t)room < size) room *= 2;
  ring = calloc(room, sizeof *ring);
  mask = room - 1;
  in = calloc((size_t)size, sizeof *in);
  front = calloc((size_t)size, sizeof *front);
  double *numbers = random_numbers(65536, 1000000);

  double before = cpu_ns();
  if (strcmp(argv[2], "emit") == 0)
    for (int64_t i = 1; i <= n; i++) emit((double)i);
  else if (strcmp(argv[2], "resum") == 0)
    for (int64_t i = 1; i <= n; i++) resum((double)i);
  else if (strcmp(argv[2], "sum") == 0)
    for (int64_t i = 1; i <= n; i++) roll((double)i, 0);
  else
    for (int64_t i = 1; i <= n; i++) roll(numbers[i & 65535], 1);
  report(cpu_ns() - before, n);
  return 0;
}
