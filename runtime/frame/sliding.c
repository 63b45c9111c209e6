/* sliding.c -- sum, squares or the largest of the last n rows (see sliding.h).
 *
 * Within a block sums are plain; blocks are put together compensated (agg/sum.h), squares
 * about the mean of those before (agg/var.h). Of the minimum all numbers are negated.
 *
 * As long as no value is missing a *run* of rows, up to the next border of a block, is
 * done in one loop; whatever is out of the ordinary (missing values, sums beyond all
 * numbers, a window that is not full yet) is left to the steps for a single row.
 */
#include "frame/sliding.h"
#include "agg/pair.h"
#include "agg/sum.h"
#include "agg/var.h"
#include "core/mem.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64, BLOCK_LEAST = 32, RUN_LEAST = 3 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* An aggregate of some rows. */
union part {
  struct tw__sum sum;
  struct tw__var var;
  double most;
};

struct tw__sliding {
  int agg;
  double ddof, sign;
  int64_t rows, periods;
  int64_t block;         /* rows of a block */
  double *val;           /* room blocks */
  union part *part;      /* of each block of the back; of the front, what is behind */
  int64_t *missing;      /* of each block */
  int64_t room, full;    /* how many blocks there are; that are ever needed */
  int64_t held, count;   /* rows, values */
  int64_t head, head_at; /* the block of the oldest row, its place there */
  int64_t tail, tail_at; /* of the next row */
  int64_t front, back;   /* blocks behind the head's; behind those, up to the tail's */
  union part rest, acc, mid; /* mid: both */
  struct {                   /* plain sums, or the largest, of a part of a block */
    double one, two, k, n;   /* two, k: squares about k */
  } pre;                     /* of the tail */
  int opened;                /* whether the ends below are those of the head's block */
  int64_t left;              /* the end that is in the window */
  double k;                  /* of the ends */
  double one[BLOCK + 1], two[BLOCK + 1], n[BLOCK];
};

static ALWAYS_INLINE int is_sum(int agg) {
  return agg == TW_AGG_SUM || agg == TW_AGG_MEAN;
}

static ALWAYS_INLINE int is_var(int agg) {
  return agg == TW_AGG_VAR || agg == TW_AGG_STD;
}

static ALWAYS_INLINE double larger(double a, double b) {
  return a > b ? a : b;
}

static ALWAYS_INLINE double either(int sum, double a, double b) {
  return sum ? a + b : larger(a, b);
}

/* ---- parts ---- */

static ALWAYS_INLINE union part nothing(int agg) {
  union part none;
  memset(&none, 0, sizeof none);
  if (!is_sum(agg) && !is_var(agg)) none.most = -INFINITY;
  return none;
}

static ALWAYS_INLINE union part both(int agg, union part a, union part b) {
  if (is_sum(agg))
    a.sum = tw__sum_join(a.sum, b.sum);
  else if (is_var(agg))
    a.var = tw__var_join(a.var, b.var);
  else
    a.most = larger(a.most, b.most);
  return a;
}

/* ---- open, close ---- */

static int64_t block_of(int64_t rows) {
  if (rows <= BLOCK) return rows;
  for (int64_t n = BLOCK; n >= BLOCK_LEAST; n--)
    if (rows % n == 0) return n; /* then head and tail come to their borders together */
  return BLOCK;
}

static void forget_tail(struct tw__sliding *s, int agg) {
  s->pre.one = is_sum(agg) || is_var(agg) ? 0 : -INFINITY;
  s->pre.two = s->pre.k = s->pre.n = 0;
  s->tail_at = 0;
}

