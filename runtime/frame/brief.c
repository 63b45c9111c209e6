/* brief.c -- sum, squares or the largest of the last few rows (see brief.h).
 *
 * Missing values stand as 0 (of the largest: as -inf), and are counted in the same way.
 * Of the minimum all numbers are negated. What does not come out well, sums beyond all
 * numbers and squares that are small beside what they were taken about, is gone over
 * value by value.
 */
#include "frame/brief.h"
#include "agg/pair.h"
#include "agg/sum.h"
#include "agg/var.h"
#include "core/mem.h"

#include <math.h>
#include <string.h>

enum { ROWS = TW__BRIEF_ROWS, PIECE = 256, CELLS = ROWS + PIECE + 2, FEW = 3 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { SUM, LARGEST };

struct tw__brief {
  int agg;
  double ddof;
  int64_t rows, periods;
  double val[ROWS]; /* the last rows - 1; NaN: missing, or not there yet */
};

static ALWAYS_INLINE int is_var(int agg) {
  return agg == TW_AGG_VAR || agg == TW_AGG_STD;
}

static ALWAYS_INLINE int is_most(int agg) {
  return agg == TW_AGG_MIN || agg == TW_AGG_MAX;
}

struct tw__brief *tw__brief_open(int agg, double ddof, int64_t rows, int64_t periods) {
  struct tw__brief *b = tw__calloc(1, sizeof *b);
  if (!b) return NULL;
  b->agg = agg, b->ddof = ddof, b->rows = rows, b->periods = periods;
  for (int i = 0; i < ROWS; i++) b->val[i] = NAN;
  return b;
}

void tw__brief_close(struct tw__brief *b) {
  tw__free(b);
}

struct tw__brief *tw__brief_copy(const struct tw__brief *b) {
  struct tw__brief *copy = tw__malloc(sizeof *copy);
  if (copy) *copy = *b;
  return copy;
}

/* ---- all windows at once ---- */

static ALWAYS_INLINE tw__pair either(int how, tw__pair a, tw__pair b) {
  return how == SUM ? a + b : tw__pair_larger(a, b);
}

/* to[i] = a[i] and b[i - step] together, for i of first .. end - 1; one more is written. */
static ALWAYS_INLINE void join(int how, double *to, const double *a, const double *b,
                               int64_t step, int64_t first, int64_t end) {
  to[end] = 0;
  for (int64_t i = first; i < end; i += 2)
    tw__pair_to(to + i, either(how, tw__pair_at(a + i), tw__pair_at(b + i - step)));
}

enum { LEVELS = 5 };

/* Windows as two parts each: a[i], and b[i - step] unless that is NULL. */
struct parts {
  const double *a, *b;
  int64_t step;
  double level[LEVELS][CELLS]; /* of 2, 4, 8, 16, 32 rows */
  double sum[CELLS]; /* of all parts but the last, when they are more than one */
};

/* What is to be summed, or the largest of which is to be taken, in from, for the windows
 * that end at rows - 1 .. end - 1. from  has a cell more. */
static ALWAYS_INLINE void make_parts(struct parts *p, int how, const double *from,
                                     int64_t rows, int64_t end) {
  const double *cell = from; /* of width rows each */
  int64_t width = 1, done = 0;
  p->a = NULL;
  for (int k = 0; 2 * width <= rows; k++) {
    if (how == SUM && (rows & width)) {
      if (p->a) join(SUM, p->sum, p->a, cell, done, rows - 1, end);
      p->a = p->a ? p->sum : cell;
      done += width;
    }
    join(how, p->level[k], cell, cell, width, 2 * width - 1, end);
    cell = p->level[k];
    width *= 2;
  }
  p->b = cell;
  p->step = how == SUM ? done : rows - width;
  if (how == LARGEST) p->a = cell;
  if (!p->a) p->a = cell, p->b = NULL;
}

/* Of the windows that end at i and i + 1. */
static ALWAYS_INLINE tw__pair parts_at(const struct parts *p, int how, int64_t i) {
  tw__pair a = tw__pair_at(p->a + i);
  return p->b ? either(how, a, tw__pair_at(p->b + i - p->step)) : a;
}

/* ---- a window by itself ---- */

/* Sums too large for a double may be part of one that is not. */
static __attribute__((noinline)) double sum_anew(const double *val, int64_t rows) {
  const double small = 0x1p-80;
  struct tw__sum sum = {0, 0};
  for (int64_t i = 0; i < rows; i++)
    if (val[i] == val[i]) tw__sum_add(&sum, val[i] * small);
  return tw__sum_value(sum) / small;
}

static __attribute__((noinline)) double square_anew(const double *val, int64_t rows) {
  struct tw__var var = {0};
  for (int64_t i = rows - 1; i >= 0; i--) {
    if (val[i] != val[i]) continue;
    if (var.n <= 0) var.k = val[i];
    tw__var_add(&var, val[i]);
  }
  return tw__var_square(var.sums, var.n);
}

/* What pandas makes of n values with this sum of squares. */
static ALWAYS_INLINE double spread(const struct tw__brief *b, int agg, double square,
                                   double n) {
  if (!(n > b->ddof)) return NAN;
  double var = n == 1 ? 0 : square / (n - b->ddof);
  return agg == TW_AGG_STD ? sqrt(var) : var;
}

/* Of n values with this sum, or the largest of which is that. val  the window's. */
static ALWAYS_INLINE double result(const struct tw__brief *b, int agg, double all,
                                   double n, const double *val) {
  if (n < (double)b->periods || (n == 0 && agg != TW_AGG_SUM)) return NAN;
  if (is_var(agg)) return spread(b, agg, square_anew(val, b->rows), n);
  if (is_most(agg)) return agg == TW_AGG_MIN ? -all : all;
  if (!(all - all == 0)) all = sum_anew(val, b->rows);
  return agg == TW_AGG_MEAN ? all / n : all;
}

/* val  the rows before and n new ones. */
static ALWAYS_INLINE void push_few(const struct tw__brief *b, int agg,
                                   const double *val, double *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double all = is_most(agg) ? -INFINITY : 0;
    int64_t count = 0;
    for (int64_t k = i; k < i + b->rows; k++) {
      double x = val[k];
      count += x == x;
      if (is_most(agg))
        all = x > all ? x : all;
      else
        all += x == x ? x : 0;
    }
    out[i] = result(b, agg, all, (double)count, val + i);
  }
}

