/* roll.c -- one aggregate of the last n numbers.
 *
 * count, first, last: the ring of the elements alone. min, max: agg/minmax.h. median,
 * quantile: the ring, and the elements sorted (agg/order.h).
 *
 * sum, mean, var, std: the ring is cut into blocks of about sqrt(n) cells. One *pass*
 * fills all of them; what the window holds is
 *
 *     | block 0 | block 1 | block 2 | block 3 |
 *     | this pass . . . . x|older . | older . |
 *                     acc: this pass up to x, and the older blocks behind this one
 *                          cell after x: sum from there to the end of the older block
 *
 * so a result is acc and one cell put together. When a block is full its cells become
 * sums to its end, and acc starts anew as `pass` (the blocks of this pass) and `rest`
 * of the next block (all behind it). No element is ever subtracted: what has left,
 * however large, infinite or NaN, has no part in any sum. This is the two-stacks queue
 * (Tangwongsan, Hirzel, Schneider, DEBS 2017) with its O(n) flip cut into pieces.
 */
#include "agg/minmax.h"
#include "agg/order.h"
#include "agg/quantile.h"
#include "agg/sum.h"
#include "agg/var.h"
#include "core/mem.h"
#include "core/text.h"
#include "tideway.h"

#include <math.h>

/* The current block is cells begin .. end - 1, the index-th of the pass. */
struct blocks {
  int64_t length, begin, end, index, count;
};

struct roll {
  tw_roll pub;
  double (*push)(struct roll *, double);
  int64_t at;        /* cell or ring place of the next element */
  int64_t nan_left;  /* pushes until the last NaN has left; min, max, quantiles */
  double sign, ddof; /* min: -1 */
  double *ring;
  struct blocks blocks;
  union {
    struct {
      struct tw__sum acc, pass, *cells, *totals, *rest;
    } sum;
    struct {
      struct tw__var acc, pass, *totals, *rest;
      struct tw__var_sums *cells;
      double gap, older; /* shift of the older block less acc's; its elements left */
    } var;
    struct tw__minmax minmax;
    struct {
      struct tw__order order;
      struct tw__quantile at;
    } sorted;
  } u;
  int agg;
};

static inline void fill_one(struct roll *r) {
  r->pub.fill += r->pub.fill < r->pub.size;
}

static inline void next_place(struct roll *r) {
  if (++r->at == r->pub.size) r->at = 0;
}

/* ---- count, first, last ---- */

static double push_count(struct roll *r, double x) {
  (void)x;
  fill_one(r);
  return (double)r->pub.fill;
}

static double push_last(struct roll *r, double x) {
  fill_one(r);
  return x;
}

static double push_first(struct roll *r, double x) {
  r->ring[r->at] = x;
  fill_one(r);
  next_place(r);
  return r->ring[r->pub.fill < r->pub.size ? 0 : r->at];
}

/* ---- blocks ---- */

static void init_blocks(struct blocks *b, int64_t size) {
  b->length = 16;
  while (b->length < size / b->length) b->length *= 2;
  b->count = (size + b->length - 1) / b->length;
  b->end = size < b->length ? size : b->length;
}

/* On to the next block. Whether it is the first of a new pass. */
static int next_block(struct roll *r) {
  struct blocks *b = &r->blocks;
  int wraps = r->at == r->pub.size;
  if (wraps) r->at = 0;
  b->index = wraps ? 0 : b->index + 1;
  b->begin = r->at;
  b->end = b->begin + b->length;
  if (b->end > r->pub.size) b->end = r->pub.size;
  return wraps;
}

/* ---- sum, mean ---- */

static __attribute__((noinline)) void end_sum_block(struct roll *r) {
  struct blocks *b = &r->blocks;
  struct tw__sum *totals = r->u.sum.totals, *rest = r->u.sum.rest, none = {0, 0};
  totals[b->index] = tw__sum_suffixes(&r->u.sum.cells[b->begin], b->end - b->begin);
  r->u.sum.pass = tw__sum_join(r->u.sum.pass, totals[b->index]);
  if (next_block(r)) {
    r->u.sum.pass = none;
    rest[b->count - 1] = none;
    for (int64_t i = b->count - 2; i >= 0; i--)
      rest[i] = tw__sum_join(rest[i + 1], totals[i + 1]);
  }
  r->u.sum.acc = tw__sum_join(r->u.sum.pass, rest[b->index]);
}