struct tw__sliding *tw__sliding_open(int agg, double ddof, int64_t rows,
                                     int64_t periods) {
  struct tw__sliding *s = tw__calloc(1, sizeof *s);
  if (!s) return NULL;
  s->agg = agg, s->ddof = ddof, s->rows = rows, s->periods = periods;
  s->sign = agg == TW_AGG_MIN ? -1 : 1;
  s->block = block_of(rows);
  s->full = rows / s->block + 2;
  s->rest = s->acc = s->mid = nothing(agg);
  forget_tail(s, agg);
  s->one[0] = s->pre.one;
  return s;
}

void tw__sliding_close(struct tw__sliding *s) {
  if (!s) return;
  tw__free(s->val);
  tw__free(s->part);
  tw__free(s->missing);
  tw__free(s);
}

static int enlarge(void *array, int64_t n, size_t size) {
  void *old, *more;
  memcpy(&old, array, sizeof old);
  more = tw__realloc(old, (size_t)n * size);
  if (!more) return TW_ENOMEM;
  memcpy(array, &more, sizeof more);
  return TW_OK;
}

/* Place for n rows more. While there are fewer blocks than will be needed none was taken
 * twice. */
static int make_room(struct tw__sliding *s, int64_t n) {
  if (s->room == s->full) return TW_OK;
  int64_t need = s->tail + (s->tail_at + n) / s->block + 2;
  if (need <= s->room) return TW_OK;
  int64_t room = need < 2 * s->room ? 2 * s->room : need;
  if (room > s->full) room = s->full;
  if (enlarge(&s->val, room * s->block, sizeof *s->val)) return TW_ENOMEM;
  if (enlarge(&s->part, room, sizeof *s->part)) return TW_ENOMEM;
  if (enlarge(&s->missing, room, sizeof *s->missing)) return TW_ENOMEM;
  s->room = room;
  return TW_OK;
}

static void *same(const void *array, int64_t n, size_t size) {
  void *copy = tw__malloc((size_t)n * size + 1);
  if (copy && n) memcpy(copy, array, (size_t)n * size);
  return copy;
}

struct tw__sliding *tw__sliding_copy(const struct tw__sliding *s) {
  struct tw__sliding *copy = tw__malloc(sizeof *copy);
  if (!copy) return NULL;
  *copy = *s;
  copy->val = same(s->val, s->room * s->block, sizeof *s->val);
  copy->part = same(s->part, s->room, sizeof *s->part);
  copy->missing = same(s->missing, s->room, sizeof *s->missing);
  if (copy->val && copy->part && copy->missing) return copy;
  tw__sliding_close(copy);
  return NULL;
}

/* ---- blocks ---- */

static inline int64_t next(const struct tw__sliding *s, int64_t block) {
  return block + 1 == s->full ? 0 : block + 1;
}

/* The back becomes the front. */
static void flip(struct tw__sliding *s, int agg) {
  union part behind = nothing(agg);
  int64_t block = s->tail;
  for (int64_t i = 0; i < s->back; i++) {
    block = block ? block - 1 : s->full - 1;
    union part here = s->part[block];
    s->part[block] = behind;
    behind = both(agg, here, behind);
  }
  s->front = s->back;
  s->back = 0;
  s->acc = nothing(agg);
}

/* The ends of a block, plain sums or the largest. Without missing values four at a time,
 * so that only one step of four waits for the one before. */
static ALWAYS_INLINE void ends(double *restrict one, const double *restrict val,
                               int64_t n, int sum, int missing) {
  double end = sum ? 0 : -INFINITY;
  for (; n >= 4 && !missing; n -= 4) {
    const double *x = val + n - 4;
    double d = x[3], cd = either(sum, x[2], d), bcd = either(sum, x[1], cd);
    one[n - 1] = end;
    one[n - 2] = either(sum, end, d);
    one[n - 3] = either(sum, end, cd);
    one[n - 4] = either(sum, end, bcd);
    end = either(sum, end, either(sum, either(sum, x[0], x[1]), cd));
  }
  while (n-- > 0) {
    one[n] = end;
    if (!missing || val[n] == val[n]) end = either(sum, end, val[n]);
  }
}