/* ---- pieces ---- */

/* val  the rows before and n new ones, none of which is missing. */
static ALWAYS_INLINE void push_sums(const struct tw__brief *b, int agg,
                                    const double *val, double *restrict out,
                                    int64_t n) {
  const int64_t last = b->rows - 1;
  const double rows = (double)b->rows;
  struct parts sums;
  tw__pair odd = {0, 0};
  make_parts(&sums, SUM, val, b->rows, last + n);
  for (int64_t i = 0; i < n; i += 2) {
    tw__pair y = parts_at(&sums, SUM, last + i);
    odd += y - y;
    tw__pair_put(out, i, n, agg == TW_AGG_MEAN ? y / tw__pair_of(rows) : y);
  }
  if (odd[0] == 0 && odd[1] == 0) return;
  for (int64_t i = 0; i < n; i++)
    out[i] = result(b, agg, parts_at(&sums, SUM, last + i)[0], rows, val + i);
}

static ALWAYS_INLINE void push_most(const struct tw__brief *b, int agg,
                                    const double *val, double *restrict out,
                                    int64_t n) {
  const int64_t last = b->rows - 1;
  struct parts most;
  make_parts(&most, LARGEST, val, b->rows, last + n);
  for (int64_t i = 0; i < n; i += 2) {
    tw__pair y = parts_at(&most, LARGEST, last + i);
    tw__pair_put(out, i, n, agg == TW_AGG_MIN ? -y : y);
  }
}

/* About one value all squares; where what remains of them is small, about another. */
static ALWAYS_INLINE void push_squares(const struct tw__brief *b, int agg,
                                       const double *val, double *restrict out,
                                       int64_t n) {
  struct parts one, two;
  double y[CELLS], yy[CELLS], k = val[b->rows - 1];
  const double rows = (double)b->rows;
  const int64_t last = b->rows - 1, end = last + n;
  const tw__pair each = tw__pair_of(1 / rows), free = tw__pair_of(1 / (rows - b->ddof)),
                 small = tw__pair_of(0x1p-10);
  y[end] = yy[end] = 0;
  for (int64_t i = 0; i < end; i++) {
    y[i] = val[i] - k;
    yy[i] = y[i] * y[i];
  }
  make_parts(&one, SUM, y, b->rows, end);
  make_parts(&two, SUM, yy, b->rows, end);
  for (int64_t i = 0; i < n; i += 2) {
    tw__pair sum = parts_at(&one, SUM, last + i), about = parts_at(&two, SUM, last + i);
    tw__pair square = about - sum * sum * each;
    int fits = tw__pair_positive(square - about * small);
    square *= free;
    if (agg == TW_AGG_STD) square = tw__pair_root(square);
    if (!fits) {
      square[0] = result(b, agg, 0, rows, val + i);
      square[1] = i + 1 < n ? result(b, agg, 0, rows, val + i + 1) : 0;
    }
    tw__pair_put(out, i, n, square);
  }
}

