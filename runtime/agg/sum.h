/* sum.h -- compensated sums that can be put together.
 *
 * A sum is s + c: s as plain addition gives it, c the rounding errors it made, each of
 * them exact (TwoSum: Knuth, TAOCP 2, 4.2.2). Once s is not finite c means nothing, and
 * s alone is what IEEE arithmetic makes of the elements.
 */
#ifndef TIDEWAY_AGG_SUM_H
#define TIDEWAY_AGG_SUM_H

#include <stdint.h>

struct tw__sum {
  double s, c;
};

/* a + b, and what rounding lost of it. */
static inline double tw__sum_two(double a, double b, double *lost) {
  double t = a + b, of_b = t - a;
  *lost = (a - (t - of_b)) + (b - of_b);
  return t;
}

static inline void tw__sum_add(struct tw__sum *sum, double x) {
  double lost;
  sum->s = tw__sum_two(sum->s, x, &lost);
  sum->c += lost;
}

/* The sum of all elements of both. */
static inline struct tw__sum tw__sum_join(struct tw__sum a, struct tw__sum b) {
  double lost, s = tw__sum_two(a.s, b.s, &lost);
  return (struct tw__sum){s, (a.c + b.c) + lost};
}

static inline double tw__sum_value(struct tw__sum sum) {
  double value = sum.s + sum.c;
  return __builtin_expect(value == value, 1) ? value : sum.s;
}

/* Replaces n elements (each in s) by the sums from each of them to the last. Returns
 * the first of these: the sum of all. */
struct tw__sum tw__sum_suffixes(struct tw__sum *cells, int64_t n);

#endif
