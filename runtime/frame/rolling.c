/* rolling.c -- one aggregate of the window that ends at each row.
 *
 * Of the last rows, sum, mean, var, std, min and max are frame/brief.h's and, of more than
 * 32, frame/sliding.h's. In all other cases the rows of the window stand in one buffer,
 * head .. tail - 1, NaN for missing values; what is in front of them goes when the buffer
 * is full. Nothing is ever subtracted:
 *
 * sum, mean, var, std   two stacks (Tangwongsan, Hirzel, Schneider, DEBS 2017): cell i has
 *                       the sums of rows i .. flip - 1, `back` those of flip .. tail - 1.
 *                       When the front is used up, cells are made of all rows.
 *
 *     | gone | gone | cell | cell | 0 | row | row |        back: the last three rows
 *                     ^ head        ^ flip          ^ tail
 *
 * min, max              agg/minmax.h, made larger when it is full; from the first late row on
 *                       frame/most.h, which late rows can be put into
 * median, quantile      agg/order.h, made twice as large when it is full
 * count                 numbers alone
 *
 * A late row is put in its place; its own result is computed by going over its window.
 */
#include "agg/minmax.h"
#include "agg/order.h"
#include "agg/quantile.h"
#include "agg/sum.h"
#include "agg/var.h"
#include "core/mem.h"
#include "frame/brief.h"
#include "frame/column.h"
#include "frame/most.h"
#include "frame/sliding.h"

#include <math.h>
#include <stdlib.h>

enum { PIECE = 1024, BLOCK = 32, ORDER_FIRST = 64, LARGE = 1 << 14 };

struct tw_rolling {
  int agg;
  double param;
  int64_t rows; /* 0: by value */
  double value;
  int64_t span;
  int64_t periods; /* min_periods */
  int type;        /* of the index; 0: not known yet */
  double *val;
  union key {
    int64_t i64;
    double f64;
  } * key;    /* by value */
  void *cell; /* struct tw__sum or tw__var; NULL: neither */
  int64_t head, flip, tail, room;
  int64_t count; /* values that are not missing */
  struct tw__sum sum;
  struct tw__var var;
  int late;                 /* whether a row has been */
  struct tw__minmax minmax; /* until then; of the minimum the numbers negated */
  struct tw__most most;
  struct tw__brief
      *brief; /* of these two one or none; then all from val on is not used */
  struct tw__sliding *sliding;
  struct tw__order order;
  int64_t order_room;
  struct tw__quantile place;
  double *spare; /* for the window of a late row */
  int64_t spare_room;
};

/* ---- open, close ---- */

static int is_sum(const tw_rolling *r) {
  return r->agg == TW_AGG_SUM || r->agg == TW_AGG_MEAN;
}

static int is_var(const tw_rolling *r) {
  return r->agg == TW_AGG_VAR || r->agg == TW_AGG_STD;
}

static int is_most(const tw_rolling *r) {
  return r->agg == TW_AGG_MIN || r->agg == TW_AGG_MAX;
}

static int is_order(const tw_rolling *r) {
  return r->agg == TW_AGG_MEDIAN || r->agg == TW_AGG_QUANTILE;
}

static int slides(const tw_rolling *r) {
  return is_sum(r) || is_var(r) || is_most(r);
}

tw_rolling *tw_rolling_open(int agg, double param, int64_t rows, double value,
                            int64_t min_periods) {
  if (agg < TW_AGG_COUNT || agg > TW_AGG_QUANTILE || rows < 0) return NULL;
  if (!rows && (!(value > 0) || isinf(value))) return NULL;
  if (min_periods < -1 || (rows && min_periods > rows)) return NULL;
  tw_rolling *r = tw__calloc(1, sizeof *r);
  if (!r) return NULL;
  r->agg = agg, r->param = param, r->rows = rows, r->value = value;
  r->periods = min_periods >= 0 ? min_periods : rows ? rows : 1;
  r->place.q = agg == TW_AGG_QUANTILE ? param : 0.5;
  if (is_var(r) && !(param >= 0 && !isinf(param))) goto fail;
  if (agg == TW_AGG_QUANTILE && !(param >= 0 && param <= 1)) goto fail;
  if (!rows || !slides(r)) return r;
  if (rows <= TW__BRIEF_ROWS)
    r->brief = tw__brief_open(agg, param, rows, r->periods);
  else
    r->sliding = tw__sliding_open(agg, param, rows, r->periods);
  if (!r->brief && !r->sliding) goto fail;
  return r;

fail:
  tw__free(r);
  return NULL;
}