static inline double push_sum(struct roll *r, double x) {
  struct tw__sum *cell = &r->u.sum.cells[r->at++];
  cell->s = x;
  tw__sum_add(&r->u.sum.acc, x);
  fill_one(r);
  if (__builtin_expect(r->at < r->blocks.end, 1))
    return tw__sum_value(tw__sum_join(r->u.sum.acc, cell[1]));
  double sum = tw__sum_value(r->u.sum.acc);
  end_sum_block(r);
  return sum;
}

static double push_sum_only(struct roll *r, double x) {
  return push_sum(r, x);
}

static double push_mean(struct roll *r, double x) {
  double sum = push_sum(r, x);
  return sum / (double)r->pub.fill;
}

/* ---- var, std ---- */

static __attribute__((noinline)) void end_var_block(struct roll *r) {
  struct blocks *b = &r->blocks;
  struct tw__var *totals = r->u.var.totals, *rest = r->u.var.rest, none = {0};
  totals[b->index] = tw__var_suffixes(&r->u.var.cells[b->begin], b->end - b->begin);
  r->u.var.pass = tw__var_join(r->u.var.pass, totals[b->index]);
  if (next_block(r)) {
    r->u.var.pass = none;
    rest[b->count - 1] = none;
    for (int64_t i = b->count - 2; i >= 0; i--)
      rest[i] = tw__var_join(rest[i + 1], totals[i + 1]);
  }
  r->u.var.acc = tw__var_join(r->u.var.pass, rest[b->index]);
}

/* Before the first element of a block: the shift of an acc without elements is x, and
 * what is behind it in the older block is told from there. */
static __attribute__((noinline)) void begin_var_block(struct roll *r, double x) {
  const struct tw__var *older = &r->u.var.totals[r->blocks.index];
  if (r->u.var.acc.n <= 0) r->u.var.acc.k = x;
  r->u.var.gap = older->n > 0 ? older->k - r->u.var.acc.k : 0;
  r->u.var.older = older->n;
}

static inline double push_square(struct roll *r, double x) {
  if (__builtin_expect(r->at == r->blocks.begin, 0)) begin_var_block(r, x);
  struct tw__var_sums *cell = &r->u.var.cells[r->at++];
  struct tw__var *acc = &r->u.var.acc;
  cell->s1 = x;
  tw__var_add(acc, x);
  fill_one(r);
  if (__builtin_expect(r->at < r->blocks.end, 1)) {
    if (r->u.var.older <= 0) return tw__var_square(acc->sums, acc->n);
    r->u.var.older -= 1;
    struct tw__var_sums all = tw__var_shift(cell[1], r->u.var.older, r->u.var.gap);
    all.s1 += acc->sums.s1;
    all.s2 += acc->sums.s2;
    return tw__var_square(all, acc->n + r->u.var.older);
  }
  double square = tw__var_square(acc->sums, acc->n);
  end_var_block(r);
  return square;
}

static inline double push_var(struct roll *r, double x) {
  double square = push_square(r, x), free = (double)r->pub.fill - r->ddof;
  return free > 0 ? square / free : NAN;
}

static double push_var_only(struct roll *r, double x) {
  return push_var(r, x);
}

static double push_std(struct roll *r, double x) {
  return sqrt(push_var(r, x));
}

/* ---- min, max ---- */

/* A NaN stands in the structures as something harmless, and says how long it stays. */
static inline int nan_inside(struct roll *r) {
  if (__builtin_expect(r->nan_left == 0, 1)) return 0;
  r->nan_left--;
  return 1;
}

static double push_minmax(struct roll *r, double x) {
  struct tw__minmax *q = &r->u.minmax;
  double val = r->sign * x;
  if (__builtin_expect(val != val, 0)) {
    r->nan_left = r->pub.size;
    val = -INFINITY;
  }
  if (r->pub.fill == r->pub.size) tw__minmax_drop(q);
  tw__minmax_push(q, val);
  fill_one(r);
  return nan_inside(r) ? NAN : r->sign * tw__minmax_value(q);
}

