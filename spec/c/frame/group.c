/* frame/group: what sorting, cutting and summing all rows at once gives, also of windows. */
#include "made.h"

static const int aggs[] = {TW_AGG_COUNT, TW_AGG_SUM, TW_AGG_MEAN, TW_AGG_VAR,
                           TW_AGG_STD,   TW_AGG_MIN, TW_AGG_MAX,  TW_AGG_SIZE};
enum { AGGS = 8 };

static int missing(const tw_frame *frame, const int32_t *key, int keys, int64_t i) {
  for (int k = 0; k < keys; k++)
    if (tw_column_is_null(frame->column[key[k]], i)) return 1;
  return 0;
}

static int same_key(const tw_frame *frame, const int32_t *key, int keys, int64_t i,
                    const tw_frame *out, int64_t j) {
  for (int k = 0; k < keys; k++)
    if (!made_same(frame->column[key[k]], i, out->column[k], j)) return 0;
  return 1;
}

static double value_at(const tw_column *col, int64_t i) {
  if (tw_column_is_null(col, i)) return NAN;
  switch (col->type) {
  case TW_COL_F64: return col->f64[i];
  case TW_COL_BOOL: return col->b[i];
  default: return (double)col->i64[i];
  }
}

/* The aggregate of the rows first .. end - 1 with the key of row j of out. */
static double naive(int agg, const tw_frame *frame, int64_t first, int64_t end,
                    const int32_t *key, int keys, const tw_frame *out, int64_t j,
                    int at, double ddof, double *scale) {
  long double sum = 0, square = 0;
  double least = NAN, most = NAN;
  int64_t count = 0, rows = 0;
  const tw_column *col = frame->column[at];
  *scale = 0;
  for (int64_t i = first; i < end; i++) {
    if (!same_key(frame, key, keys, i, out, j)) continue;
    rows++;
    if (tw_column_is_null(col, i)) continue;
    count++;
    if (col->type == TW_COL_STRING) continue;
    double x = value_at(col, i);
    sum += (long double)x;
    *scale += fabs(x);
    if (!(least <= x)) least = x;
    if (!(most >= x)) most = x;
  }
  long double mean = sum / (long double)count;
  for (int64_t i = first; i < end; i++) {
    if (!same_key(frame, key, keys, i, out, j) || tw_column_is_null(col, i)) continue;
    if (col->type == TW_COL_STRING) continue;
    long double y = (long double)value_at(col, i) - mean;
    square += y * y;
  }
  double var = (double)count - ddof > 0
                   ? (double)(square / ((long double)count - (long double)ddof))
                   : NAN;
  switch (agg) {
  case TW_AGG_SIZE: return (double)rows;
  case TW_AGG_COUNT: return (double)count;
  case TW_AGG_SUM: return (double)sum;
  case TW_AGG_MEAN: return count ? (double)mean : NAN;
  case TW_AGG_VAR: return var;
  case TW_AGG_STD: return sqrt(var);
  case TW_AGG_MIN: return least;
  default: return most;
  }
}

static int near(double a, double b, double scale) {
  if (a == b || (a != a && b != b)) return 1;
  double size = fabs(a) > fabs(b) ? fabs(a) : fabs(b);
  return fabs(a - b) <= 1e-9 * size + 1e-15 * scale;
}

static int64_t distinct(const tw_frame *frame, int64_t first, int64_t end,
                        const int32_t *key, int keys) {
  int64_t count = 0;
  for (int64_t i = first; i < end; i++) {
    int fresh = !missing(frame, key, keys, i);
    for (int64_t j = first; j < i && fresh; j++) {
      int same = 1;
      for (int k = 0; k < keys; k++)
        same &= made_same(frame->column[key[k]], i, frame->column[key[k]], j);
      fresh = !same;
    }
    count += fresh;
  }
  return count;
}

/* Whether row j - 1 of out has a lower key than row j. */
static int in_order(const tw_frame *out, int keys, int64_t j) {
  for (int k = 0; k < keys; k++) {
    const tw_column *col = out->column[k];
    if (made_same(col, j - 1, col, j)) continue;
    if (col->type != TW_COL_STRING) return value_at(col, j - 1) < value_at(col, j);
    int64_t m, n;
    const char *s = tw_column_text(col, j - 1, &m), *t = tw_column_text(col, j, &n);
    int by = memcmp(s, t, (size_t)(m < n ? m : n));
    return by ? by < 0 : m < n;
  }
  return 0;
}

