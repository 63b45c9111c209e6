/* quantile.h -- where a quantile lies among sorted elements, and its value there.
 *
 * Linear interpolation as in pandas and numpy: of n elements the quantile q is at
 * (n - 1) q, counted from 0.
 */
#ifndef TIDEWAY_AGG_QUANTILE_H
#define TIDEWAY_AGG_QUANTILE_H

#include <stdint.h>

/* Between two neighbouring ranks, part of the way from the lower to the upper one. */
struct tw__quantile {
  double q, part;
  int64_t rank;
};

static inline void tw__quantile_place(struct tw__quantile *at, int64_t n) {
  double place = at->q * (double)(n - 1);
  at->rank = (int64_t)place;
  at->part = place - (double)at->rank;
}

/* The value between the elements of that rank and the next. Half way is the mean of
 * both, as a median has it. */
static inline double tw__quantile_value(const struct tw__quantile *at, double low,
                                        double high) {
  if (at->part == 0 || low == high) return low;
  if (at->part != 0.5) return low + (high - low) * at->part;
  double sum = low + high;
  return sum - sum == 0 ? sum * 0.5 : low * 0.5 + high * 0.5;
}

#endif