void tw_rolling_close(tw_rolling *r) {
  if (!r) return;
  if (r->order_room) tw__order_fini(&r->order);
  tw__brief_close(r->brief);
  tw__sliding_close(r->sliding);
  tw__minmax_fini(&r->minmax);
  tw__free(r->most.entry);
  tw__free(r->val);
  tw__free(r->key);
  tw__free(r->cell);
  tw__free(r->spare);
  tw__free(r);
}

/* ---- the buffer ---- */

static int enlarge(void *array, int64_t room, size_t size) {
  void *old, *more;
  memcpy(&old, array, sizeof old);
  more = tw__realloc(old, (size_t)room * size);
  if (!more) return TW_ENOMEM;
  memcpy(array, &more, sizeof more);
  return TW_OK;
}

static size_t cell_size(const tw_rolling *r) {
  return is_sum(r) ? sizeof(struct tw__sum) : is_var(r) ? sizeof(struct tw__var) : 0;
}

/* Place for n rows more. */
static int make_room(tw_rolling *r, int64_t n) {
  int64_t held = r->tail - r->head;
  size_t size = cell_size(r);
  if (r->tail + n <= r->room) return TW_OK;
  /* What is held moves to the front when so much more has gone that it costs little. */
  int64_t gone = held < LARGE ? 4 * held : held;
  if (r->head > 0 && r->head >= gone) {
    memmove(r->val, r->val + r->head, (size_t)held * sizeof *r->val);
    if (!r->rows) memmove(r->key, r->key + r->head, (size_t)held * sizeof *r->key);
    if (size)
      memmove(r->cell, (char *)r->cell + (size_t)r->head * size,
              (size_t)(held + 1) * size); /* the 0 behind them too */
    r->flip -= r->head, r->tail = held, r->head = 0;
    if (r->flip < 0) r->flip = 0;
    if (r->tail + n <= r->room) return TW_OK;
  }
  int64_t room = 2 * r->room > r->tail + n ? 2 * r->room : r->tail + n;
  if (enlarge(&r->val, room, sizeof *r->val)) return TW_ENOMEM;
  if (!r->rows && enlarge(&r->key, room, sizeof *r->key)) return TW_ENOMEM;
  if (size && enlarge(&r->cell, room + 1, size)) return TW_ENOMEM;
  r->room = room;
  return TW_OK;
}

/* ---- sums ---- */

/* Cells of rows first .. end - 1, plain sums from each to the last. */
static inline double sum_back(const double *val, struct tw__sum *cell, int64_t first,
                              int64_t end, struct tw__sum behind) {
  double block = 0;
  for (int64_t i = end - 1; i >= first; i--) {
    block += val[i] == val[i] ? val[i] : 0;
    cell[i] = (struct tw__sum){behind.s, behind.c + block};
  }
  return block;
}

/* Within a block values are added plainly, to the compensated sum of those behind it:
 * so the additions of a block wait for each other, but not for their roundings. */
static __attribute__((noinline)) void flip_sums(tw_rolling *r) {
  struct tw__sum sum = {0, 0}, *cell = r->cell;
  for (int64_t end = r->tail; end > r->head;) {
    int64_t first = end - BLOCK > r->head ? end - BLOCK : r->head;
    tw__sum_add(&sum, sum_back(r->val, cell, first, end, sum));
    end = first;
  }
  r->flip = r->tail;
  r->sum = cell[r->tail] = (struct tw__sum){0, 0};
}