static void same_result(const tw_frame *out, const tw_frame *frame, int64_t first,
                        int64_t end, const int32_t *key, int keys, const int32_t *col,
                        const int32_t *agg, int cols, double ddof) {
  CHECK(tw_frame_whole(out) && out->columns == keys + cols);
  CHECKF(out->rows == distinct(frame, first, end, key, keys), "%lld, not %lld",
         (long long)out->rows, (long long)distinct(frame, first, end, key, keys));
  for (int64_t j = 1; j < out->rows; j++) CHECK(in_order(out, keys, j));
  for (int64_t j = 0; j < out->rows; j++)
    for (int c = 0; c < cols; c++) {
      double scale;
      double want =
          naive(agg[c], frame, first, end, key, keys, out, j, col[c], ddof, &scale);
      double got = value_at(out->column[keys + c], j);
      CHECKF(near(got, want, scale), "agg %d of column %d: %.17g, not %.17g", agg[c],
             col[c], got, want);
    }
}

/* Keys that come from few, an integer, a number with offset, a flag; index last. */
static tw_frame *rows_of(int64_t n, tw_dict *dict, double *clock, int late) {
  tw_frame *frame = tw_frame_new(6, 0);
  tw_column *index = tw_column_new(TW_COL_F64, 0, NULL),
            *num = tw_column_new(TW_COL_F64, 0, NULL);
  for (int64_t i = 0; i < n; i++) {
    double x = 1e9 + check_unit();
    *clock += (double)check_below(2);
    if (check_below(40) == 0) x = -1e15 * check_unit();
    tw_column_put_num(num, check_below(10) ? x : NAN);
    tw_column_put_num(index, *clock - (double)(late ? check_below(20) : 0));
  }
  tw_frame_take(frame, 0, made_column(TW_COL_STRING, n, 5, dict));
  tw_frame_take(frame, 1, made_column(TW_COL_I64, n, 5, NULL));
  tw_frame_take(frame, 2, made_column(TW_COL_F64, n, 5, NULL));
  tw_frame_take(frame, 3, made_column(TW_COL_BOOL, n, 5, NULL));
  tw_frame_take(frame, 4, num);
  tw_frame_take(frame, 5, index);
  return frame;
}

struct plan {
  int32_t key[3], col[10], agg[10];
  int keys, cols;
  double ddof;
};

static struct plan random_plan(void) {
  struct plan p = {.keys = 1 + (int)check_below(2), .cols = 1 + (int)check_below(8)};
  for (int k = 0; k < p.keys; k++) p.key[k] = (int32_t)check_below(4);
  for (int c = 0; c < p.cols; c++) {
    p.agg[c] = aggs[check_below(AGGS)];
    p.col[c] = (int32_t)(1 + check_below(4));
    if (p.agg[c] == TW_AGG_COUNT && check_below(2)) p.col[c] = 0;
  }
  p.ddof = (double)check_below(2);
  return p;
}

static tw_group *open_plan(const struct plan *p, int live) {
  tw_group *g = tw_group_open(p->key, p->keys, p->col, p->agg, p->cols, p->ddof, live);
  CHECK(g);
  return g;
}

