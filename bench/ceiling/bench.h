/* bench.h -- what the C comparisons share: a CPU clock, the checksum and the numbers of
 * bench/ops.lua. Each program is called as
 *     PROGRAM time|check ROW... N
 * and prints "ns per element <tab> elements", or the checksum of all that reached the sink. */
#ifndef BENCH_H
#define BENCH_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The sink: `last` when timed, the checksum when checked. */
static volatile double last;
static int checking;
static int64_t count;
static uint64_t sum;

static inline void fold(double v) {
  sum = (sum * 31 + (uint64_t)fmod(v, 2147483647.0)) % 2147483647u;
}

static inline void put(double v) {
  if (!checking) {
    last = v;
    return;
  }
  count++;
  fold(v);
}

/* Whole numbers in 0 .. limit - 1: the sequence of bench/ops.lua. */
static inline double *random_numbers(int n, int64_t limit) {
  int64_t seed = 42;
  double *out = malloc((size_t)n * sizeof *out);
  for (int i = 0; i < n; i++) {
    seed = seed * 16807 % 2147483647;
    out[i] = (double)(seed / 128 % limit);
  }
  return out;
}

static inline void report(double ns, int64_t n) {
  if (checking)
    printf("%lld:%llu\n", (long long)count, (unsigned long long)sum);
  else
    printf("%.4f\t%lld\n", ns / (double)n, (long long)n);
}

#endif
