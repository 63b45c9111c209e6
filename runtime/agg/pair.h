/* pair.h -- two numbers in one register, for loops that the compiler leaves alone.
 *
 * GCC's and Clang's vectors: + - * work on both; they may stand at any double's address.
 */
#ifndef TIDEWAY_AGG_PAIR_H
#define TIDEWAY_AGG_PAIR_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <math.h>
#include <stdint.h>

typedef double tw__pair __attribute__((vector_size(16)));
typedef double tw__pair_cell __attribute__((vector_size(16), aligned(8), may_alias));

static inline tw__pair tw__pair_at(const double *x) {
  return (tw__pair) * (const tw__pair_cell *)x;
}

static inline void tw__pair_to(double *x, tw__pair pair) {
  *(tw__pair_cell *)x = pair;
}

/* x[i] and, when it is one of n, x[i + 1]. */
static inline void tw__pair_put(double *x, int64_t i, int64_t n, tw__pair pair) {
  if (i + 1 < n)
    tw__pair_to(x + i, pair);
  else
    x[i] = pair[0];
}

static inline tw__pair tw__pair_of(double x) {
  return (tw__pair){x, x};
}

/* The larger ones of both; neither is NaN. */
static inline tw__pair tw__pair_larger(tw__pair a, tw__pair b) {
#ifdef __SSE2__
  return (tw__pair)_mm_max_pd((__m128d)a, (__m128d)b);
#else
  return (tw__pair){a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]};
#endif
}

static inline tw__pair tw__pair_root(tw__pair x) {
#ifdef __SSE2__
  return (tw__pair)_mm_sqrt_pd((__m128d)x);
#else
  return (tw__pair){sqrt(x[0]), sqrt(x[1])};
#endif
}

/* Whether both are 0 or more. */
static inline int tw__pair_positive(tw__pair x) {
#ifdef __SSE2__
  return _mm_movemask_pd(_mm_cmpge_pd((__m128d)x, _mm_setzero_pd())) == 3;
#else
  return x[0] >= 0 && x[1] >= 0;
#endif
}

#endif