static void of_everything(void) {
  struct plan p = random_plan();
  int live = (int)check_below(2);
  tw_group *g = open_plan(&p, live);
  tw_dict *dict = tw_dict_new();
  tw_frame *all = NULL, *out = NULL, *kept = NULL, *copy = NULL;
  double clock = 0;
  CHECK(tw_group_result(g, &out, 1) == TW_EINVAL);
  for (int round = 0; round < 25; round++) {
    int64_t n = check_below(3) ? check_below(4) : check_below(60);
    tw_frame *frame = rows_of(n, check_below(4) ? dict : NULL, &clock, 0);
    int64_t cut = check_below(n + 1);
    CHECK(!tw_group_add(g, frame, 0, cut) && !tw_group_add(g, frame, cut, n - cut));
    CHECK(!tw_frame_append(&all, frame, 0, n));
    if (check_below(4) == 0) tw_mem_fail_at(1 + check_below(20));
    int rc = tw_group_result(g, &out, 5);
    tw_mem_fail_at(0);
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    if (rc) rc = tw_group_result(g, &out, 5);
    CHECK(rc == TW_OK && out->schema == 5 && tw_group_count(g) == out->rows);
    same_result(out, all, 0, all->rows, p.key, p.keys, p.col, p.agg, p.cols, p.ddof);
    if (kept) CHECK(tw_frame_equal(kept, copy)); /* what somebody has does not change */
    if (check_below(4) == 0) {
      tw_frame_release(kept);
      kept = tw_frame_retain(out);
      CHECK(!tw_frame_slice(&copy, out, 0, out->rows));
    }
    if (check_below(6) == 0) {
      tw_group *other = tw_group_copy(g);
      CHECK(other);
      CHECK(!tw_group_add(g, frame, 0, n)); /* of no account to the copy */
      tw_group_close(g);
      g = other;
    }
    tw_frame_release(frame);
    if (check_below(12) == 0) {
      tw_group_clear(g);
      CHECK(tw_group_count(g) == 0);
      tw_frame_release(all);
      all = NULL;
    }
  }
  tw_group_close(g), tw_frame_release(all), tw_frame_release(out);
  tw_frame_release(kept), tw_frame_release(copy), tw_dict_release(dict);
}

static void of_windows(void) {
  struct plan p = random_plan();
  int64_t n = 1 + check_below(120);
  double clock = 0;
  int by_value = (int)check_below(2), late = (int)check_below(2);
  tw_window *win =
      by_value ? tw_window_open_value((double)n / 2, 5) : tw_window_open(n);
  tw_group *g = open_plan(&p, 1);
  tw_dict *dict = tw_dict_new();
  tw_frame *out = NULL, *kept = NULL, *copy = NULL;
  win->through = (int)check_below(2);
  for (int round = 0; round < 40; round++) {
    int64_t rows = check_below(4) ? check_below(5) : check_below(150);
    tw_frame *frame = rows_of(rows, check_below(4) ? dict : NULL, &clock, late);
    CHECK(!tw_window_add(win, frame) && !tw_group_slide(g, win));
    CHECK(!tw_group_result(g, &out, 5));
    same_result(out, win->store, win->first, win->first + win->rows, p.key, p.keys,
                p.col, p.agg, p.cols, p.ddof);
    if (kept) CHECK(tw_frame_equal(kept, copy));
    if (check_below(4) == 0) {
      tw_frame_release(kept);
      kept = tw_frame_retain(out);
      CHECK(!tw_frame_slice(&copy, out, 0, out->rows));
    }
    if (check_below(8) == 0) {
      tw_group *other = tw_group_copy(g);
      CHECK(other);
      tw_group_close(g);
      g = other;
    }
    tw_frame_release(frame);
  }
  tw_group_close(g), tw_window_close(win), tw_dict_release(dict);
  tw_frame_release(out), tw_frame_release(kept), tw_frame_release(copy);
}

/* Keys that never come again must not stay. */
static void forgets_groups(int type) {
  int32_t key[] = {0}, col[] = {0}, agg[] = {TW_AGG_SIZE};
  tw_group *g = tw_group_open(key, 1, col, agg, 1, 1, 1);
  tw_window *win = tw_window_open(10);
  tw_frame *out = NULL;
  int64_t id = 0, early = 0;
  for (int round = 0; round < 4000; round++) {
    tw_frame *frame = tw_frame_new(1, 0);
    tw_column *ids = tw_column_new(type, 0, NULL);
    char text[20];
    for (int i = 0; i < 5; i++)
      if (type == TW_COL_STRING)
        tw_column_put_bytes(ids, text,
                            snprintf(text, sizeof text, "%lld", (long long)id++));
      else
        tw_column_put_i64(ids, id++);
    tw_frame_take(frame, 0, ids);
    CHECK(!tw_window_add(win, frame) && !tw_group_slide(g, win) &&
          !tw_group_result(g, &out, 0));
    CHECK(out->rows == (round ? 10 : 5));
    tw_frame_release(frame);
    if (round == 1000) early = tw_mem_bytes();
  }
  CHECKF(tw_mem_bytes() < early + 20000, "%lld, then %lld", (long long)early,
         (long long)tw_mem_bytes());
  tw_group_close(g), tw_window_close(win), tw_frame_release(out);
}

