/* frame/mask: comparisons, logic and filters, row by row the same as by hand. */
#include "made.h"

static int holds(int op, int sign) {
  switch (op) {
  case TW_EQ: return sign == 0;
  case TW_NE: return sign != 0;
  case TW_LT: return sign < 0;
  case TW_LE: return sign <= 0;
  case TW_GT: return sign > 0;
  default: return sign >= 0;
  }
}

static double number(const tw_column *col, int64_t i) {
  switch (col->type) {
  case TW_COL_F64: return col->f64[i];
  case TW_COL_BOOL: return col->b[i];
  case TW_COL_I64: return (double)col->i64[i];
  default: return (double)col->i64[i] / 1e9;
  }
}

static void compares_numbers(void) {
  tw_column *out = NULL;
  for (int type = 1; type <= 5; type++)
    for (int op = TW_EQ; op <= TW_GE; op++)
      for (int round = 0; round < 20; round++) {
        tw_column *col =
            made_column(type, check_below(50), 20 * (int)check_below(2), NULL);
        double y = (double)(check_below(20) - 5) / 4;
        if (type == TW_COL_I64) y = round & 1 ? y * 1e9 : 4e9 + 28;
        if (type == TW_COL_TIMESTAMP) y = (double)(check_below(20) - 5) + 7e-9;
        if (check_below(9) == 0) y = check_below(2) ? INFINITY : -1e300;
        int rc = tw_mask_num(&out, col, op, y);
        CHECK(rc == (type == TW_COL_STRING ? TW_ETYPE : TW_OK));
        for (int64_t i = 0; !rc && i < col->len; i++) {
          double x = number(col, i);
          int want = holds(op, (x > y) - (x < y));
          if (tw_column_is_null(col, i)) want = op == TW_NE;
          CHECKF(out->b[i] == want, "type %d op %d: %g with %g", type, op, x, y);
        }
        tw_column_release(col);
      }
  tw_column_release(out);
}

static void compares_integers_and_texts(void) {
  tw_column *out = NULL;
  for (int op = TW_EQ; op <= TW_GE; op++)
    for (int round = 0; round < 20; round++) {
      tw_column *col = made_column(TW_COL_I64, 30, 10, NULL);
      int64_t y = (check_below(20) - 5) * 1000000007 + check_below(2);
      CHECK(tw_mask_i64(&out, col, op, y) == TW_OK);
      for (int64_t i = 0; i < 30; i++) {
        int want = holds(op, (col->i64[i] > y) - (col->i64[i] < y));
        if (tw_column_is_null(col, i)) want = op == TW_NE;
        CHECK(out->b[i] == want);
      }
      tw_column_release(col);
      col = made_column(TW_COL_STRING, 30, round < 18 ? 10 : 100, NULL);
      char text[16];
      int64_t len = snprintf(text, sizeof text, "t%d", (int)check_below(25) - 5), own;
      CHECK(tw_mask_bytes(&out, col, op, text, len) == TW_OK);
      for (int64_t i = 0; i < 30; i++) {
        const char *s = tw_column_text(col, i, &own);
        int want = op == TW_NE;
        if (s) {
          int by = memcmp(s, text, (size_t)(own < len ? own : len));
          want = holds(op, by ? by : (own > len) - (own < len));
        }
        CHECK(out->b[i] == want);
      }
      CHECK(tw_mask_i64(&out, col, op, 1) == TW_ETYPE);
      tw_column_release(col);
    }
  tw_column *col = made_column(TW_COL_F64, 3, 0, NULL);
  CHECK(tw_mask_bytes(&out, col, TW_EQ, "", 0) == TW_ETYPE);
  CHECK(tw_mask_num(&out, col, 6, 0) == TW_EINVAL &&
        tw_mask_num(&out, col, -1, 0) == TW_EINVAL);
  tw_column_release(col), tw_column_release(out);
}

static void has_logic(void) {
  tw_column *a = made_column(TW_COL_BOOL, 60, 20, NULL);
  tw_column *b = made_column(TW_COL_BOOL, 60, 20, NULL);
  tw_column *both = NULL, *either = NULL, *negate = NULL, *null = NULL;
  CHECK(!tw_mask_both(&both, a, b) && !tw_mask_either(&either, a, b));
  CHECK(!tw_mask_negate(&negate, a));
  for (int64_t i = 0; i < 60; i++) {
    int x = a->b[i] && !tw_column_is_null(a, i),
        y = b->b[i] && !tw_column_is_null(b, i);
    CHECK(both->b[i] == (x && y) && either->b[i] == (x || y) && negate->b[i] == !x);
  }
  for (int type = 1; type <= 5; type++) {
    tw_column *col = made_column(type, 40, type & 1 ? 30 : 0, NULL);
    CHECK(!tw_mask_null(&null, col));
    for (int64_t i = 0; i < 40; i++) CHECK(null->b[i] == tw_column_is_null(col, i));
    if (type != TW_COL_BOOL) CHECK(tw_mask_both(&both, a, col) == TW_ETYPE);
    tw_column_release(col);
  }
  CHECK(tw_mask_both(&both, a, null) == TW_EINVAL);
  tw_column *all[] = {a, b, both, either, negate, null};
  for (int i = 0; i < 6; i++) tw_column_release(all[i]);
}

static void filters(void) {
  tw_selection *sel = tw_selection_open();
  tw_frame *out = NULL;
  for (int round = 0; round < 60; round++) {
    int64_t n = check_below(200), j = 0;
    tw_frame *frame = made_frame(n, 10, NULL);
    tw_column *mask = made_column(TW_COL_BOOL, n, 10, NULL);
    if (check_below(3) == 0) tw_mem_fail_at(1 + check_below(4));
    int rc = tw_frame_filter(&out, frame, mask, sel);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    for (int64_t i = 0; !rc && i < n; i++) {
      if (tw_column_is_null(mask, i) || !mask->b[i]) continue;
      CHECK(sel->at[j] == i);
      for (int k = 0; k < 5; k++)
        CHECK(made_same(frame->column[k], i, out->column[k], j));
      j++;
    }
    if (!rc) CHECK(out->rows == j && sel->count == j);
    CHECK(tw_frame_filter(&out, frame, frame->column[0], sel) == TW_ETYPE);
    tw_frame_release(frame), tw_column_release(mask);
  }
  tw_column *mask = made_column(TW_COL_BOOL, 3, 0, NULL),
            *text = made_column(TW_COL_STRING, 3, 0, NULL);
  tw_frame *frame = made_frame(4, 0, NULL);
  CHECK(tw_frame_filter(&out, frame, mask, sel) == TW_EINVAL);
  CHECK(tw_selection_of(sel, text) == TW_ETYPE);
  CHECK(tw_selection_reserve(sel, (int64_t)1 << 40) == TW_ENOMEM);
  tw_column_release(mask), tw_column_release(text), tw_frame_release(frame);
  tw_frame_release(out), tw_selection_close(sel), tw_selection_close(NULL);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  compares_numbers();
  compares_integers_and_texts();
  has_logic();
  filters();
  return check_close();
}