/* The squares of the ends of a block, about its last value. */
static void end_squares(struct tw__sliding *s, const double *val) {
  double one = 0, two = 0, n = 0, k = 0;
  for (int64_t i = s->block - 1; i >= 0; i--) {
    s->one[i] = one, s->two[i] = two, s->n[i] = n;
    if (val[i] != val[i]) continue;
    if (n == 0) k = val[i];
    double y = val[i] - k;
    one += y, two += y * y, n += 1;
  }
  s->k = k;
}

/* The same without missing values, two at a time. */
static void end_squares_of_all(struct tw__sliding *s, const double *val) {
  double one = 0, two = 0, k = s->k = val[s->block - 1];
  int64_t i = s->block;
  for (; i >= 2; i -= 2) {
    double a = val[i - 2] - k, b = val[i - 1] - k, aa = a * a, bb = b * b;
    s->one[i - 1] = one, s->two[i - 1] = two;
    s->one[i - 2] = one + b, s->two[i - 2] = two + bb;
    one += a + b, two += aa + bb;
  }
  if (i) s->one[0] = one, s->two[0] = two;
  for (i = 0; i < s->block; i++) s->n[i] = (double)(s->block - 1 - i);
}

/* The first row of the head's block is about to leave: end i is of the rows behind row
 * i. */
static ALWAYS_INLINE void open_head(struct tw__sliding *s, int agg) {
  if (!s->front) flip(s, agg);
  s->front--;
  s->opened = 1;
  s->rest = s->part[s->head];
  s->mid = both(agg, s->rest, s->acc);
  const double *val = s->val + s->head * s->block;
  if (is_var(agg) && s->missing[s->head])
    end_squares(s, val);
  else if (is_var(agg))
    end_squares_of_all(s, val);
  else if (s->missing[s->head])
    ends(s->one, val, s->block, is_sum(agg), 1);
  else
    ends(s->one, val, s->block, is_sum(agg), 0);
}

/* The tail's block is full. */
static ALWAYS_INLINE void close_tail(struct tw__sliding *s, int agg) {
  union part all;
  if (is_sum(agg))
    all.sum = (struct tw__sum){s->pre.one, 0};
  else if (is_var(agg))
    all.var = (struct tw__var){s->pre.n, s->pre.k, {s->pre.one, s->pre.two}};
  else
    all.most = s->pre.one;
  s->part[s->tail] = all;
  s->missing[s->tail] = s->block - (int64_t)s->pre.n;
  s->acc = both(agg, s->acc, all);
  s->mid = both(agg, s->rest, s->acc);
  s->back++;
  s->tail = next(s, s->tail);
  forget_tail(s, agg);
}

/* ---- a row ---- */

static ALWAYS_INLINE void leave_block(struct tw__sliding *s) {
  s->head_at = 0;
  s->head = next(s, s->head);
  s->opened = 0;
}

static ALWAYS_INLINE void leave(struct tw__sliding *s, int agg) {
  if (!s->opened) open_head(s, agg);
  double x = s->val[s->head * s->block + s->head_at];
  s->count -= x == x;
  s->left = s->head_at++;
  if (s->head_at == s->block) leave_block(s);
}

static ALWAYS_INLINE void enter(struct tw__sliding *s, int agg, double x) {
  s->val[s->tail * s->block + s->tail_at++] = x;
  if (x != x) return;
  s->count++;
  if (is_sum(agg)) {
    s->pre.one += x;
  } else if (is_var(agg)) {
    if (s->pre.n == 0) s->pre.k = x;
    double y = x - s->pre.k;
    s->pre.one += y, s->pre.two += y * y;
  } else {
    s->pre.one = larger(s->pre.one, x);
  }
  s->pre.n += 1;
}

/* Sums too large for a double may be part of one that is not: all rows are gone over, in
 * numbers small enough. */