/* A column without values gets its type late, another goes and a third comes. */
static void changes_columns(int live) {
  int32_t key[] = {0}, col[] = {2, 4}, agg[] = {TW_AGG_SUM, TW_AGG_MEAN};
  int32_t other[] = {4, 1, 2}, its[] = {TW_AGG_MEAN, TW_AGG_COUNT, TW_AGG_SUM};
  double clock = 0;
  tw_frame *frame = rows_of(40, NULL, &clock, 0), *first = NULL, *all = NULL;
  tw_frame *out = NULL;
  CHECK(!tw_frame_slice(&first, frame, 0, 40));
  for (int64_t i = 0; i < 40; i++) tw_column_set_null(first->column[2], i);
  CHECK(!tw_frame_append(&all, first, 0, 40) && !tw_frame_append(&all, frame, 0, 40));
  for (int n = 1, done = 0; !done && n < 1000; n++) {
    int64_t before = tw_mem_bytes();
    tw_group *g = tw_group_open(key, 1, col, agg, 2, 1, live);
    CHECK(!tw_group_add(g, first, 0, 40) && !tw_group_result(g, &out, 1));
    tw_mem_fail_at(n);
    int rc = tw_group_columns(g, other, its, 3);
    done = tw_mem_fail_at(0) > 0;
    CHECK(rc == TW_OK || rc == TW_ENOMEM);
    if (rc) rc = tw_group_columns(g, other, its, 3);
    CHECK(!rc && !tw_group_result(g, &out, 1) && out->columns == 4);
    tw_frame *late = tw_frame_new(6, 0);
    for (int k = 0; k < 6; k++) tw_frame_set(late, k, frame->column[k == 2 ? 1 : k]);
    CHECK(!tw_group_add(g, late, 0, 40)); /* column 2 is I64 now */
    CHECK(!tw_group_result(g, &out, 1) && out->column[3]->type == TW_COL_I64);
    for (int64_t j = 0; j < out->rows; j++) {
      double scale;
      double mean = naive(TW_AGG_MEAN, all, 0, 80, key, 1, out, j, 4, 1, &scale);
      CHECK(near(value_at(out->column[1], j), mean, scale));
      CHECK(value_at(out->column[2], j) ==
            naive(TW_AGG_COUNT, all, 40, 80, key, 1, out, j, 1, 1, &scale));
      CHECK(value_at(out->column[3], j) ==
            naive(TW_AGG_SUM, all, 40, 80, key, 1, out, j, 1, 1, &scale));
    }
    CHECK(tw_group_add(g, frame, 0, 40) == TW_ETYPE); /* and stays so */
    tw_frame_release(late), tw_frame_release(out), tw_group_close(g);
    out = NULL;
    CHECK(tw_mem_bytes() == before);
  }
  tw_frame_release(frame), tw_frame_release(first), tw_frame_release(all);
}

/* A string that a holder of the result puts into its dict is no group. */
static void keeps_to_its_own_strings(void) {
  int32_t key[] = {0}, col[] = {0}, agg[] = {TW_AGG_SIZE};
  tw_group *g = tw_group_open(key, 1, col, agg, 1, 1, 0);
  tw_frame *out = NULL;
  char text[16];
  for (int i = 0; i < 400; i++) { /* each of a dict of its own */
    tw_frame *frame = tw_frame_new(1, 0);
    tw_frame_take(frame, 0, tw_column_new(TW_COL_STRING, 3, NULL));
    for (int k = 0; k < 3; k++)
      tw_column_put_bytes(frame->column[0], text,
                          snprintf(text, sizeof text, "t%d", (int)check_below(300)));
    frame->rows = 3;
    CHECK(!tw_group_add(g, frame, 0, 3) && !tw_group_result(g, &out, 1));
    tw_column *more = tw_column_new(TW_COL_STRING, 1, out->column[0]->dict);
    tw_column_put_bytes(more, text, snprintf(text, sizeof text, "t%d", i));
    int64_t rows = 0;
    for (int64_t k = 0; k < out->rows; k++) rows += out->column[1]->i64[k];
    CHECK(rows == 3 * (i + 1));
    tw_column_release(more);
    tw_frame_release(frame);
  }
  tw_group_close(g), tw_frame_release(out);
}

