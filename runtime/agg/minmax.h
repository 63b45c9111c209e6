/* minmax.h -- the maximum of a queue, in constant time even in the worst case.
 *
 * DABA Lite: Tangwongsan, Hirzel, Schneider, "In-order sliding-window aggregation in
 * worst-case constant time", VLDB J. 2021. Elements are first raw values at the back; a
 * few steps per operation turn them into maxima from their place on, which is what the
 * front needs, so there is never a pass over all of them:
 *
 *     f ..... l ..... r ..... a ..... b ..... e
 *      up to b  up to r  raw    up to b  raw          what val[i] is the maximum up to
 *
 * mid is the maximum of r .. b - 1, back that of b .. e - 1. The minimum is the maximum
 * of the negated elements.
 */
#ifndef TIDEWAY_AGG_MINMAX_H
#define TIDEWAY_AGG_MINMAX_H

#include <stdint.h>

struct tw__minmax {
  double *val;   /* ring; position i is val[i & mask] */
  uint64_t mask; /* at least as many places as elements are held */
  uint64_t f, l, r, a, b, e;
  double mid, back;
};

static inline double tw__minmax_of(double a, double b) {
  return a > b ? a : b;
}

static inline double *tw__minmax_at(struct tw__minmax *q, uint64_t i) {
  return &q->val[i & q->mask];
}

/* Restores the invariants after one element came or went. */
static inline void tw__minmax_step(struct tw__minmax *q) {
  const double none = -__builtin_inf();
  if (__builtin_expect(q->f == q->b,
                       0)) { /* at most one element is left: its own maximum */
    q->l = q->r = q->a = q->b = q->e;
    q->mid = q->back = none;
    return;
  }
  if (__builtin_expect(q->l == q->b,
                       0)) { /* the front is done: the back becomes middle */
    q->l = q->f;
    q->a = q->b = q->e;
    q->mid = q->back;
    q->back = none;
  }
  if (q->l == q->r) {
    q->l++, q->r++, q->a++;
    return;
  }
  double *left = tw__minmax_at(q, q->l++);
  *left = tw__minmax_of(*left, q->mid);
  double after = q->a == q->b ? none : *tw__minmax_at(q, q->a);
  double *right = tw__minmax_at(q, --q->a);
  *right = tw__minmax_of(*right, after);
}

/* Puts x, no NaN, in at the back; there must be a place for it. */
static inline void tw__minmax_push(struct tw__minmax *q, double x) {
  q->back = tw__minmax_of(q->back, x);
  *tw__minmax_at(q, q->e++) = x;
  tw__minmax_step(q);
}

/* Takes the oldest element out; there must be one. */
static inline void tw__minmax_drop(struct tw__minmax *q) {
  q->f++;
  tw__minmax_step(q);
}

/* The maximum; -inf when empty. */
static inline double tw__minmax_value(struct tw__minmax *q) {
  return q->f == q->b ? q->back : tw__minmax_of(*tw__minmax_at(q, q->f), q->back);
}

/* An empty queue for up to size elements. TW_OK, or TW_ENOMEM. */
int tw__minmax_init(struct tw__minmax *q, int64_t size);
void tw__minmax_fini(struct tw__minmax *q);

#endif