static __attribute__((noinline)) double sum_anew(const struct tw__sliding *s) {
  const double small = 0x1p-80;
  struct tw__sum sum = {0, 0};
  int64_t block = s->head, at = s->head_at;
  for (int64_t i = 0; i < s->held; i++) {
    double x = s->val[block * s->block + at];
    if (x == x) tw__sum_add(&sum, x * small);
    if (++at == s->block) at = 0, block = next(s, block);
  }
  return tw__sum_value(sum) / small;
}

static ALWAYS_INLINE double sum_now(const struct tw__sliding *s) {
  double sum = s->mid.sum.s + (s->mid.sum.c + (s->one[s->left] + s->pre.one));
  return __builtin_expect(sum - sum == 0, 1) ? sum : sum_anew(s);
}

/* What all squares are taken about: the mean of whole blocks, or one of the values. */
static ALWAYS_INLINE double centre(const struct tw__sliding *s) {
  return s->mid.var.n > 0 ? s->mid.var.k : s->pre.n > 0 ? s->pre.k : s->k;
}

static ALWAYS_INLINE double square_now(const struct tw__sliding *s) {
  double k = centre(s);
  int64_t at = s->left;
  struct tw__var_sums end = {s->one[at], s->two[at]}, tail = {s->pre.one, s->pre.two};
  end = tw__var_shift(end, s->n[at], s->k - k);
  tail = tw__var_shift(tail, s->pre.n, s->pre.k - k);
  struct tw__var_sums all = {s->mid.var.sums.s1 + end.s1 + tail.s1,
                             s->mid.var.sums.s2 + end.s2 + tail.s2};
  return tw__var_square(all, (double)s->count);
}

/* What pandas makes of n values with this sum of squares. */
static ALWAYS_INLINE double spread(const struct tw__sliding *s, int agg) {
  double n = (double)s->count;
  if (!(n > s->ddof)) return NAN;
  double var = s->count == 1 ? 0 : square_now(s) / (n - s->ddof);
  return agg == TW_AGG_STD ? sqrt(var) : var;
}

static ALWAYS_INLINE double result(const struct tw__sliding *s, int agg) {
  if (s->count < s->periods) return NAN;
  if (s->count == 0) return agg == TW_AGG_SUM ? 0 : NAN;
  if (agg == TW_AGG_SUM) return sum_now(s);
  if (agg == TW_AGG_MEAN) return sum_now(s) / (double)s->count;
  if (is_var(agg)) return spread(s, agg);
  return s->sign * larger(s->mid.most, larger(s->one[s->left], s->pre.one));
}

/* ---- rows ---- */

static ALWAYS_INLINE void push_rows(struct tw__sliding *s, int agg,
                                    const double *restrict val, double *restrict out,
                                    int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double x = val[i] - val[i] == 0 ? val[i] : NAN;
    if (s->held == s->rows)
      leave(s, agg);
    else
      s->held++;
    enter(s, agg, agg == TW_AGG_MIN ? -x : x);
    out[i] = result(s, agg);
    if (s->tail_at == s->block) close_tail(s, agg);
  }
}

/* The three kinds of runs: n rows come and as many go, all their values there. Whether
 * all results are numbers; if not, nothing has happened. */
