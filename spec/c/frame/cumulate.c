/* frame/cumulate: running values go on over frames, past missing values. */
#include "made.h"

static void same_as_by_hand(int type, int op) {
  tw_cumulate c;
  tw_column *out = NULL;
  double f = op == TW_CUM_PROD;
  int64_t w = op == TW_CUM_PROD;
  int any = 0;
  tw_cumulate_init(&c, op);
  for (int round = 0; round < 12; round++) {
    tw_column *col = made_column(type, check_below(30), 20 * (int)check_below(3), NULL);
    if (round == 11)
      col->len ? (void)(type == 1 ? col->f64[0] = INFINITY : 0) : (void)0;
    CHECK(tw_cumulate_push(&c, &out, col) == TW_OK && out->len == col->len);
    CHECK(out->type == (type == TW_COL_BOOL ? TW_COL_I64 : type));
    made_check(out);
    for (int64_t i = 0; i < col->len; i++) {
      if (tw_column_is_null(col, i)) {
        CHECK(tw_column_is_null(out, i));
        continue;
      }
      CHECK(type == TW_COL_F64 || !tw_column_is_null(out, i));
      int64_t x = type == TW_COL_F64    ? 0
                  : type == TW_COL_BOOL ? col->b[i]
                                        : col->i64[i];
      double y = type == TW_COL_F64 ? col->f64[i] : 0;
      uint64_t ux = (uint64_t)x, uw = (uint64_t)w;
      if (op == TW_CUM_SUM) f += y, w = (int64_t)(uw + ux);
      if (op == TW_CUM_PROD) f *= y, w = (int64_t)(uw * ux);
      if (op == TW_CUM_MIN && (!any || y < f)) f = y;
      if (op == TW_CUM_MIN && (!any || x < w)) w = x;
      if (op == TW_CUM_MAX && (!any || y > f)) f = y;
      if (op == TW_CUM_MAX && (!any || x > w)) w = x;
      any = 1;
      if (type == TW_COL_F64)
        CHECKF(out->f64[i] == f || (out->f64[i] != out->f64[i] && f != f), "%g %g",
               out->f64[i], f);
      else
        CHECK(out->i64[i] == w);
    }
    tw_column_release(col);
  }
  tw_column_release(out);
}

static void keeps_what_rounding_loses(void) {
  tw_cumulate c;
  tw_column *col = tw_column_new(TW_COL_F64, 1, NULL), *out = NULL;
  double vals[] = {1e16, 1, -1e16, 0};
  tw_column_put_num(col, 0);
  tw_cumulate_init(&c, TW_CUM_SUM);
  for (int i = 0; i < 8; i++) {
    col->f64[0] = vals[i % 4];
    CHECK(!tw_cumulate_push(&c, &out, col));
    if (i % 4 == 3) CHECK(out->f64[0] == (i + 1) / 4);
  }
  tw_column_release(col), tw_column_release(out);
}

static void refuses_texts(void) {
  tw_cumulate c;
  tw_column *text = made_column(TW_COL_STRING, 3, 0, NULL), *out = NULL;
  tw_column *time = made_column(TW_COL_TIMESTAMP, 3, 0, NULL);
  tw_cumulate_init(&c, TW_CUM_MAX);
  CHECK(tw_cumulate_push(&c, &out, text) == TW_ETYPE);
  tw_cumulate_init(&c, TW_CUM_SUM);
  CHECK(tw_cumulate_push(&c, &out, time) == TW_ETYPE);
  tw_mem_fail_at(1);
  tw_column_release(text);
  text = time;
  time->type = TW_COL_I64;
  CHECK(tw_cumulate_push(&c, &out, time) == TW_ENOMEM && out == NULL);
  tw_mem_fail_at(0);
  tw_column_release(time);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < 10; round++)
    for (int op = TW_CUM_SUM; op <= TW_CUM_MAX; op++) {
      same_as_by_hand(TW_COL_F64, op);
      same_as_by_hand(TW_COL_I64, op);
      same_as_by_hand(TW_COL_BOOL, op);
      if (op >= TW_CUM_MIN) same_as_by_hand(TW_COL_TIMESTAMP, op);
    }
  keeps_what_rounding_loses();
  refuses_texts();
  return check_close();
}
