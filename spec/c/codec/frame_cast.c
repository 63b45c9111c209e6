/* codec/frame_cast: columns of one type as another, and the value that is nothing of it. */
#include "../frame/made.h"

static tw_column *out;
static int64_t row;

static tw_column *numbers(int type, const double *val, int64_t n) {
  tw_column *col = tw_column_new(type, n, NULL);
  for (int64_t i = 0; i < n; i++) tw_column_put_num(col, val[i]);
  return col;
}

static tw_column *texts(const char *const *val, int64_t n) {
  tw_column *col = tw_column_new(TW_COL_STRING, n, NULL);
  for (int64_t i = 0; i < n; i++)
    val[i] ? tw_column_put_bytes(col, val[i], (int64_t)strlen(val[i]))
           : tw_column_put_null(col);
  return col;
}

static int is_text(int64_t i, const char *want) {
  int64_t len;
  const char *text = tw_column_text(out, i, &len);
  return text && len == (int64_t)strlen(want) && !memcmp(text, want, (size_t)len);
}

static void between_numbers(void) {
  double val[] = {-1.7, 2.5, NAN, 0};
  tw_column *f = numbers(TW_COL_F64, val, 4);
  CHECK(!tw_column_cast(&out, f, TW_COL_I64, &row) && out->i64[0] == -1 &&
        out->i64[1] == 2);
  CHECK(tw_column_is_null(out, 2) && out->i64[3] == 0);
  made_check(out);
  CHECK(!tw_column_cast(&out, f, TW_COL_BOOL, &row) && out->b[0] == 1 &&
        out->b[3] == 0);
  CHECK(!tw_column_cast(&out, f, TW_COL_TIMESTAMP, &row) && out->i64[0] == -1700000000);
  tw_column *t = tw_column_retain(out);
  CHECK(!tw_column_cast(&out, t, TW_COL_F64, &row) && tw_column_equal(out, f));
  CHECK(!tw_column_cast(&out, t, TW_COL_I64, &row) && out->i64[0] == -1 &&
        out->i64[1] == 2);
  CHECK(!tw_column_cast(&out, f, TW_COL_F64, &row) && tw_column_equal(out, f));
  f->f64[1] = 1e19;
  CHECK(tw_column_cast(&out, f, TW_COL_I64, &row) == TW_ETYPE && row == 1);
  CHECK(tw_column_cast(&out, f, TW_COL_TIMESTAMP, &row) == TW_ETYPE && row == 1);
  CHECK(tw_column_cast(&out, f, 9, &row) == TW_EINVAL);
  tw_column *i = tw_column_new(TW_COL_I64, 0, NULL);
  tw_column_put_i64(i, 3), tw_column_put_i64(i, INT64_MAX);
  CHECK(!tw_column_cast(&out, i, TW_COL_F64, &row) && out->f64[1] == 0x1p63);
  CHECK(!tw_column_cast(&out, i, TW_COL_BOOL, &row) && out->b[0] == 1);
  CHECK(tw_column_cast(&out, i, TW_COL_TIMESTAMP, &row) == TW_ETYPE && row == 1);
  tw_column_release(f), tw_column_release(t), tw_column_release(i);
}

static void to_text_and_back(void) {
  double val[] = {-1.5, 0.1, NAN, INFINITY, 1e300};
  tw_column *f = numbers(TW_COL_F64, val, 5), *s,
            *t = tw_column_new(TW_COL_TIMESTAMP, 0, NULL);
  CHECK(!tw_column_cast(&out, f, TW_COL_STRING, &row) && is_text(0, "-1.5") &&
        is_text(3, "inf"));
  CHECK(tw_column_is_null(out, 2));
  s = tw_column_retain(out);
  CHECK(!tw_column_cast(&out, s, TW_COL_F64, &row) && tw_column_equal(out, f));
  tw_column_release(s);
  tw_column_put_i64(t, 951868800250000000), tw_column_put_i64(t, -1),
      tw_column_put_null(t);
  CHECK(!tw_column_cast(&out, t, TW_COL_STRING, &row) &&
        is_text(0, "2000-03-01 00:00:00.25"));
  CHECK(is_text(1, "1969-12-31 23:59:59.999999999"));
  s = tw_column_retain(out);
  CHECK(!tw_column_cast(&out, s, TW_COL_TIMESTAMP, &row) && tw_column_equal(out, t));
  tw_column_release(s);
  for (int type = TW_COL_I64; type <= TW_COL_BOOL; type++) {
    tw_column *col = made_column(type, 60, 10, NULL);
    CHECK(!tw_column_cast(&out, col, TW_COL_STRING, &row));
    made_check(out);
    s = tw_column_retain(out);
    CHECK(!tw_column_cast(&out, s, type, &row) && tw_column_equal(out, col));
    tw_column_release(s), tw_column_release(col);
  }
  tw_column_release(f), tw_column_release(t);
}

static void what_is_nothing(void) {
  tw_column *s = texts((const char *const[]){"1", NULL, "x"}, 3);
  for (int type = TW_COL_F64; type <= TW_COL_TIMESTAMP; type++) {
    if (type == TW_COL_STRING) continue;
    CHECK(tw_column_cast(&out, s, type, &row) == TW_ETYPE && row == 2);
  }
  tw_column_release(s);
  s = texts((const char *const[]){"true", "0", NULL}, 3);
  CHECK(!tw_column_cast(&out, s, TW_COL_BOOL, &row) && out->b[0] == 1 &&
        out->b[1] == 0 && out->nulls == 1);
  tw_column_release(s);
}

static void every_allocation_may_fail(void) {
  tw_column *col = made_column(TW_COL_I64, 50, 10, NULL);
  for (int n = 1, done = 0; !done; n++) {
    tw_column *to = NULL;
    tw_mem_fail_at(n);
    int rc = tw_column_cast(&to, col, TW_COL_STRING, &row);
    done = tw_mem_fail_at(0) > 0;
    CHECK(rc == (done ? TW_OK : TW_ENOMEM));
    tw_column_release(to);
  }
  tw_column_release(col);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  between_numbers();
  to_text_and_back();
  what_is_nothing();
  every_allocation_may_fail();
  tw_column_release(out);
  return check_close();
}