/* ---- median, quantile ---- */

static double push_quantile(struct roll *r, double x) {
  struct tw__order *order = &r->u.sorted.order;
  double *place = &r->ring[r->at], low, high;
  x += 0.0; /* -0 and 0 are one, and 0 remains */
  if (__builtin_expect(x != x, 0)) {
    r->nan_left = r->pub.size;
    x = INFINITY;
  }
  if (__builtin_expect(r->pub.fill == r->pub.size, 1)) {
    tw__order_replace(order, *place, x);
  } else {
    fill_one(r);
    tw__quantile_place(&r->u.sorted.at, r->pub.fill);
    tw__order_insert(order, x);
  }
  *place = x;
  next_place(r);
  low = tw__order_at(order, r->u.sorted.at.rank, &high);
  return nan_inside(r) ? NAN : tw__quantile_value(&r->u.sorted.at, low, high);
}

/* ---- open, close ---- */

static int open_ring(struct roll *r) {
  r->ring = tw__calloc((size_t)r->pub.size, sizeof *r->ring);
  return r->ring ? TW_OK : TW_ENOMEM;
}

static int open_sum(struct roll *r) {
  size_t size = (size_t)r->pub.size + 1, blocks;
  init_blocks(&r->blocks, r->pub.size);
  blocks = (size_t)r->blocks.count;
  r->u.sum.cells = tw__calloc(size, sizeof *r->u.sum.cells);
  r->u.sum.totals = tw__calloc(blocks, sizeof *r->u.sum.totals);
  r->u.sum.rest = tw__calloc(blocks, sizeof *r->u.sum.rest);
  return r->u.sum.cells && r->u.sum.totals && r->u.sum.rest ? TW_OK : TW_ENOMEM;
}

static int open_var(struct roll *r) {
  size_t size = (size_t)r->pub.size + 1, blocks;
  init_blocks(&r->blocks, r->pub.size);
  blocks = (size_t)r->blocks.count;
  r->u.var.cells = tw__calloc(size, sizeof *r->u.var.cells);
  r->u.var.totals = tw__calloc(blocks, sizeof *r->u.var.totals);
  r->u.var.rest = tw__calloc(blocks, sizeof *r->u.var.rest);
  return r->u.var.cells && r->u.var.totals && r->u.var.rest ? TW_OK : TW_ENOMEM;
}

static int open_sorted(struct roll *r) {
  if (open_ring(r)) return TW_ENOMEM;
  return tw__order_init(&r->u.sorted.order, r->pub.size);
}

static void close_store(struct roll *r) {
  tw__free(r->ring);
  switch (r->agg) {
  case TW_AGG_SUM:
  case TW_AGG_MEAN:
    tw__free(r->u.sum.cells);
    tw__free(r->u.sum.totals);
    tw__free(r->u.sum.rest);
    return;
  case TW_AGG_VAR:
  case TW_AGG_STD:
    tw__free(r->u.var.cells);
    tw__free(r->u.var.totals);
    tw__free(r->u.var.rest);
    return;
  case TW_AGG_MIN:
  case TW_AGG_MAX: tw__minmax_fini(&r->u.minmax); return;
  case TW_AGG_MEDIAN:
  case TW_AGG_QUANTILE: tw__order_fini(&r->u.sorted.order); return;
  default: return;
  }
}

static int no_store(struct roll *r) {
  (void)r;
  return TW_OK;
}

static int open_minmax(struct roll *r) {
  r->sign = r->agg == TW_AGG_MIN ? -1 : 1;
  return tw__minmax_init(&r->u.minmax, r->pub.size);
}

static const struct kind {
  const char *name;
  int (*open)(struct roll *); /* TW_OK, or TW_ENOMEM: then what there is gets closed */
  double (*push)(struct roll *, double);
} kinds[] = {
    [TW_AGG_COUNT] = {"count", no_store, push_count},
    [TW_AGG_SUM] = {"sum", open_sum, push_sum_only},
    [TW_AGG_MEAN] = {"mean", open_sum, push_mean},
    [TW_AGG_VAR] = {"var", open_var, push_var_only},
    [TW_AGG_STD] = {"std", open_var, push_std},
    [TW_AGG_MIN] = {"min", open_minmax, push_minmax},
    [TW_AGG_MAX] = {"max", open_minmax, push_minmax},
    [TW_AGG_MEDIAN] = {"median", open_sorted, push_quantile},
    [TW_AGG_QUANTILE] = {"quantile", open_sorted, push_quantile},
    [TW_AGG_FIRST] = {"first", open_ring, push_first},
    [TW_AGG_LAST] = {"last", no_store, push_last},
}; /* ORDER TW_AGG */