/* One rounding of what is left of s when the halves cancel, and all lost before. */
static inline double sum_of(struct tw__sum a, struct tw__sum b) {
  double s = a.s + b.s, sum = s + (a.c + b.c);
  return __builtin_expect(sum == sum, 1) ? sum : s;
}

static inline double sum_now(const tw_rolling *r) {
  const struct tw__sum *cell = r->cell;
  if (r->head >= r->flip) return tw__sum_value(r->sum);
  return sum_of(cell[r->head], r->sum);
}

/* ---- squares ---- */

static void add_square(struct tw__var *var, double x) {
  if (var->n <= 0) *var = (struct tw__var){.k = x};
  tw__var_add(var, x);
}

static __attribute__((noinline)) void flip_squares(tw_rolling *r) {
  struct tw__var var = {0}, *cell = r->cell;
  for (int64_t i = r->tail - 1; i >= r->head; i--) {
    if (r->val[i] == r->val[i]) add_square(&var, r->val[i]);
    cell[i] = var;
  }
  r->flip = r->tail;
  r->var = cell[r->tail] = (struct tw__var){0};
}

/* sum((x - mean)^2) of the window. */
static inline double square_now(const tw_rolling *r) {
  const struct tw__var *back = &r->var;
  if (r->head >= r->flip) return tw__var_square(back->sums, back->n);
  const struct tw__var *front = (const struct tw__var *)r->cell + r->head;
  if (front->n <= 0) return tw__var_square(back->sums, back->n);
  if (back->n <= 0) return tw__var_square(front->sums, front->n);
  struct tw__var_sums all = tw__var_shift(front->sums, front->n, front->k - back->k);
  all.s1 += back->sums.s1;
  all.s2 += back->sums.s2;
  return tw__var_square(all, front->n + back->n);
}

/* ---- sorted ---- */

static int order_grow(tw_rolling *r) {
  struct tw__order order;
  int64_t room = r->order_room ? 2 * r->order_room : ORDER_FIRST;
  int rc = tw__order_init(&order, room);
  if (rc) {
    tw__order_fini(&order);
    return rc;
  }
  double next;
  for (int64_t i = 0; i < r->count; i++)
    tw__order_insert(&order, tw__order_at(&r->order, i, &next));
  if (r->order_room) tw__order_fini(&r->order);
  r->order = order;
  r->order_room = room;
  return TW_OK;
}

static int order_add(tw_rolling *r, double x) {
  if (r->count == r->order_room && order_grow(r)) return TW_ENOMEM;
  tw__order_insert(&r->order, x + 0.0);
  return TW_OK;
}

static double order_now(tw_rolling *r) {
  double low, high;
  tw__quantile_place(&r->place, r->count);
  low = tw__order_at(&r->order, r->place.rank, &high);
  return tw__quantile_value(&r->place, low, high);
}

/* ---- the largest ---- */

static inline double sign_of(int agg) {
  return agg == TW_AGG_MIN ? -1 : 1;
}

static inline int64_t score_of(int agg, double x) {
  return tw__most_of_num(sign_of(agg) * x);
}

/* What a row stands under in most.h: its key, in order. */
static inline int64_t key_of(int type, union key key) {
  return type == TW_COL_F64 ? tw__most_of_num(key.f64) : key.i64;
}

static __attribute__((noinline)) int minmax_grow(tw_rolling *r) {
  struct tw__minmax more;
  if (tw__minmax_init(&more, r->minmax.val ? 2 * r->count : ORDER_FIRST))
    return TW_ENOMEM;
  for (int64_t i = r->head, n = 0; n < r->count; i++) {
    if (r->val[i] != r->val[i]) continue;
    tw__minmax_push(&more, sign_of(r->agg) * r->val[i]);
    n++;
  }
  tw__minmax_fini(&r->minmax);
  r->minmax = more;
  return TW_OK;
}

