/* cumulate.c -- running sums, products, minima and maxima. */
#include "agg/sum.h"
#include "frame/column.h"

#include <string.h>

enum { BLOCK = 128 };

void tw_cumulate_init(tw_cumulate *c, int op) {
  *c = (tw_cumulate){.op = op};
  if (op == TW_CUM_PROD) c->num = 1, c->i64 = 1;
}

/* ---- F64 ---- */

/* Added up plainly within a block, with what rounding loses from block to block: one
 * addition of latency a row, as a plain loop has it. */
static void sums(tw_cumulate *c, double *restrict out, const double *restrict x,
                 int64_t n) {
  struct tw__sum sum = {c->num, c->lost};
  for (int64_t base = 0; base < n; base += BLOCK) {
    int64_t end = base + BLOCK < n ? base + BLOCK : n;
    double start = tw__sum_value(sum), block = 0;
    for (int64_t i = base; i < end; i++) {
      if (x[i] == x[i]) block += x[i];
      out[i] = x[i] == x[i] ? start + block : x[i];
    }
    tw__sum_add(&sum, block);
  }
  c->num = sum.s, c->lost = sum.c;
}

static void products(tw_cumulate *c, double *restrict out, const double *restrict x,
                     int64_t n) {
  double product = c->num;
  for (int64_t i = 0; i < n; i++) {
    if (x[i] == x[i]) product *= x[i];
    out[i] = x[i] == x[i] ? product : x[i];
  }
  c->num = product;
}

/* How many values at the beginning are missing, until there has been one. */
static int64_t begin(tw_cumulate *c, double *out, const double *x, int64_t n) {
  int64_t i = 0;
  if (c->any) return 0;
  for (; i < n && x[i] != x[i]; i++) out[i] = x[i];
  if (i < n) c->num = x[i], c->any = 1;
  return i;
}

static void least(tw_cumulate *c, double *restrict out, const double *restrict x,
                  int64_t n) {
  int64_t i = begin(c, out, x, n);
  double val = c->num;
  for (; i < n; i++) {
    val = x[i] < val ? x[i] : val;
    out[i] = x[i] == x[i] ? val : x[i];
  }
  c->num = val;
}

static void most(tw_cumulate *c, double *restrict out, const double *restrict x,
                 int64_t n) {
  int64_t i = begin(c, out, x, n);
  double val = c->num;
  for (; i < n; i++) {
    val = x[i] > val ? x[i] : val;
    out[i] = x[i] == x[i] ? val : x[i];
  }
  c->num = val;
}

/* ---- integers ---- */

static inline int64_t whole_step(tw_cumulate *c, int64_t x) {
  uint64_t a = (uint64_t)c->i64, b = (uint64_t)x;
  switch (c->op) {
  case TW_CUM_SUM: return (int64_t)(a + b);
  case TW_CUM_PROD: return (int64_t)(a * b);
  case TW_CUM_MIN: return c->any && c->i64 < x ? c->i64 : x;
  default: return c->any && c->i64 > x ? c->i64 : x;
  }
}

static void wholes(tw_cumulate *c, int64_t *out, const tw_column *col) {
  for (int64_t i = 0; i < col->len; i++) {
    out[i] = 0;
    if (col->valid && !tw__column_bit(col->valid, i)) continue;
    out[i] = c->i64 = whole_step(c, col->type == TW_COL_BOOL ? col->b[i] : col->i64[i]);
    c->any = 1;
  }
}

int tw_cumulate_push(tw_cumulate *c, tw_column **out, const tw_column *col) {
  int type = col->type == TW_COL_BOOL ? TW_COL_I64 : col->type;
  if (type == TW_COL_STRING) return TW_ETYPE;
  if (type == TW_COL_TIMESTAMP && c->op < TW_CUM_MIN) return TW_ETYPE;
  int rc = tw_column_renew(out, type, NULL, col->len);
  if (rc) return rc;
  if (type != TW_COL_F64) {
    wholes(c, (*out)->i64, col);
    if (col->valid) {
      memcpy(tw_column_bitmap(*out), col->valid, (size_t)(col->len + 7) / 8);
      (*out)->nulls = col->nulls;
    }
    return TW_OK;
  }
  switch (c->op) {
  case TW_CUM_SUM: sums(c, (*out)->f64, col->f64, col->len); break;
  case TW_CUM_PROD: products(c, (*out)->f64, col->f64, col->len); break;
  case TW_CUM_MIN: least(c, (*out)->f64, col->f64, col->len); break;
  default: most(c, (*out)->f64, col->f64, col->len);
  }
  return TW_OK;
}