enum { KINDS = sizeof kinds / sizeof *kinds };

/* Whether param means something to the aggregate; most do not look at it. */
static int param_fits(int agg, double param) {
  if (agg == TW_AGG_VAR || agg == TW_AGG_STD) return param >= 0 && !isinf(param);
  if (agg == TW_AGG_QUANTILE) return param >= 0 && param <= 1;
  return 1;
}

tw_roll *tw_roll_open(int agg, int64_t size, double param) {
  if (agg < 0 || agg >= KINDS || size < 1 || size > INT64_MAX / 64) return NULL;
  if (!param_fits(agg, param)) return NULL;
  struct roll *r = tw__calloc(1, sizeof *r);
  if (!r) return NULL;
  r->pub.size = size;
  r->agg = agg;
  r->push = kinds[agg].push;
  r->ddof = param;
  if (kinds[agg].open(r)) {
    tw_roll_close(&r->pub);
    return NULL;
  }
  if (agg == TW_AGG_MEDIAN) r->u.sorted.at.q = 0.5;
  if (agg == TW_AGG_QUANTILE) r->u.sorted.at.q = param;
  return &r->pub;
}

void tw_roll_close(tw_roll *roll) {
  if (!roll) return;
  close_store((struct roll *)roll);
  tw__free(roll);
}

/* ---- pushing ---- */

double tw_roll_push(tw_roll *roll, double x) {
  struct roll *r = (struct roll *)roll;
  return r->push(r, x);
}

void tw_roll_push_batch(tw_roll *roll, const double *in, double *out, int64_t n) {
  struct roll *r = (struct roll *)roll;
  for (int64_t i = 0; i < n; i++) out[i] = r->push(r, in[i]);
}

/* ---- looking at it ---- */

static void dump_order(struct tw__text *text, const struct tw__order *o) {
  const struct tw__order_leaf *l = &o->leaves[o->finger_leaf];
  if (!o->held) return;
  tw__text_add(text, ", %u leaves, %u above, height %u, at %.14g, rank %lld",
               o->leaf_used, o->node_used, o->height, l->key[o->finger_at],
               (long long)o->finger_rank);
}

int64_t tw_roll_dump(const tw_roll *roll, char *buf, int64_t size) {
  const struct roll *r = (const struct roll *)roll;
  const struct tw__minmax *q = &r->u.minmax;
  struct tw__text text;
  tw__text_init(&text, buf, size);
  tw__text_add(&text, "%s of %lld/%lld", kinds[r->agg].name, (long long)r->pub.fill,
               (long long)r->pub.size);
  switch (r->agg) {
  case TW_AGG_SUM:
  case TW_AGG_MEAN:
    tw__text_add(&text, ", place %lld in blocks of %lld, acc %.17g + %.17g",
                 (long long)r->at, (long long)r->blocks.length, r->u.sum.acc.s,
                 r->u.sum.acc.c);
    break;
  case TW_AGG_VAR:
  case TW_AGG_STD:
    tw__text_add(&text, ", place %lld in blocks of %lld, acc of %.14g about %.17g",
                 (long long)r->at, (long long)r->blocks.length, r->u.var.acc.n,
                 r->u.var.acc.k);
    break;
  case TW_AGG_MIN:
  case TW_AGG_MAX:
    tw__text_add(&text, ", front %llu:%llu, back %llu",
                 (unsigned long long)(q->l - q->f), (unsigned long long)(q->b - q->f),
                 (unsigned long long)(q->e - q->b));
    break;
  case TW_AGG_MEDIAN:
  case TW_AGG_QUANTILE: dump_order(&text, &r->u.sorted.order); break;
  default: break;
  }
  if (r->nan_left) tw__text_add(&text, ", NaN for %lld more", (long long)r->nan_left);
  return text.len;
}