static ALWAYS_INLINE int run_sum(struct tw__sliding *s, int agg,
                                 const double *restrict val, double *restrict out,
                                 int64_t n) {
  const double *restrict end = s->one + s->head_at, count = (double)s->count;
  const double large = s->mid.sum.s, small = s->mid.sum.c;
  double sum = s->pre.one, odd = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    double a = val[i], b = val[i + 1], c = val[i + 2], d = val[i + 3];
    double ab = a + b, abc = ab + c;
    a = large + (small + (end[i] + (sum + a)));
    b = large + (small + (end[i + 1] + (sum + ab)));
    d = sum + (ab + (c + d));
    c = large + (small + (end[i + 2] + (sum + abc)));
    sum = d;
    d = large + (small + (end[i + 3] + sum));
    odd += ((a - a) + (b - b)) + ((c - c) + (d - d));
    out[i] = agg == TW_AGG_MEAN ? a / count : a;
    out[i + 1] = agg == TW_AGG_MEAN ? b / count : b;
    out[i + 2] = agg == TW_AGG_MEAN ? c / count : c;
    out[i + 3] = agg == TW_AGG_MEAN ? d / count : d;
  }
  for (; i < n; i++) {
    sum += val[i];
    double y = large + (small + (end[i] + sum));
    odd += y - y;
    out[i] = agg == TW_AGG_MEAN ? y / count : y;
  }
  if (odd != 0) return 0;
  s->pre.one = sum;
  return 1;
}

/* The squares of the tail about k, row by row. */
static ALWAYS_INLINE void tail_squares(struct tw__sliding *s, double k,
                                       const double *restrict val, double *restrict one,
                                       double *restrict two, int64_t n) {
  double sum1 = s->pre.one, sum2 = s->pre.two;
  int64_t i = 0;
  for (; i + 2 <= n; i += 2) {
    double a = val[i] - k, b = val[i + 1] - k, aa = a * a, bb = b * b;
    one[i] = sum1 + a, two[i] = sum2 + aa;
    one[i + 1] = sum1 += a + b, two[i + 1] = sum2 += aa + bb;
  }
  if (i == n) return;
  double y = val[i] - k;
  one[i] = sum1 + y, two[i] = sum2 + y * y;
}

/* With end and tail about the centre of all, k - gap, this is tw__var_shift for both:
 *     s1 + n gap    s2 + 2 gap s1 + n gap^2 */
static ALWAYS_INLINE int run_square(struct tw__sliding *s, int agg,
                                    const double *restrict val, double *restrict out,
                                    int64_t n) {
  double one[BLOCK + 1], two[BLOCK + 1];
  const double k = s->pre.n == 0 ? val[0] : s->pre.k;
  const double about = s->mid.var.n > 0 ? s->mid.var.k : k, count = (double)s->count;
  const tw__pair gap = tw__pair_of(k - about), gap_end = tw__pair_of(s->k - about);
  const tw__pair twice = gap + gap, twice_end = gap_end + gap_end;
  const tw__pair square_gap = gap * gap, square_end = gap_end * gap_end;
  const tw__pair each = tw__pair_of(1 / count),
                 free = tw__pair_of(1 / (count - s->ddof));
  const tw__pair mid1 = tw__pair_of(s->mid.var.sums.s1);
  const tw__pair mid2 = tw__pair_of(s->mid.var.sums.s2);
  const double first = (double)(s->block - 1 - s->head_at);
  tw__pair left = {first, first - 1}, size = {s->pre.n + 1, s->pre.n + 2};
  int fits = 1;
  tail_squares(s, k, val, one, two, n);
  if (n & 1) one[n] = one[n - 1], two[n] = two[n - 1];
  for (int64_t i = 0; i < n; i += 2) {
    tw__pair tail = tw__pair_at(one + i), end = tw__pair_at(s->one + s->head_at + i);
    tw__pair all = mid1 + (end + left * gap_end) + (tail + size * gap);
    tw__pair of_end = tw__pair_at(s->two + s->head_at + i) + twice_end * end;
    tw__pair of_tail = tw__pair_at(two + i) + twice * tail;
    tw__pair square = mid2 + (of_end + left * square_end) +
                      (of_tail + size * square_gap) - all * all * each;
    left -= tw__pair_of(2), size += tw__pair_of(2);
    if (i + 1 == n) square[1] = square[0];
    fits &= tw__pair_positive(square);
    square *= free;
    if (agg == TW_AGG_STD) square = tw__pair_root(square);
    tw__pair_put(out, i, n, square);
  }
  if (!fits) return 0;
  s->pre.one = one[n - 1], s->pre.two = two[n - 1], s->pre.k = k;
  return 1;
}