static void every_allocation_may_fail(void) {
  struct plan p = {.key = {0, 1},
                   .keys = 2,
                   .cols = 3,
                   .col = {2, 3, 1},
                   .ddof = 1,
                   .agg = {TW_AGG_VAR, TW_AGG_MAX, TW_AGG_SUM}};
  double clock = 0;
  tw_frame *frame = rows_of(80, NULL, &clock, 1), *more = rows_of(50, NULL, &clock, 1);
  for (int n = 1, done = 0; !done && n < 1000; n++) {
    int64_t before = tw_mem_bytes();
    tw_frame *out = NULL;
    tw_mem_fail_at(n);
    tw_group *g = tw_group_open(p.key, p.keys, p.col, p.agg, p.cols, 1, 1);
    tw_window *win = tw_window_open_value(15, 5);
    tw_group *copy = NULL;
    if (g && win) {
      int rc = tw_window_add(win, frame);
      if (!rc) rc = tw_group_slide(g, win);
      if (!rc) rc = tw_window_add(win, more);
      if (!rc) rc = tw_group_slide(g, win);
      if (!rc) rc = tw_group_result(g, &out, 0);
      copy = tw_group_copy(g);
      if (!rc && copy) rc = tw_group_result(copy, &out, 0);
      CHECK(rc == TW_OK || rc == TW_ENOMEM);
    }
    done = tw_mem_fail_at(0) > 0;
    tw_group_close(g), tw_group_close(copy), tw_window_close(win),
        tw_frame_release(out);
    CHECK(tw_mem_bytes() == before);
  }
  tw_frame_release(frame), tw_frame_release(more);
}

static void refuses(void) {
  int32_t key[] = {0}, bad[] = {-1}, far[] = {9}, col[] = {0}, agg[] = {TW_AGG_SUM},
          med[] = {TW_AGG_MEDIAN};
  CHECK(!tw_group_open(key, 0, col, agg, 1, 1, 0) &&
        !tw_group_open(bad, 1, col, agg, 1, 1, 0));
  CHECK(!tw_group_open(key, 1, bad, agg, 1, 1, 0) &&
        !tw_group_open(key, 1, col, med, 1, 1, 0));
  CHECK(!tw_group_open(key, 1, col, agg, 1, -1, 0));
  double clock = 0;
  tw_frame *frame = rows_of(3, NULL, &clock, 0);
  tw_group *g = tw_group_open(key, 1, col, agg, 1, 1, 0);
  CHECK(tw_group_add(g, frame, 0, 3) == TW_ETYPE); /* a sum of strings */
  tw_group_close(g);
  g = tw_group_open(far, 1, col, agg, 1, 1, 0);
  CHECK(tw_group_add(g, frame, 0, 3) == TW_ETYPE);
  tw_group_close(g);
  col[0] = 2;
  g = tw_group_open(key, 1, col, agg, 1, 1, 0);
  CHECK(tw_group_add(g, frame, 0, 4) == TW_EINVAL &&
        tw_group_add(g, frame, 0, 3) == TW_OK);
  tw_frame *other = tw_frame_new(3, 0);
  for (int k = 0; k < 3; k++) tw_frame_set(other, k, frame->column[1]);
  CHECK(tw_group_add(g, other, 0, 3) == TW_ETYPE);
  tw_window *win = tw_window_open(2);
  CHECK(tw_group_slide(g, win) == TW_EINVAL);
  tw_group_close(g), tw_group_close(NULL), tw_window_close(win);
  tw_frame_release(frame), tw_frame_release(other);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < (check_long ? 400 : 25); round++) of_everything();
  for (int round = 0; round < (check_long ? 400 : 25); round++) of_windows();
  forgets_groups(TW_COL_I64);
  forgets_groups(TW_COL_STRING);
  changes_columns(0);
  changes_columns(1);
  keeps_to_its_own_strings();
  every_allocation_may_fail();
  refuses();
  return check_close();
}
