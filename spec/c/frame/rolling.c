/* frame/rolling: each row's window gone over again gives the same. */
#include "naive.h"

static const int aggs[] = {TW_AGG_COUNT, TW_AGG_SUM,    TW_AGG_MEAN,
                           TW_AGG_VAR,   TW_AGG_STD,    TW_AGG_MIN,
                           TW_AGG_MAX,   TW_AGG_MEDIAN, TW_AGG_QUANTILE};
enum { AGGS = 9 };

static double clean(int agg, double x) {
  return agg != TW_AGG_COUNT && isinf(x) ? NAN : x;
}

static double param_of(int agg) {
  if (agg == TW_AGG_QUANTILE) return (double)check_below(5) / 4;
  return (double)check_below(3);
}

static void over_rows(int agg, int character) {
  static double all[ROWS];
  int64_t rows = 1 + (check_below(3) ? check_below(20) : check_below(700)), total = 0;
  int64_t min_periods = check_below(3) ? -1 : check_below(rows + 1);
  double param = param_of(agg);
  tw_rolling *r = tw_rolling_open(agg, param, rows, 0, min_periods);
  tw_column *out = NULL;
  for (int round = 0; round < 30 && total < ROWS - 2000; round++) {
    int64_t n = check_below(4) ? check_below(20) : check_below(1500);
    tw_column *col = tw_column_new(TW_COL_F64, n, NULL);
    for (int64_t i = 0; i < n; i++) {
      double x = number(character);
      tw_column_put_num(col, x);
      all[total + i] = clean(agg, x);
    }
    CHECK(tw_rolling_push(r, &out, col, NULL) == TW_OK && out->len == n);
    int64_t step = n > 100 ? 1 + check_below(40) : 1;
    for (int64_t i = 0; i < n; i += step) {
      int64_t end = total + i + 1, from = end > rows ? end - rows : 0;
      double want = naive(agg, param, all + from, end - from,
                          min_periods < 0 ? rows : min_periods);
      CHECKF(near(out->f64[i], want, character == 3 ? 1e-9 : 0),
             "agg %d of %lld rows, kind %d: %.17g, not %.17g", agg, (long long)rows,
             character, out->f64[i], want);
    }
    total += n;
    tw_column_release(col);
    if (check_below(6) == 0) {
      tw_rolling *copy = tw_rolling_copy(r);
      CHECK(copy);
      tw_rolling_close(r);
      r = copy;
    }
  }
  tw_rolling_close(r), tw_column_release(out);
}