/* The value of a row behind all others; count is still without it. */
static inline int most_add(tw_rolling *r, int agg, double x, int64_t key) {
  if (r->late) return tw__most_add(&r->most, score_of(agg, x), key);
  if (!r->minmax.val || r->count > (int64_t)r->minmax.mask)
    if (minmax_grow(r)) return TW_ENOMEM;
  tw__minmax_push(&r->minmax, sign_of(agg) * x);
  return TW_OK;
}

static inline void most_drop(tw_rolling *r, int agg, double x) {
  if (r->late)
    tw__most_drop(&r->most, score_of(agg, x));
  else
    tw__minmax_drop(&r->minmax);
}

static inline double most_now(tw_rolling *r, int agg) {
  double most =
      r->late ? tw__most_num(tw__most_score(&r->most)) : tw__minmax_value(&r->minmax);
  return sign_of(agg) * most;
}

/* The first late row is about to be put in. */
static int most_late(tw_rolling *r) {
  for (int64_t i = r->head; i < r->tail; i++)
    if (r->val[i] == r->val[i] &&
        tw__most_add(&r->most, score_of(r->agg, r->val[i]), key_of(r->type, r->key[i])))
      return TW_ENOMEM;
  tw__minmax_fini(&r->minmax);
  r->minmax.val = NULL;
  r->late = 1;
  return TW_OK;
}

/* ---- rows come and go ---- */

/* The value of a row behind all others; count is still without it.
 * key  what the row stands under in most.h. */
static inline int take_in(tw_rolling *r, int agg, double x, int64_t key) {
  switch (agg) {
  case TW_AGG_SUM:
  case TW_AGG_MEAN: tw__sum_add(&r->sum, x); return TW_OK;
  case TW_AGG_VAR:
  case TW_AGG_STD: add_square(&r->var, x); return TW_OK;
  case TW_AGG_MIN:
  case TW_AGG_MAX: return most_add(r, agg, x, key);
  case TW_AGG_MEDIAN:
  case TW_AGG_QUANTILE: return order_add(r, x);
  default: return TW_OK;
  }
}

/* The oldest row leaves. */
static inline void let_go(tw_rolling *r, int agg) {
  if (r->head == r->flip) {
    if (agg == TW_AGG_SUM || agg == TW_AGG_MEAN) flip_sums(r);
    if (agg == TW_AGG_VAR || agg == TW_AGG_STD) flip_squares(r);
  }
  double x = r->val[r->head++];
  if (x != x) return;
  r->count--;
  if (agg == TW_AGG_MIN || agg == TW_AGG_MAX) most_drop(r, agg, x);
  if (agg == TW_AGG_MEDIAN || agg == TW_AGG_QUANTILE)
    tw__order_remove(&r->order, x + 0.0);
}

/* What pandas makes of n values with this sum of squares. */
static inline double spread(const tw_rolling *r, int agg, double square, double n) {
  if (!(n > r->param)) return NAN;
  double var = n == 1 ? 0 : square / (n - r->param);
  return agg == TW_AGG_STD ? sqrt(var) : var;
}

static inline double result(tw_rolling *r, int agg) {
  if (agg == TW_AGG_COUNT)
    return r->tail - r->head >= r->periods ? (double)r->count : NAN;
  if (r->count < r->periods) return NAN;
  if (agg == TW_AGG_SUM) return r->count ? sum_now(r) : 0;
  if (r->count == 0) return NAN;
  switch (agg) {
  case TW_AGG_MEAN: return sum_now(r) / (double)r->count;
  case TW_AGG_VAR:
  case TW_AGG_STD: return spread(r, agg, square_now(r), (double)r->count);
  case TW_AGG_MIN:
  case TW_AGG_MAX: return most_now(r, agg);
  default: return order_now(r);
  }
}

