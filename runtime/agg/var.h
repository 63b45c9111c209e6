/* var.h -- sums of squares about a shift, for variances that large offsets do not
 * spoil.
 *
 * A part keeps sum(x - k) and sum((x - k)^2). What the final subtraction
 *
 *     sum((x - mean)^2) = s2 - s1^2 / n
 *
 * cancels is about n (mean - k)^2 of s2. With k one of the elements that is at most n
 * times the result, with k the mean of half of them at most as much as the result: so a
 * block takes its last element as k, and what stands for many blocks the rounded mean.
 * After Chan, Golub, LeVeque, The American Statistician 37(3), 1983.
 */
#ifndef TIDEWAY_AGG_VAR_H
#define TIDEWAY_AGG_VAR_H

#include <stdint.h>

/* The sums alone: whoever holds them knows k and n. */
struct tw__var_sums {
  double s1, s2;
};

struct tw__var {
  double n, k;
  struct tw__var_sums sums;
};

static inline void tw__var_add(struct tw__var *var, double x) {
  double y = x - var->k;
  var->n += 1;
  var->sums.s1 += y;
  var->sums.s2 += y * y;
}

/* What n elements with these sums have about another shift, k - gap. */
static inline struct tw__var_sums tw__var_shift(struct tw__var_sums sums, double n,
                                                double gap) {
  double move = n * gap;
  return (struct tw__var_sums){sums.s1 + move,
                               sums.s2 + gap * (sums.s1 + sums.s1 + move)};
}

/* sum((x - mean)^2) of n elements; inf when it is too large for a double. */
static inline double tw__var_square(struct tw__var_sums sums, double n) {
  double square = sums.s2 - sums.s1 * sums.s1 / n;
  if (__builtin_expect(square >= 0, 1)) return square;
  if (square < 0) return 0;
  return sums.s1 - sums.s1 == 0 ? __builtin_inf() : square; /* elements are finite */
}

/* The sums of all elements of both, about their rounded mean. */
struct tw__var tw__var_join(struct tw__var a, struct tw__var b);

/* Replaces n elements (each in s1), from 1, by the sums from each of them to the last,
 * about the last, which k of the result is. Returns the sums of all. */
struct tw__var tw__var_suffixes(struct tw__var_sums *cells, int64_t n);

#endif