static void by_value(int agg, int character, int late) {
  static double val[ROWS], index[ROWS], window[ROWS];
  int type = (int[]){TW_COL_F64, TW_COL_I64, TW_COL_TIMESTAMP}[check_below(3)];
  double value = (double)(1 + check_below(60)), clock = 100, param = param_of(agg),
         max = -INFINITY;
  int64_t min_periods = check_below(3) ? -1 : check_below(5), held = 0;
  tw_rolling *r = tw_rolling_open(agg, param, 0, value, min_periods);
  tw_column *out = NULL;
  for (int round = 0; round < 40; round++) {
    int64_t n = check_below(4) ? check_below(6) : check_below(70);
    tw_column *col = tw_column_new(TW_COL_F64, n, NULL),
              *at = tw_column_new(type, n, NULL);
    double *x = tw__malloc((size_t)n * 16 + 1), *t = x + n;
    for (int64_t i = 0; i < n; i++) {
      clock += (double)check_below(4);
      t[i] = clock - (late && !check_below(4) ? (double)check_below(80) : 0);
      if (check_below(30) == 0) t[i] = NAN;
      x[i] = number(character);
      tw_column_put_num(at, t[i]), tw_column_put_num(col, x[i]);
    }
    CHECK(tw_rolling_push(r, &out, col, at) == TW_OK && out->len == n);
    for (int64_t i = 0; i < n; i++) {
      int64_t p = held, rows = 0;
      if (t[i] != t[i]) {
        CHECK(out->f64[i] != out->f64[i]);
        continue;
      }
      for (; p > 0 && index[p - 1] > t[i]; p--)
        index[p] = index[p - 1], val[p] = val[p - 1];
      index[p] = t[i], val[p] = clean(agg, x[i]);
      held++;
      for (int64_t k = 0; k <= p; k++)
        if (index[k] > t[i] - value) window[rows++] = val[k];
      double want = naive(agg, param, window, rows, min_periods < 0 ? 1 : min_periods);
      CHECKF(near(out->f64[i], want, character == 3 ? 1e-9 : 0),
             "agg %d within %g, kind %d: %.17g, not %.17g", agg, value, character,
             out->f64[i], want);
      max = t[i] > max ? t[i] : max;
      int64_t gone = 0;
      while (index[gone] <= max - value) gone++;
      held -= gone;
      memmove(index, index + gone, (size_t)held * sizeof *index);
      memmove(val, val + gone, (size_t)held * sizeof *val);
    }
    tw_column_release(col), tw_column_release(at), tw__free(x);
    if (check_below(8) == 0) {
      tw_rolling *copy = tw_rolling_copy(r);
      CHECK(copy);
      tw_rolling_close(r);
      r = copy;
    }
  }
  tw_rolling_close(r), tw_column_release(out);
}

static void overflows_and_comes_back(void) {
  double val[] = {1, 2, 1e308, 1e308, 1e308, -1e308, 3, 4, 5, 6, 7, 8};
  tw_column *col = tw_column_new(TW_COL_F64, 12, NULL), *out = NULL;
  for (int i = 0; i < 12; i++) tw_column_put_num(col, val[i]);
  for (int rows = 2; rows <= 4; rows++)
    for (int cut = 0; cut <= 12; cut++) {
      tw_rolling *r = tw_rolling_open(TW_AGG_SUM, 0, rows, 0, -1);
      tw_column *part = NULL;
      double got[12];
      for (int k = 0, n = cut; k < 2; k++, n = 12 - cut) {
        CHECK(!tw_column_slice(&part, col, k ? cut : 0, n));
        CHECK(!tw_rolling_push(r, &out, part, NULL));
        memcpy(got + (k ? cut : 0), out->f64, (size_t)n * sizeof *got);
      }
      for (int i = rows - 1; i < 12; i++) {
        long double sum = 0;
        for (int k = i + 1 - rows; k <= i; k++) sum += (long double)val[k];
        if (fabs(got[i]) <= 1e308 || fabsl(sum) < 1e300L)
          CHECK(near(got[i], (double)sum, 1e293));
        CHECK(got[i] == got[i]);
      }
      tw_rolling_close(r), tw_column_release(part);
    }
  tw_column_release(col), tw_column_release(out);
}

static void of_other_types(void) {
  for (int type = TW_COL_I64; type <= TW_COL_TIMESTAMP; type++)
    for (int a = 0; a < AGGS; a++) {
      tw_rolling *r = tw_rolling_open(aggs[a], 0.5, 7, 0, 1);
      tw_column *col = made_column(type, 50, 20, NULL), *out = NULL;
      int fits = type <= TW_COL_BOOL || aggs[a] == TW_AGG_COUNT;
      double val[50];
      CHECK(tw_rolling_push(r, &out, col, NULL) == (fits ? TW_OK : TW_ETYPE));
      for (int64_t i = 0; i < 50; i++) {
        double x = type == TW_COL_BOOL     ? col->b[i]
                   : type == TW_COL_STRING ? 1
                                           : (double)col->i64[i];
        val[i] = tw_column_is_null(col, i) ? NAN : x;
      }
      for (int64_t i = 0; fits && i < 50; i++) {
        int64_t from = i > 6 ? i - 6 : 0;
        double want = naive(aggs[a], 0.5, val + from, i + 1 - from, 1);
        CHECKF(near(out->f64[i], want, 0), "agg %d: %.17g, not %.17g", aggs[a],
               out->f64[i], want);
      }
      tw_rolling_close(r), tw_column_release(col), tw_column_release(out);
    }
}