/* ---- windows of rows ---- */

/* The n values behind tail, which are in the buffer already. */
static inline __attribute__((always_inline)) int push_rows(tw_rolling *r, int agg,
                                                           double *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double x = r->val[r->tail++];
    if (__builtin_expect(x == x, 1)) {
      if (take_in(r, agg, x, 0)) return TW_ENOMEM;
      r->count++;
    }
    if (r->tail - r->head > r->rows) let_go(r, agg);
    out[i] = result(r, agg);
  }
  return TW_OK;
}

static int push_rows_of(tw_rolling *r, double *out, int64_t n) {
  if (r->agg == TW_AGG_COUNT) return push_rows(r, TW_AGG_COUNT, out, n);
  return push_rows(r, TW_AGG_QUANTILE, out, n);
}

static void run_order(tw_rolling *r, double *out, int64_t n) {
  double next;
  tw__quantile_place(&r->place, r->count);
  for (int64_t i = 0; i < n; i++) {
    tw__order_replace(&r->order, r->val[r->head++] + 0.0, r->val[r->tail++] + 0.0);
    double low = tw__order_at(&r->order, r->place.rank, &next);
    out[i] = tw__quantile_value(&r->place, low, next);
  }
}

static void run_count(tw_rolling *r, double *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = (double)r->rows;
  r->head += n, r->tail += n;
}

static int push_piece(tw_rolling *r, double *out, int64_t n, int64_t missing) {
  int64_t fill = r->rows - (r->tail - r->head);
  if (missing || n <= fill || r->count != r->tail - r->head)
    return push_rows_of(r, out, n);
  if (fill && push_rows_of(r, out, fill)) return TW_ENOMEM;
  out += fill, n -= fill;
  if (is_order(r))
    run_order(r, out, n);
  else
    run_count(r, out, n);
  return TW_OK;
}

/* ---- windows by value ---- */

static inline int before(const tw_rolling *r, union key a, union key b) {
  return r->type == TW_COL_F64 ? a.f64 < b.f64 : a.i64 < b.i64;
}

/* Whether a row is too old beside one that is not before it. */
static inline int too_old(const tw_rolling *r, union key old, union key young) {
  if (r->type == TW_COL_F64) return !(old.f64 > young.f64 - r->value);
  return (uint64_t)young.i64 - (uint64_t)old.i64 >= (uint64_t)r->span;
}

