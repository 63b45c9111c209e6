/* naive.h -- aggregates of a window, gone over value by value; numbers to try them with. */
#ifndef TIDEWAY_SPEC_NAIVE_H
#define TIDEWAY_SPEC_NAIVE_H

#include "made.h"

#include <math.h>

enum { ROWS = 6000 };

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of n rows, NaN missing. */
static __attribute__((unused)) double naive(int agg, double param, const double *row,
                                            int64_t n, int64_t periods) {
  static double val[ROWS];
  long double sum = 0, square = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (row[i] == row[i]) val[count++] = row[i], sum += (long double)row[i];
  if ((agg == TW_AGG_COUNT ? n : count) < periods) return NAN;
  if (agg == TW_AGG_COUNT) return (double)count;
  if (agg == TW_AGG_SUM) return (double)sum;
  if (!count) return NAN;
  if (agg == TW_AGG_MEAN) return (double)(sum / (long double)count);
  for (int64_t i = 0; i < count; i++) {
    long double y = (long double)val[i] - sum / (long double)count;
    square += y * y;
  }
  if (agg == TW_AGG_VAR || agg == TW_AGG_STD) {
    if (!((double)count > param)) return NAN;
    double var = (double)square / ((double)count - param);
    return agg == TW_AGG_STD ? sqrt(var) : var;
  }
  qsort(val, (size_t)count, sizeof *val, by_size);
  if (agg == TW_AGG_MIN) return val[0];
  if (agg == TW_AGG_MAX) return val[count - 1];
  double at = (agg == TW_AGG_MEDIAN ? 0.5 : param) * (double)(count - 1);
  int64_t low = (int64_t)at, high = low + 1 < count ? low + 1 : low;
  return val[low] + (val[high] - val[low]) * (at - (double)low);
}

static __attribute__((unused)) int near(double a, double b, double scale) {
  if (a == b || (a != a && b != b)) return 1;
  double size = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
  return fabs(a - b) <= 1e-9 * size + scale;
}

/* Some are missing. character: 0 small, 1 with an offset, 2 whole, 3 of very different
 * sizes, 4 infinite, 5 always the same. */
static __attribute__((unused)) double number(int character) {
  double x = check_unit() - 0.5;
  if (check_below(12) == 0) return NAN;
  switch (character) {
  case 0: return x;
  case 1: return 1e9 + x;
  case 2: return floor(x * 6);
  case 3: return check_below(30) ? x : x * 1e15;
  case 4: return check_below(20) ? x : check_below(2) ? INFINITY : -INFINITY;
  default: return 3.5;
  }
}

#endif
