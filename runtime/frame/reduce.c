/* reduce.c -- one number of one column over many frames. */
#include "core/mem.h"
#include "frame/cells.h"
#include "frame/window.h"

#include <math.h>

struct reduce {
  tw_reduce pub;
  struct tw__cells cells; /* one */
  int type;
  double total, count; /* to begin with */
};

tw_reduce *tw_reduce_open(int agg, int type, double ddof, int live) {
  struct reduce *r = tw__calloc(1, sizeof *r);
  if (!r) return NULL;
  r->type = type;
  if (tw__cells_init(&r->cells, agg, type, ddof, live)) goto fail;
  if (tw__cells_reserve(&r->cells, 1)) goto fail;
  return &r->pub;

fail:
  tw__free(r);
  return NULL;
}

void tw_reduce_close(tw_reduce *reduce) {
  struct reduce *r = (struct reduce *)reduce;
  if (!r) return;
  tw__cells_fini(&r->cells);
  tw__free(r);
}

tw_reduce *tw_reduce_copy(const tw_reduce *reduce) {
  const struct reduce *r = (const struct reduce *)reduce;
  struct reduce *copy = tw__malloc(sizeof *copy);
  if (!copy) return NULL;
  *copy = *r;
  if (!tw__cells_copy(&copy->cells, &r->cells, 1)) return &copy->pub;
  tw__free(copy);
  return NULL;
}

void tw_reduce_clear(tw_reduce *reduce) {
  struct reduce *r = (struct reduce *)reduce;
  tw__cells_clear(&r->cells);
  r->total = r->count = 0;
}

int tw_reduce_start(tw_reduce *reduce, double total, double count) {
  struct reduce *r = (struct reduce *)reduce;
  switch (r->cells.agg) {
  case TW_AGG_SUM: r->total = total; return TW_OK;
  case TW_AGG_MEAN: r->total = total; /* fall through */
  case TW_AGG_COUNT:
  case TW_AGG_SIZE: r->count = count; return TW_OK;
  default: return TW_EINVAL;
  }
}

int tw_reduce_add(tw_reduce *reduce, const tw_column *col, int64_t first,
                  int64_t count) {
  struct reduce *r = (struct reduce *)reduce;
  if (col->type != r->type) return TW_ETYPE;
  if (first < 0 || count < 0 || first > col->len - count) return TW_EINVAL;
  return tw__cells_add(&r->cells, NULL, col, first, count, NULL);
}

/* Takes rows of a frame in, in pieces when their order has to be told. */
static int add_keyed(struct reduce *r, const tw_window *win, const tw_frame *frame,
                     int column, int64_t first, int64_t count) {
  int64_t spare[256];
  const tw_column *col = frame->column[column];
  if (r->cells.agg != TW_AGG_MIN && r->cells.agg != TW_AGG_MAX)
    return tw__cells_add(&r->cells, NULL, col, first, count, NULL);
  for (; count > 0; first += 256, count -= 256) {
    int64_t n = count < 256 ? count : 256;
    const int64_t *key = tw__window_keys(win, frame, first, n, spare);
    if (tw__cells_add(&r->cells, NULL, col, first, n, key)) return TW_ENOMEM;
  }
  return TW_OK;
}

static int fill_anew(struct reduce *r, const tw_window *win, int column) {
  tw__cells_clear(&r->cells);
  return add_keyed(r, win, win->store, column, win->first, win->rows);
}

int tw_reduce_slide(tw_reduce *reduce, const tw_window *win, int column) {
  struct reduce *r = (struct reduce *)reduce;
  if (column < 0 || !win->store || column >= win->store->columns) return TW_EINVAL;
  const tw_column *own = win->store->column[column];
  if (own->type != r->type) return TW_ETYPE;
  if (win->anew) return fill_anew(r, win, column);
  int64_t first, count;
  const tw_frame *came = tw__window_fresh(win, &first, &count);
  int rc = add_keyed(r, win, came, column, first, count);
  if (rc) return rc;
  tw__cells_drop(&r->cells, NULL, own, win->left_first, win->left);
  return r->cells.stale ? fill_anew(r, win, column) : TW_OK;
}

double tw_reduce_value(tw_reduce *reduce, int *exact) {
  struct reduce *r = (struct reduce *)reduce;
  double num = NAN;
  int64_t whole = 0;
  int type = tw__cells_value(&r->cells, 0, &num, &whole);
  double start = r->cells.agg == TW_AGG_SUM ? r->total : r->count;
  if (r->cells.agg == TW_AGG_MEAN) {
    start = 0;
    if (r->count != 0) {
      double n = tw__cells_held(&r->cells, 0), all = n + r->count;
      num = n > 0 ? (num * n + r->total) / all : r->total / r->count;
    }
  }
  if (type == TW_COL_I64 || type == TW_COL_TIMESTAMP) {
    if (start == rint(start) && fabs(start) < 0x1p53) {
      int64_t sum;
      if (!__builtin_add_overflow(whole, (int64_t)start, &sum)) {
        r->pub.i64 = sum;
        if (exact) *exact = TW_COL_I64;
        return (double)sum;
      }
    }
    num = (double)whole;
  }
  if (exact) *exact = TW_COL_F64;
  return num + start;
}