static int compare(const void *a, const void *b) {
  double x, y;
  memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

/* The result of rows first .. end - 1, which are any, and x behind them. */
static int late_result(tw_rolling *r, int64_t first, int64_t end, double x,
                       double *out) {
  int64_t n = 0, rows = end - first + 1;
  if (rows > r->spare_room) {
    if (enlarge(&r->spare, 2 * rows, sizeof *r->spare)) return TW_ENOMEM;
    r->spare_room = 2 * rows;
  }
  double *val = r->spare, least = INFINITY, most = -INFINITY, square = 0, rest = 0;
  struct tw__sum sum = {0, 0};
  for (int64_t i = first; i <= end; i++) {
    double y = i < end ? r->val[i] : x;
    if (y != y) continue;
    tw__sum_add(&sum, y);
    least = y < least ? y : least;
    most = y > most ? y : most;
    val[n++] = y + 0.0;
  }
  double mean = tw__sum_value(sum) / (double)n;
  *out = NAN;
  if ((r->agg == TW_AGG_COUNT ? rows : n) < r->periods) return TW_OK;
  if (!n && r->agg != TW_AGG_COUNT && r->agg != TW_AGG_SUM) return TW_OK;
  switch (r->agg) {
  case TW_AGG_COUNT: *out = (double)n; break;
  case TW_AGG_SUM: *out = tw__sum_value(sum); break;
  case TW_AGG_MEAN: *out = mean; break;
  case TW_AGG_MIN: *out = least; break;
  case TW_AGG_MAX: *out = most; break;
  case TW_AGG_VAR:
  case TW_AGG_STD:
    for (int64_t i = 0; i < n; i++) {
      square += (val[i] - mean) * (val[i] - mean);
      rest += val[i] - mean; /* the mean is rounded */
    }
    rest = rest * rest / (double)n;
    *out = spread(r, r->agg, rest < square ? square - rest : square, (double)n);
    break;
  default:
    qsort(val, (size_t)n, sizeof *val, compare);
    tw__quantile_place(&r->place, n);
    int64_t rank = r->place.rank;
    *out =
        tw__quantile_value(&r->place, val[rank], val[rank + 1 < n ? rank + 1 : rank]);
  }
  return TW_OK;
}

/* A row that belongs before others. There is place for it. */
static int put_late(tw_rolling *r, union key key, double x, double *out) {
  int64_t at = r->tail, first;
  while (at > r->head && before(r, key, r->key[at - 1])) at--;
  for (first = at; first > r->head && !too_old(r, r->key[first - 1], key); first--) {
  }
  if (late_result(r, first, at, x, out)) return TW_ENOMEM;
  if (too_old(r, key, r->key[r->tail - 1])) return TW_OK; /* not to come again */
  if (is_most(r) && !r->late && most_late(r)) return TW_ENOMEM;
  if (x == x && is_most(r) &&
      tw__most_add(&r->most, score_of(r->agg, x), key_of(r->type, key)))
    return TW_ENOMEM;
  if (x == x && is_order(r) && order_add(r, x)) return TW_ENOMEM;
  size_t behind = (size_t)(r->tail - at);
  memmove(&r->val[at + 1], &r->val[at], behind * sizeof *r->val);
  memmove(&r->key[at + 1], &r->key[at], behind * sizeof *r->key);
  r->val[at] = x;
  r->key[at] = key;
  r->tail++;
  r->count += x == x;
  if (at >= r->flip) {
    if (x == x && is_sum(r)) tw__sum_add(&r->sum, x);
    if (x == x && is_var(r)) add_square(&r->var, x);
    return TW_OK;
  }
  if (is_sum(r)) flip_sums(r);
  if (is_var(r)) flip_squares(r);
  return TW_OK;
}

/* Rows in order, which are in the buffer already. */
static inline __attribute__((always_inline)) int push_values(tw_rolling *r, int agg,
                                                             double *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double x = r->val[r->tail];
    union key key = r->key[r->tail++];
    if (x == x) {
      if (take_in(r, agg, x, key_of(r->type, key))) return TW_ENOMEM;
      r->count++;
    }
    while (too_old(r, r->key[r->head], key)) let_go(r, agg);
    out[i] = result(r, agg);
  }
  return TW_OK;
}

static int push_values_of(tw_rolling *r, double *out, int64_t n) {
  switch (r->agg) {
  case TW_AGG_COUNT: return push_values(r, TW_AGG_COUNT, out, n);
  case TW_AGG_SUM: return push_values(r, TW_AGG_SUM, out, n);
  case TW_AGG_MEAN: return push_values(r, TW_AGG_MEAN, out, n);
  case TW_AGG_VAR: return push_values(r, TW_AGG_VAR, out, n);
  case TW_AGG_STD: return push_values(r, TW_AGG_STD, out, n);
  case TW_AGG_MIN: return push_values(r, TW_AGG_MIN, out, n);
  case TW_AGG_MAX: return push_values(r, TW_AGG_MAX, out, n);
  default: return push_values(r, TW_AGG_QUANTILE, out, n);
  }
}

static int put_row(tw_rolling *r, union key key, double x, double *out) {
  if (make_room(r, 1)) return TW_ENOMEM;
  if (r->tail > r->head && before(r, key, r->key[r->tail - 1]))
    return put_late(r, key, x, out);
  r->val[r->tail] = x;
  r->key[r->tail] = key;
  return push_values_of(r, out, 1);
}

/* ---- in ---- */