static ALWAYS_INLINE int run_most(struct tw__sliding *s, int agg,
                                  const double *restrict val, double *restrict out,
                                  int64_t n) {
  const double sign = agg == TW_AGG_MIN ? -1 : 1;
  const double *restrict end = s->one + s->head_at, mid = s->mid.most;
  double most = s->pre.one, odd = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    double a = sign * val[i], b = sign * val[i + 1], c = sign * val[i + 2],
           d = sign * val[i + 3];
    odd += ((a - a) + (b - b)) + ((c - c) + (d - d));
    double ab = larger(a, b), abc = larger(ab, c), abcd = larger(abc, d);
    out[i] = sign * larger(larger(mid, end[i]), larger(most, a));
    out[i + 1] = sign * larger(larger(mid, end[i + 1]), larger(most, ab));
    out[i + 2] = sign * larger(larger(mid, end[i + 2]), larger(most, abc));
    most = larger(most, abcd);
    out[i + 3] = sign * larger(larger(mid, end[i + 3]), most);
  }
  for (; i < n; i++) {
    double x = sign * val[i];
    odd += x - x;
    most = larger(most, x);
    out[i] = sign * larger(mid, larger(end[i], most));
  }
  if (odd != 0) return 0;
  s->pre.one = most;
  return 1;
}

/* Whether what comes may be a run. */
static ALWAYS_INLINE int may_run(const struct tw__sliding *s, int agg) {
  if (s->missing[s->head] || s->count < s->periods || s->count < 2) return 0;
  return !is_var(agg) || (double)s->count > s->ddof;
}

/* n rows, up to the next border of a block, for as many that go. */
static ALWAYS_INLINE int push_run(struct tw__sliding *s, int agg, const double *val,
                                  double *out, int64_t n) {
  if (!s->opened) open_head(s, agg);
  if (!may_run(s, agg)) return 0;
  if (is_sum(agg)   ? !run_sum(s, agg, val, out, n)
      : is_var(agg) ? !run_square(s, agg, val, out, n)
                    : !run_most(s, agg, val, out, n))
    return 0;
  double *place = s->val + s->tail * s->block + s->tail_at;
  for (int64_t i = 0; i < n; i++) place[i] = agg == TW_AGG_MIN ? -val[i] : val[i];
  s->pre.n += (double)n;
  s->left = s->head_at + n - 1;
  s->head_at += n, s->tail_at += n;
  if (s->head_at == s->block) leave_block(s);
  if (s->tail_at == s->block) close_tail(s, agg);
  return 1;
}

static ALWAYS_INLINE void push(struct tw__sliding *s, int agg, const double *val,
                               double *out, int64_t n) {
  while (n > 0) {
    int64_t run = s->block - (s->head_at > s->tail_at ? s->head_at : s->tail_at);
    if (run > n) run = n;
    if (run < RUN_LEAST || s->held < s->rows || !push_run(s, agg, val, out, run))
      push_rows(s, agg, val, out, run);
    val += run, out += run, n -= run;
  }
}

int tw__sliding_push(struct tw__sliding *s, const double *val, double *out, int64_t n) {
  if (make_room(s, n)) return TW_ENOMEM;
  switch (s->agg) {
  case TW_AGG_SUM: push(s, TW_AGG_SUM, val, out, n); break;
  case TW_AGG_MEAN: push(s, TW_AGG_MEAN, val, out, n); break;
  case TW_AGG_VAR: push(s, TW_AGG_VAR, val, out, n); break;
  case TW_AGG_STD: push(s, TW_AGG_STD, val, out, n); break;
  case TW_AGG_MIN: push(s, TW_AGG_MIN, val, out, n); break;
  default: push(s, TW_AGG_MAX, val, out, n);
  }
  return TW_OK;
}
