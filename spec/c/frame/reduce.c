/* frame/reduce: one number, as computed from all values at once; also of windows. */
#include "made.h"

static const int aggs[] = {TW_AGG_COUNT, TW_AGG_SUM, TW_AGG_MEAN, TW_AGG_VAR,
                           TW_AGG_STD,   TW_AGG_MIN, TW_AGG_MAX,  TW_AGG_SIZE};

static double value_at(const tw_column *col, int64_t i) {
  switch (col->type) {
  case TW_COL_F64: return col->f64[i];
  case TW_COL_BOOL: return col->b[i];
  default: return (double)col->i64[i];
  }
}

/* The aggregate in long double, in two passes. */
static double naive(int agg, const tw_column *col, int64_t first, int64_t n,
                    double ddof) {
  long double sum = 0, square = 0;
  double least = NAN, most = NAN;
  int64_t count = 0;
  if (agg == TW_AGG_SIZE) return (double)n;
  for (int64_t i = first; i < first + n; i++) {
    if (tw_column_is_null(col, i)) continue;
    count++;
    if (col->type == TW_COL_STRING) continue;
    double x = value_at(col, i);
    sum += (long double)x;
    if (!(least <= x)) least = x;
    if (!(most >= x)) most = x;
  }
  if (agg == TW_AGG_COUNT) return (double)count;
  if (agg == TW_AGG_SUM) return (double)sum;
  if (agg == TW_AGG_MIN) return least;
  if (agg == TW_AGG_MAX) return most;
  if (!count) return NAN;
  long double mean = sum / (long double)count;
  if (agg == TW_AGG_MEAN) return (double)mean;
  for (int64_t i = first; i < first + n; i++) {
    if (tw_column_is_null(col, i)) continue;
    long double y = (long double)value_at(col, i) - mean;
    square += y * y;
  }
  if (!((double)count - ddof > 0)) return NAN;
  double var = (double)(square / ((long double)count - (long double)ddof));
  return agg == TW_AGG_STD ? sqrt(var) : var;
}

static int near(double a, double b, double scale) {
  if (a == b || (a != a && b != b)) return 1;
  double size = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
  return fabs(a - b) <= 1e-9 * size + 1e-15 * scale;
}

/* Numbers of a character: small, about 1e9, of all magnitudes, with outliers, infinite. */
static tw_column *numbers(int64_t n, int character, int nulls) {
  tw_column *col = tw_column_new(TW_COL_F64, n, NULL);
  for (int64_t i = 0; i < n; i++) {
    double x = check_unit() - 0.5;
    switch (character) {
    case 1: x += 1e9; break;
    case 2: x = ldexp(x, (int)check_below(100) - 50); break;
    case 3:
      if (check_below(50) == 0) x *= 1e12;
      break;
    case 4:
      if (check_below(50) == 0) x = check_below(2) ? INFINITY : -INFINITY;
      break;
    case 5: x = floor(x * 4); break;
    case 6: x = 7.25; break;
    default: break;
    }
    if (check_below(100) < nulls) x = NAN;
    tw_column_put_num(col, x == x ? x : NAN);
  }
  return col;
}

static void of_everything(int character) {
  for (int a = 0; a < 8; a++) {
    double ddof = (double)check_below(3);
    tw_reduce *r = tw_reduce_open(aggs[a], TW_COL_F64, ddof, (int)check_below(2));
    tw_column *all = numbers(0, character, 0);
    int nulls = 20 * (int)check_below(2);
    for (int round = 0; round < 25; round++) {
      tw_column *col = numbers(check_below(4) ? check_below(7) : check_below(1500),
                               character, nulls);
      int64_t cut = check_below(col->len + 1);
      CHECK(!tw_reduce_add(r, col, 0, cut) &&
            !tw_reduce_add(r, col, cut, col->len - cut));
      CHECK(!tw_column_append(all, col, 0, col->len));
      double want = naive(aggs[a], all, 0, all->len, ddof);
      double got = tw_reduce_value(r, NULL);
      CHECKF(near(got, want, character == 2 ? 1e15 : 1e12),
             "agg %d of kind %d: %.17g, not %.17g", aggs[a], character, got, want);
      if (check_below(5) == 0) {
        tw_reduce *copy = tw_reduce_copy(r);
        tw_reduce_close(r);
        r = copy;
      }
      tw_column_release(col);
    }
    tw_reduce_clear(r);
    CHECK(near(tw_reduce_value(r, NULL), naive(aggs[a], all, 0, 0, ddof), 0));
    tw_reduce_close(r), tw_column_release(all);
  }
}