/* The value of row i as pandas rolls it: infinite ones are missing, but not to count. */
static inline double value_at(const tw_rolling *r, const tw_column *col, int64_t i) {
  if (col->type == TW_COL_F64) {
    double x = col->f64[i];
    if (r->agg == TW_AGG_COUNT) return x == x ? 0 : NAN;
    return x - x == 0 ? x : NAN;
  }
  if (col->valid && !tw__column_bit(col->valid, i)) return NAN;
  if (col->type == TW_COL_BOOL) return col->b[i];
  return col->type == TW_COL_STRING ? 0 : (double)col->i64[i];
}

/* Rows base .. base + n - 1 into the buffer behind tail. Returns how many are missing. */
static int64_t load(tw_rolling *r, const tw_column *col, int64_t base, int64_t n) {
  double *val = r->val + r->tail;
  int64_t missing = 0;
  if (col->type == TW_COL_F64 && r->agg == TW_AGG_COUNT) {
    for (int64_t i = 0; i < n; i++) {
      double x = col->f64[base + i];
      val[i] = x == x ? 0 : x;
      missing += x != x;
    }
    return missing;
  }
  if (col->type == TW_COL_F64) {
    for (int64_t i = 0; i < n; i++) {
      double x = col->f64[base + i];
      val[i] = x + (x - x); /* NaN when it is infinite */
      missing += val[i] != val[i];
    }
    return missing;
  }
  for (int64_t i = 0; i < n; i++) {
    val[i] = value_at(r, col, base + i);
    missing += val[i] != val[i];
  }
  return missing;
}

static int slide(tw_rolling *r, const double *val, double *out, int64_t n) {
  if (r->sliding) return tw__sliding_push(r->sliding, val, out, n);
  tw__brief_push(r->brief, val, out, n);
  return TW_OK;
}

/* Sums, squares, the largest of rows. */
static int slide_column(tw_rolling *r, double *out, const tw_column *col) {
  double val[PIECE];
  if (col->type == TW_COL_F64) return slide(r, col->f64, out, col->len);
  for (int64_t base = 0; base < col->len; base += PIECE) {
    int64_t n = col->len - base < PIECE ? col->len - base : PIECE;
    for (int64_t i = 0; i < n; i++) val[i] = value_at(r, col, base + i);
    if (slide(r, val, out + base, n)) return TW_ENOMEM;
  }
  return TW_OK;
}

static int push_by_rows(tw_rolling *r, double *out, const tw_column *col) {
  if (r->brief || r->sliding) return slide_column(r, out, col);
  for (int64_t base = 0; base < col->len; base += PIECE) {
    int64_t n = col->len - base < PIECE ? col->len - base : PIECE;
    if (make_room(r, n)) return TW_ENOMEM;
    int64_t missing = load(r, col, base, n);
    if (push_piece(r, out + base, n, missing)) return TW_ENOMEM;
  }
  return TW_OK;
}

/* Whether rows base .. base + n - 1 have an index, and not below any before. */
static int in_order(const tw_rolling *r, const tw_column *index, int64_t base,
                    int64_t n) {
  int64_t i = base;
  union key last, key;
  if (index->valid) return 0;
  last.i64 = index->i64[base]; /* or the bits of a double */
  if (r->tail > r->head && before(r, last, r->key[r->tail - 1])) return 0;
  if (r->type == TW_COL_F64 && !(last.f64 - last.f64 == 0)) return 0;
  for (i++; i < base + n; i++, last = key) {
    key.i64 = index->i64[i];
    if (r->type == TW_COL_F64 ? !(key.f64 >= last.f64) : key.i64 < last.i64) return 0;
  }
  return r->type != TW_COL_F64 || last.f64 - last.f64 == 0;
}

