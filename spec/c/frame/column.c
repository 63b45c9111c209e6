/* frame/column: values of five types, some missing, through everything done to them. */
#include "made.h"

static tw_dict *dict; /* that some columns share */

static void slices_and_gathers(int type) {
  tw_column *out = NULL;
  for (int round = 0; round < 40; round++) {
    int64_t n = check_below(4) ? check_below(40) : check_below(3000);
    tw_column *col =
        made_column(type, n, (int)check_below(3) * 20, check_below(2) ? dict : NULL);
    made_check(col);
    int64_t first = check_below(n + 1), count = check_below(n - first + 1);
    if (check_below(8) == 0) tw_mem_fail_at(1 + check_below(3));
    int rc = tw_column_slice(&out, col, first, count);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    if (!rc) {
      CHECK(out->len == count);
      made_check(out);
      for (int64_t i = 0; i < count; i++) CHECK(made_same(out, i, col, first + i));
    }
    int32_t *at = tw__malloc((size_t)count * sizeof *at + 4);
    for (int64_t i = 0; i < count; i++) at[i] = (int32_t)check_below(n);
    if (check_below(8) == 0) tw_mem_fail_at(1 + check_below(3));
    rc = tw_column_gather(&out, col, at, count);
    tw_mem_fail_at(0);
    if (!rc) {
      CHECK(out->len == count);
      made_check(out);
      for (int64_t i = 0; i < count; i++) CHECK(made_same(out, i, col, at[i]));
    }
    if (check_below(4) == 0 && out) { /* somebody keeps it: the next one is new */
      tw_column *kept = tw_column_retain(out), *before = out;
      CHECK(tw_column_slice(&out, col, 0, n) == TW_OK && out != before);
      CHECK(tw_column_equal(out, col));
      tw_column_release(kept);
    }
    CHECK(tw_column_slice(&out, col, -1, 1) == TW_EINVAL);
    CHECK(tw_column_slice(&out, col, 0, n + 1) == TW_EINVAL);
    tw__free(at);
    tw_column_release(col);
  }
  tw_column_release(out);
}

static void appends(int type) {
  tw_column *col = made_column(type, 0, 0, dict), *model[40];
  int64_t total = 0, at = 0;
  for (int k = 0; k < 40; k++) {
    int64_t n = check_below(60);
    model[k] =
        made_column(type, n, (int)check_below(3) * 10, check_below(2) ? dict : NULL);
    int64_t first = check_below(n + 1), count = n - first;
    for (int tries = 0;; tries++) {
      if (tries == 0 && check_below(3) == 0) tw_mem_fail_at(1 + check_below(4));
      int rc = tw_column_append(col, model[k], first, count);
      tw_mem_fail_at(0);
      if (!rc) break;
      CHECK(rc == TW_ENOMEM && col->len == total);
      made_check(col);
    }
    for (int64_t i = 0; i < count; i++)
      CHECK(made_same(col, total + i, model[k], first + i));
    total += count;
    at++;
  }
  made_check(col);
  CHECK(col->len == total && tw_column_bytes(col) > total);
  for (int k = 0; k < at; k++) tw_column_release(model[k]);
  tw_column_release(col);
}

