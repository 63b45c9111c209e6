/* made.h -- random columns and frames for the specs of frames. */
#ifndef TIDEWAY_SPEC_FRAME_MADE_H
#define TIDEWAY_SPEC_FRAME_MADE_H

#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

#include <math.h>

/* A column of n values from few distinct ones; nulls: of 100. */
__attribute__((unused)) static tw_column *made_column(int type, int64_t n, int nulls,
                                                      tw_dict *dict) {
  tw_column *col = tw_column_new(type, check_below(4), dict);
  char text[16];
  for (int64_t i = 0; i < n; i++) {
    int64_t x = check_below(20) - 5;
    if (check_below(100) < nulls) {
      tw_column_put_null(col);
      continue;
    }
    switch (type) {
    case TW_COL_F64: tw_column_put_num(col, (double)x / 4); break;
    case TW_COL_BOOL: tw_column_put_bool(col, x & 1); break;
    case TW_COL_STRING:
      tw_column_put_bytes(col, text, snprintf(text, sizeof text, "t%d", (int)x));
      break;
    default: tw_column_put_i64(col, x * 1000000007);
    }
  }
  return col;
}

/* A frame of n rows and a column of each type, F64 first. */
__attribute__((unused)) static tw_frame *made_frame(int64_t n, int nulls,
                                                    tw_dict *dict) {
  tw_frame *frame = tw_frame_new(5, 7);
  for (int k = 0; k < 5; k++)
    tw_frame_take(frame, k, made_column(k + 1, n, nulls, k == 3 ? dict : NULL));
  return frame;
}

/* Whether value i of a is value j of b. */
__attribute__((unused)) static int made_same(const tw_column *a, int64_t i,
                                             const tw_column *b, int64_t j) {
  if (a->type != b->type || tw_column_is_null(a, i) != tw_column_is_null(b, j))
    return 0;
  if (tw_column_is_null(a, i)) return 1;
  switch (a->type) {
  case TW_COL_F64: return a->f64[i] == b->f64[j];
  case TW_COL_BOOL: return a->b[i] == b->b[j];
  case TW_COL_STRING: {
    int64_t m, n;
    const char *s = tw_column_text(a, i, &m), *t = tw_column_text(b, j, &n);
    return m == n && !memcmp(s, t, (size_t)m);
  }
  default: return a->i64[i] == b->i64[j];
  }
}

/* The nulls that a column says it has are those that it has; missing ones are 0. */
__attribute__((unused)) static void made_check(const tw_column *col) {
  int64_t nulls = 0;
  CHECK(col->len <= col->room && col->refs > 0);
  for (int64_t i = 0; i < col->len && col->type != TW_COL_F64; i++) {
    if (!tw_column_is_null(col, i)) continue;
    nulls++;
    if (col->type == TW_COL_BOOL)
      CHECK(col->b[i] == 0);
    else
      CHECK(col->type == TW_COL_STRING ? col->code[i] == 0 : col->i64[i] == 0);
  }
  CHECKF(col->nulls == nulls, "type %d: %lld, not %lld", col->type,
         (long long)col->nulls, (long long)nulls);
  CHECK(!col->valid == !nulls);
}

#endif