static int push_one_by_one(tw_rolling *r, double *out, const tw_column *col,
                           const tw_column *index, int64_t base, int64_t n) {
  for (int64_t i = base; i < base + n; i++) {
    union key key = {.i64 = index->i64[i]};
    out[i] = NAN;
    if (r->type == TW_COL_F64 && !(key.f64 - key.f64 == 0)) continue;
    if (index->valid && !tw__column_bit(index->valid, i)) continue;
    if (put_row(r, key, value_at(r, col, i), &out[i])) return TW_ENOMEM;
  }
  return TW_OK;
}

static int push_by_value(tw_rolling *r, double *out, const tw_column *col,
                         const tw_column *index) {
  for (int64_t base = 0; base < col->len; base += PIECE) {
    int64_t n = col->len - base < PIECE ? col->len - base : PIECE;
    int rc = TW_OK;
    if (!in_order(r, index, base, n)) {
      rc = push_one_by_one(r, out, col, index, base, n);
    } else {
      if (make_room(r, n)) return TW_ENOMEM;
      load(r, col, base, n);
      memcpy(r->key + r->tail, index->i64 + base, (size_t)n * sizeof *r->key);
      rc = push_values_of(r, out + base, n);
    }
    if (rc) return rc;
  }
  return TW_OK;
}

static int check_index(tw_rolling *r, const tw_column *col, const tw_column *index) {
  if (!index || index->len != col->len) return TW_EINVAL;
  if (r->type) return r->type == index->type ? TW_OK : TW_ETYPE;
  if (index->type == TW_COL_STRING || index->type == TW_COL_BOOL) return TW_ETYPE;
  double span = index->type == TW_COL_TIMESTAMP ? rint(r->value * 1e9) : ceil(r->value);
  r->span = span < 0x1p63 ? (int64_t)span : INT64_MAX;
  r->type = index->type;
  return TW_OK;
}

int tw_rolling_push(tw_rolling *r, tw_column **out, const tw_column *col,
                    const tw_column *index) {
  int texts = col->type == TW_COL_STRING || col->type == TW_COL_TIMESTAMP;
  if (texts && r->agg != TW_AGG_COUNT) return TW_ETYPE;
  int rc = r->rows ? TW_OK : check_index(r, col, index);
  if (!rc) rc = tw_column_renew(out, TW_COL_F64, NULL, col->len);
  if (rc) return rc;
  double *to = (*out)->f64;
  return r->rows ? push_by_rows(r, to, col) : push_by_value(r, to, col, index);
}

/* ---- copy ---- */

tw_rolling *tw_rolling_copy(const tw_rolling *r) {
  int64_t min_periods = r->periods, n = r->tail - r->head;
  tw_rolling *copy = tw_rolling_open(r->agg, r->param, r->rows, r->value, min_periods);
  if (!copy) return NULL;
  copy->type = r->type, copy->span = r->span, copy->late = r->late;
  if (r->brief || r->sliding) {
    tw__brief_close(copy->brief), tw__sliding_close(copy->sliding);
    copy->brief = r->brief ? tw__brief_copy(r->brief) : NULL;
    copy->sliding = r->sliding ? tw__sliding_copy(r->sliding) : NULL;
    if (!copy->brief && !copy->sliding) goto fail;
    return copy;
  }
  if (n && make_room(copy, n)) goto fail;
  if (n) memcpy(copy->val, r->val + r->head, (size_t)n * sizeof *r->val);
  if (n && !r->rows) memcpy(copy->key, r->key + r->head, (size_t)n * sizeof *r->key);
  for (int64_t i = 0; i < n; i++) {
    double x = copy->val[i];
    int64_t key = r->rows ? 0 : key_of(r->type, copy->key[i]);
    if (x != x) continue;
    if ((is_most(r) || is_order(r)) && take_in(copy, r->agg, x, key)) goto fail;
    copy->count++;
  }
  copy->tail = n;
  if (n && is_sum(r)) flip_sums(copy);
  if (n && is_var(r)) flip_squares(copy);
  return copy;

fail:
  tw_rolling_close(copy);
  return NULL;
}