/* With missing values. */
static ALWAYS_INLINE void push_some(const struct tw__brief *b, int agg,
                                    const double *val, double *out, int64_t n) {
  const int how = is_most(agg) ? LARGEST : SUM;
  struct parts counts, all;
  double cell[CELLS], there[CELLS];
  const int64_t last = b->rows - 1, end = last + n;
  for (int64_t i = 0; i < end; i++) {
    const double none = is_most(agg) ? -INFINITY : 0;
    there[i] = val[i] == val[i];
    cell[i] = val[i] == val[i] ? val[i] : none;
  }
  there[end] = cell[end] = 0;
  make_parts(&counts, SUM, there, b->rows, end);
  make_parts(&all, how, cell, b->rows, end);
  for (int64_t i = 0; i < n; i++) {
    double count = parts_at(&counts, SUM, last + i)[0];
    out[i] = result(b, agg, parts_at(&all, how, last + i)[0], count, val + i);
  }
}

/* The rows before and n new ones; infinite ones are missing. Whether all are there. */
static ALWAYS_INLINE int load(struct tw__brief *b, int agg, double *restrict val,
                              const double *restrict from, int64_t n) {
  const int64_t last = b->rows - 1;
  double odd = 0;
  tw__pair odds = {0, 0};
  int64_t i = 0;
  for (; i < last; i++) {
    val[i] = b->val[i];
    odd += val[i] - val[i];
  }
  for (i = 0; i + 2 <= n; i += 2) {
    tw__pair x = tw__pair_at(from + i), none = x - x;
    odds += none;
    tw__pair_to(val + last + i, (agg == TW_AGG_MIN ? -x : x) + none);
  }
  for (; i < n; i++) {
    double x = agg == TW_AGG_MIN ? -from[i] : from[i];
    odd += x - x;
    val[last + i] = x + (x - x);
  }
  val[last + n] = 0;
  memcpy(b->val, val + n, (size_t)last * sizeof *val);
  return odd + (odds[0] + odds[1]) == 0;
}

static ALWAYS_INLINE void push_piece(struct tw__brief *b, int agg,
                                     const double *restrict from, double *restrict out,
                                     int64_t n) {
  double val[CELLS];
  int all = load(b, agg, val, from, n);
  if (n <= FEW)
    push_few(b, agg, val, out, n);
  else if (!all)
    push_some(b, agg, val, out, n);
  else if (is_most(agg))
    push_most(b, agg, val, out, n);
  else if (is_var(agg) && b->rows > 1 && (double)b->rows > b->ddof)
    push_squares(b, agg, val, out, n);
  else if (is_var(agg))
    push_few(b, agg, val, out, n);
  else
    push_sums(b, agg, val, out, n);
}

void tw__brief_push(struct tw__brief *b, const double *val, double *out, int64_t n) {
  for (int64_t i = 0; i < n; i += PIECE) {
    int64_t size = n - i < PIECE ? n - i : PIECE;
    switch (b->agg) {
    case TW_AGG_SUM: push_piece(b, TW_AGG_SUM, val + i, out + i, size); break;
    case TW_AGG_MEAN: push_piece(b, TW_AGG_MEAN, val + i, out + i, size); break;
    case TW_AGG_VAR: push_piece(b, TW_AGG_VAR, val + i, out + i, size); break;
    case TW_AGG_STD: push_piece(b, TW_AGG_STD, val + i, out + i, size); break;
    case TW_AGG_MIN: push_piece(b, TW_AGG_MIN, val + i, out + i, size); break;
    default: push_piece(b, TW_AGG_MAX, val + i, out + i, size);
    }
  }
}