static void of_other_types(void) {
  for (int type = TW_COL_I64; type <= TW_COL_TIMESTAMP; type++)
    for (int a = 0; a < 8; a++)
      for (int live = 0; live < 2; live++) {
        tw_reduce *r = tw_reduce_open(aggs[a], type, 1, live);
        int any = aggs[a] == TW_AGG_COUNT || aggs[a] == TW_AGG_SIZE;
        int order = aggs[a] == TW_AGG_MIN || aggs[a] == TW_AGG_MAX;
        int fits = type == TW_COL_STRING      ? any
                   : type == TW_COL_TIMESTAMP ? any || order
                                              : 1;
        CHECK(!!r == fits);
        if (!r) continue;
        tw_dict *dict = tw_dict_new();
        tw_column *all = tw_column_new(type, 0, dict);
        for (int round = 0; round < 20; round++) {
          tw_column *col = made_column(type, check_below(400), 15 * (round & 1), dict);
          CHECK(!tw_reduce_add(r, col, 0, col->len) &&
                !tw_column_append(all, col, 0, col->len));
          int exact;
          double want = naive(aggs[a], all, 0, all->len, 1),
                 got = tw_reduce_value(r, &exact);
          CHECKF(near(got, want, 0), "agg %d of type %d: %.17g, not %.17g", aggs[a],
                 type, got, want);
          if (got == got)
            CHECK((exact == TW_COL_I64) == (any || order || aggs[a] == TW_AGG_SUM));
          tw_column_release(col);
        }
        CHECK(tw_reduce_add(r, all, 1, all->len) == TW_EINVAL);
        tw_reduce_close(r), tw_column_release(all), tw_dict_release(dict);
      }
}

static void exactly(void) {
  tw_column *col = tw_column_new(TW_COL_I64, 0, NULL);
  tw_reduce *r = tw_reduce_open(TW_AGG_SUM, TW_COL_I64, 0, 0);
  int exact;
  tw_column_put_i64(col, INT64_MAX), tw_column_put_i64(col, -5),
      tw_column_put_i64(col, 2);
  CHECK(!tw_reduce_add(r, col, 0, 3) && tw_reduce_value(r, &exact) == 0x1p63);
  CHECK(exact == TW_COL_I64 && r->i64 == INT64_MAX - 3);
  CHECK(!tw_reduce_start(r, 2, 0) && tw_reduce_value(r, NULL) == 0x1p63 &&
        r->i64 == INT64_MAX - 1);
  CHECK(!tw_reduce_add(r, col, 0, 1) && tw_reduce_value(r, &exact) == 0x1p64);
  CHECK(exact == TW_COL_F64);
  tw_reduce_close(r), tw_column_release(col);
}

static void begins_with_a_total(void) {
  tw_column *col = tw_column_new(TW_COL_F64, 0, NULL);
  double vals[] = {50, 100, 200};
  for (int i = 0; i < 3; i++) tw_column_put_num(col, vals[i]);
  tw_reduce *mean = tw_reduce_open(TW_AGG_MEAN, TW_COL_F64, 0, 0);
  CHECK(!tw_reduce_start(mean, 10, 2) && tw_reduce_value(mean, NULL) == 5);
  CHECK(!tw_reduce_add(mean, col, 0, 3) && tw_reduce_value(mean, NULL) == 72);
  tw_reduce *count = tw_reduce_open(TW_AGG_COUNT, TW_COL_F64, 0, 0);
  CHECK(!tw_reduce_start(count, 0, 3) && !tw_reduce_add(count, col, 0, 3));
  CHECK(tw_reduce_value(count, NULL) == 6);
  tw_reduce *sum = tw_reduce_open(TW_AGG_SUM, TW_COL_F64, 0, 0);
  CHECK(!tw_reduce_start(sum, 10, 0) && !tw_reduce_add(sum, col, 0, 3));
  CHECK(tw_reduce_value(sum, NULL) == 360);
  tw_reduce *min = tw_reduce_open(TW_AGG_MIN, TW_COL_F64, 0, 0);
  CHECK(tw_reduce_start(min, 1, 1) == TW_EINVAL);
  tw_reduce *both[] = {mean, count, sum, min};
  for (int i = 0; i < 4; i++) tw_reduce_close(both[i]);
  tw_reduce_close(NULL), tw_column_release(col);
}

static tw_frame *framed(tw_column *col, double *clock, int late) {
  tw_frame *frame = tw_frame_new(2, 0);
  tw_column *index = tw_column_new(check_seed & 1 ? TW_COL_F64 : TW_COL_I64, 0, NULL);
  for (int64_t i = 0; i < col->len; i++) {
    *clock += (double)check_below(2);
    tw_column_put_num(index, *clock - (double)(late ? check_below(40) : 0));
  }
  tw_frame_take(frame, 0, col), tw_frame_take(frame, 1, index);
  return frame;
}