static void refuses(void) {
  CHECK(!tw_rolling_open(TW_AGG_FIRST, 0, 3, 0, -1) &&
        !tw_rolling_open(-1, 0, 3, 0, -1));
  CHECK(!tw_rolling_open(TW_AGG_SUM, 0, 0, 0, -1) &&
        !tw_rolling_open(TW_AGG_SUM, 0, -1, 1, -1));
  CHECK(!tw_rolling_open(TW_AGG_SUM, 0, 3, 0, 4) &&
        !tw_rolling_open(TW_AGG_SUM, 0, 3, 0, -2));
  CHECK(!tw_rolling_open(TW_AGG_QUANTILE, 1.5, 3, 0, -1) &&
        !tw_rolling_open(TW_AGG_VAR, -1, 3, 0, -1));
  tw_rolling *r = tw_rolling_open(TW_AGG_SUM, 0, 0, 2, -1);
  tw_column *col = made_column(TW_COL_F64, 3, 0, NULL),
            *text = made_column(TW_COL_STRING, 3, 0, NULL);
  tw_column *two = made_column(TW_COL_F64, 2, 0, NULL),
            *whole = made_column(TW_COL_I64, 3, 0, NULL), *out = NULL;
  CHECK(tw_rolling_push(r, &out, col, NULL) == TW_EINVAL &&
        tw_rolling_push(r, &out, col, two) == TW_EINVAL);
  CHECK(tw_rolling_push(r, &out, col, text) == TW_ETYPE &&
        tw_rolling_push(r, &out, text, col) == TW_ETYPE);
  CHECK(tw_rolling_push(r, &out, col, col) == TW_OK &&
        tw_rolling_push(r, &out, col, whole) == TW_ETYPE);
  tw_rolling_close(r), tw_rolling_close(NULL);
  tw_column *all[] = {col, text, two, whole, out};
  for (int i = 0; i < 5; i++) tw_column_release(all[i]);
}

static void every_allocation_may_fail(void) {
  tw_column *col = made_column(TW_COL_F64, 300, 5, NULL),
            *at = tw_column_new(TW_COL_I64, 300, NULL);
  for (int64_t i = 0; i < 300; i++) tw_column_put_i64(at, i - check_below(9));
  for (int a = 0; a < AGGS; a++)
    for (int n = 1, done = 0; !done; n++) {
      int64_t before = tw_mem_bytes();
      tw_column *out = NULL;
      tw_mem_fail_at(n);
      tw_rolling *r = tw_rolling_open(aggs[a], 1, n & 1 ? 130 : 0, 100, -1),
                 *copy = NULL;
      int rc = r ? tw_rolling_push(r, &out, col, at) : TW_ENOMEM;
      if (!rc) copy = tw_rolling_copy(r);
      done = tw_mem_fail_at(0) > 0;
      CHECK(rc == TW_ENOMEM || (rc == TW_OK && out->len == 300));
      if (done) CHECK(rc == TW_OK && copy);
      tw_rolling_close(r), tw_rolling_close(copy), tw_column_release(out);
      CHECK(tw_mem_bytes() == before);
    }
  tw_column_release(col), tw_column_release(at);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < (check_long ? 40 : 2); round++)
    for (int a = 0; a < AGGS; a++)
      for (int character = 0; character < 6; character++) {
        over_rows(aggs[a], character);
        by_value(aggs[a], character, 0);
        by_value(aggs[a], character, 1);
      }
  overflows_and_comes_back();
  of_other_types();
  refuses();
  every_allocation_may_fail();
  return check_close();
}