static void puts_what_fits(void) {
  tw_column *f = tw_column_new(TW_COL_F64, 0, NULL),
            *i = tw_column_new(TW_COL_I64, 0, NULL);
  tw_column *t = tw_column_new(TW_COL_TIMESTAMP, 0, NULL);
  tw_column *s = tw_column_new(TW_COL_STRING, 0, NULL),
            *b = tw_column_new(TW_COL_BOOL, 0, NULL);
  CHECK(!tw_column_put_num(f, 1.5) && f->f64[0] == 1.5 && !tw_column_put_i64(f, 7));
  CHECK(!tw_column_put_num(i, -1.5) && i->i64[0] == -1);
  CHECK(tw_column_put_num(i, 1e19) == TW_ETYPE &&
        tw_column_put_num(i, -INFINITY) == TW_ETYPE);
  CHECK(!tw_column_put_num(i, NAN) && i->nulls == 1);
  CHECK(!tw_column_put_num(t, 1700000000.25) && t->i64[0] == 1700000000250000000);
  CHECK(!tw_column_put_num(t, -0.5) && t->i64[1] == -500000000);
  CHECK(tw_column_put_num(t, 1e10) == TW_ETYPE && tw_column_put_num(s, 1) == TW_ETYPE);
  CHECK(tw_column_put_bytes(f, "x", 1) == TW_ETYPE &&
        tw_column_put_bool(f, 1) == TW_ETYPE);
  CHECK(tw_column_put_i64(b, 1) == TW_ETYPE && tw_column_put_i64(s, 1) == TW_ETYPE);
  CHECK(!tw_column_put_bool(b, 7) && b->b[0] == 1 && !tw_column_put_num(b, 0) &&
        !b->b[1]);
  CHECK(!tw_column_put_bytes(s, "ab", 2) && !tw_column_put_null(s) &&
        !tw_column_put_bytes(s, "", 0));
  int64_t len;
  CHECK(!memcmp(tw_column_text(s, 0, &len), "ab", 2) && len == 2);
  CHECK(tw_column_text(s, 1, &len) == NULL && tw_column_text(s, 2, &len) && len == 0);
  CHECK(tw_column_null_count(s) == 1 && !tw_column_put_null(f) &&
        tw_column_null_count(f) == 1);
  CHECK(tw_column_set_null(f, 3) == TW_EINVAL &&
        tw_column_set_null(f, -1) == TW_EINVAL);
  CHECK(!tw_column_set_null(s, 0) && !tw_column_set_null(s, 0) && s->nulls == 2);
  made_check(s);
  CHECK(tw_column_new(0, 1, NULL) == NULL && tw_column_new(6, 1, NULL) == NULL);
  CHECK(tw_column_width(TW_COL_BOOL) == 1 && tw_column_width(9) == 0);
  tw_column *all[] = {f, i, t, s, b};
  for (int k = 0; k < 5; k++) tw_column_release(all[k]);
  tw_column_release(NULL);
}

static void settles_a_bitmap_that_was_written(void) {
  tw_column *col = NULL;
  for (int64_t n = 0; n < 70; n++) {
    CHECK(tw_column_renew(&col, TW_COL_I64, NULL, n) == TW_OK && !col->valid);
    uint8_t *valid = tw_column_bitmap(col);
    int64_t nulls = 0;
    for (int64_t k = 0; k < n; k++) col->i64[k] = k + 1;
    for (int64_t i = 0; i < (n + 7) / 8; i++) valid[i] = (uint8_t)check_below(256);
    for (int64_t k = 0; k < n; k++) nulls += !(valid[k / 8] >> (k % 8) & 1);
    CHECK(tw_column_settle(col) == nulls);
    made_check(col);
    CHECK(!tw_column_put_i64(col, 5) && !tw_column_is_null(col, n));
  }
  tw_column_release(col);
}

static void compares(void) {
  for (int type = 1; type <= 5; type++) {
    tw_column *a = made_column(type, 50, 20, dict), *b = NULL;
    tw_column *c = tw_column_new(type, 0, NULL);
    CHECK(!tw_column_slice(&b, a, 0, 50) && tw_column_equal(a, b));
    CHECK(!tw_column_append(c, a, 0, 50) && tw_column_equal(a, c) &&
          tw_column_equal(c, b));
    CHECK(!tw_column_slice(&b, a, 0, 49) && !tw_column_equal(a, b));
    int64_t k = check_below(50);
    if (tw_column_is_null(c, k)) k = -1;
    if (k >= 0) CHECK(!tw_column_set_null(c, k) && !tw_column_equal(a, c));
    tw_column_release(a), tw_column_release(b), tw_column_release(c);
  }
}

static void leaves_nothing_behind(void) {
  for (int n = 1; n <= 8; n++) {
    int64_t before = tw_mem_bytes();
    tw_mem_fail_at(n);
    tw_column *col = tw_column_new(TW_COL_STRING, 3, NULL);
    tw_mem_fail_at(0);
    tw_column_release(col);
    CHECK(tw_mem_bytes() == before);
  }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  dict = tw_dict_new();
  for (int type = 1; type <= 5; type++) slices_and_gathers(type);
  for (int i = 0; i < 5; i++)
    for (int type = 1; type <= 5; type++) appends(type);
  puts_what_fits();
  settles_a_bitmap_that_was_written();
  compares();
  leaves_nothing_behind();
  tw_dict_release(dict);
  return check_close();
}