static void of_windows(int character) {
  int64_t n = 1 + check_below(200);
  double clock = -50, ddof = (double)check_below(2);
  int by_value = (int)check_below(2), late = (int)check_below(3) == 0;
  tw_window *win =
      by_value ? tw_window_open_value((double)n / 2, 1) : tw_window_open(n);
  tw_reduce *r[8];
  for (int a = 0; a < 8; a++) r[a] = tw_reduce_open(aggs[a], TW_COL_F64, ddof, 1);
  win->through = (int)check_below(2);
  for (int round = 0; round < 150; round++) {
    int64_t rows = check_below(5) ? check_below(9) : check_below(300);
    tw_frame *frame = framed(numbers(rows, character, 10), &clock, late);
    CHECK(tw_window_add(win, frame) == TW_OK);
    for (int a = 0; a < 8; a++) {
      if (check_below(20) == 0) tw_mem_fail_at(1 + check_below(2));
      int rc = tw_reduce_slide(r[a], win, 0);
      tw_mem_fail_at(0);
      if (rc) {
        tw_reduce_clear(r[a]);
        CHECK(rc == TW_ENOMEM);
        CHECK(!tw_reduce_add(r[a], win->store->column[0], win->first, win->rows) || 1);
        tw_reduce_close(r[a]); /* one that begins here cannot know the order */
        r[a] = NULL;
        tw_frame *all = NULL;
        tw_window *one =
            by_value ? tw_window_open_value((double)n / 2, 1) : tw_window_open(n);
        CHECK(!tw_window_rows(win, &all) && !tw_window_add(one, all));
        r[a] = tw_reduce_open(aggs[a], TW_COL_F64, ddof, 1);
        CHECK(!tw_reduce_slide(r[a], one, 0));
        tw_window_close(one), tw_frame_release(all);
      }
      double want = naive(aggs[a], win->store->column[0], win->first, win->rows, ddof);
      double got = tw_reduce_value(r[a], NULL), scale = 0;
      for (int64_t i = win->first; i < win->first + win->rows; i++)
        if (fabs(win->store->column[0]->f64[i]) < 1e300)
          scale += fabs(win->store->column[0]->f64[i]);
      CHECKF(near(got, want, scale), "agg %d of kind %d in round %d: %.17g, not %.17g",
             aggs[a], character, round, got, want);
    }
    tw_frame_release(frame);
  }
  tw_frame *bad = made_frame(2, 0, NULL);
  CHECK(tw_reduce_slide(r[1], win, 2) == TW_EINVAL);
  tw_frame_release(bad);
  for (int a = 0; a < 8; a++) tw_reduce_close(r[a]);
  tw_window_close(win);
}

static void stays_right_for_long(void) {
  tw_window *win = tw_window_open(100);
  tw_reduce *sum = tw_reduce_open(TW_AGG_SUM, TW_COL_F64, 1, 1);
  tw_reduce *var = tw_reduce_open(TW_AGG_VAR, TW_COL_F64, 1, 1);
  int rounds = check_long ? 2000000 : 100000;
  double clock = 0;
  for (int round = 0; round < rounds; round++) {
    tw_frame *frame = framed(numbers(7, round % 3000 < 100 ? 3 : 1, 0), &clock, 0);
    CHECK(!tw_window_add(win, frame) && !tw_reduce_slide(sum, win, 0) &&
          !tw_reduce_slide(var, win, 0));
    if (round % 97 == 0 || round == rounds - 1) {
      const tw_column *col = win->store->column[0];
      double want = naive(TW_AGG_SUM, col, win->first, win->rows, 1);
      CHECKF(near(tw_reduce_value(sum, NULL), want, 0), "%.17g, not %.17g",
             tw_reduce_value(sum, NULL), want);
      want = naive(TW_AGG_VAR, col, win->first, win->rows, 1);
      CHECKF(near(tw_reduce_value(var, NULL), want, 0), "%.17g, not %.17g",
             tw_reduce_value(var, NULL), want);
    }
    tw_frame_release(frame);
  }
  tw_reduce_close(sum), tw_reduce_close(var), tw_window_close(win);
}

static void has_an_end_for_memory(void) {
  tw_reduce *r = NULL;
  for (int n = 1; n <= 2; n++) {
    tw_mem_fail_at(n);
    CHECK(!tw_reduce_open(TW_AGG_MAX, TW_COL_F64, 1, 1));
  }
  tw_mem_fail_at(0);
  r = tw_reduce_open(TW_AGG_SUM, TW_COL_F64, 1, 0);
  for (int n = 1; n <= 2; n++) {
    tw_mem_fail_at(n);
    CHECK(!tw_reduce_copy(r));
  }
  tw_mem_fail_at(0);
  CHECK(!tw_reduce_open(TW_AGG_MEDIAN, TW_COL_F64, 1, 0) &&
        !tw_reduce_open(TW_AGG_VAR, TW_COL_F64, -1, 0));
  tw_reduce_close(r);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int character = 0; character <= 6; character++) of_everything(character);
  of_other_types();
  exactly();
  begins_with_a_total();
  for (int round = 0; round < (check_long ? 400 : 28); round++) of_windows(round % 7);
  stays_right_for_long();
  has_an_end_for_memory();
  return check_close();
}
