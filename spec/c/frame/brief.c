/* frame/brief: each row's window gone over again gives the same. */
#include "frame/brief.h"
#include "naive.h"

static const int aggs[] = {TW_AGG_SUM, TW_AGG_MEAN, TW_AGG_VAR,
                           TW_AGG_STD, TW_AGG_MIN,  TW_AGG_MAX};
enum { AGGS = 6 };

static int64_t some_rows(void) {
  return 1 + check_below(check_below(3) ? TW__BRIEF_ROWS : 4);
}

/* n of all, of which a lot, or nothing, is missing. */
static void make(double *all, int64_t n, int character) {
  int full = check_below(2) == 0;
  for (int64_t i = 0; i < n; i++) {
    all[i] = number(character);
    while (full && all[i] != all[i]) all[i] = number(character);
  }
}

static double clean_of(double x) {
  return x - x == 0 ? x : NAN;
}

static void agrees(int agg, int character) {
  static double all[ROWS], clean[ROWS], out[ROWS];
  int64_t rows = some_rows(), total = 0, n = 0;
  int64_t periods = check_below(2) ? rows : check_below(rows + 1);
  double ddof = (double)check_below(3);
  struct tw__brief *s = tw__brief_open(agg, ddof, rows, periods);
  int64_t most = check_below(3) == 0 ? 3 : check_below(2) ? 100 : 1500;
  for (; total < ROWS / 2; total += n) {
    n = check_below(most + 1);
    make(all + total, n, check_below(5) ? character : 0);
    for (int64_t i = 0; i < n; i++) clean[total + i] = clean_of(all[total + i]);
    tw__brief_push(s, all + total, out + total, n);
    for (int64_t i = total; i < total + n; i += 1 + check_below(9)) {
      int64_t end = i + 1, from = end > rows ? end - rows : 0;
      double want = naive(agg, ddof, clean + from, end - from, periods);
      CHECKF(near(out[i], want, character == 3 ? 1e-9 : 0),
             "agg %d of %lld rows, kind %d: %.17g, not %.17g", agg, (long long)rows,
             character, out[i], want);
    }
    if (check_below(12)) continue;
    struct tw__brief *copy = tw__brief_copy(s);
    CHECK(copy);
    tw__brief_close(s);
    s = copy;
  }
  tw__brief_close(s);
}

/* However the rows are cut into pieces, constant ones do not spread. */
static void is_exact_for_constants(void) {
  for (int64_t rows = 2; rows < TW__BRIEF_ROWS + 1; rows += 1) {
    struct tw__brief *s = tw__brief_open(TW_AGG_STD, 1, rows, rows);
    double val[400], out[400];
    for (int i = 0; i < 400; i++) val[i] = i < 50 ? 1e9 * i : 0.1;
    for (int64_t i = 0, n; i < 400; i += n) {
      n = 1 + check_below(400 - i);
      tw__brief_push(s, val + i, out + i, n);
    }
    for (int64_t i = 50 + rows; i < 400; i++) CHECKF(out[i] == 0, "%g", out[i]);
    tw__brief_close(s);
  }
}

/* Sums too large for a double are in the way of those that are not only as long as they
 * are in the window. */
static void comes_back_from_overflows(void) {
  for (int64_t rows = 1; rows < TW__BRIEF_ROWS + 1; rows += 1) {
    struct tw__brief *s = tw__brief_open(TW_AGG_SUM, 0, rows, 1);
    double val[600], out[600];
    for (int i = 0; i < 600; i++) val[i] = i < 200 && check_below(3) == 0 ? 1e308 : i;
    for (int i = 0; i + 1 < 200; i += 2)
      if (val[i] == 1e308) val[i + 1] = -1e308;
    for (int64_t i = 0, n; i < 600; i += n) {
      n = 1 + check_below(600 - i);
      tw__brief_push(s, val + i, out + i, n);
    }
    for (int64_t i = 0; i < 600; i++) {
      int64_t from = i + 1 > rows ? i + 1 - rows : 0;
      double want = naive(TW_AGG_SUM, 0, val + from, i + 1 - from, 1);
      CHECKF(near(out[i], want, 1e293) && out[i] == out[i], "%g, not %g", out[i], want);
      if (i >= 200 + rows) CHECKF(near(out[i], want, 0), "%g, not %g", out[i], want);
    }
    tw__brief_close(s);
  }
}

static void every_allocation_may_fail(void) {
  static double val[ROWS], out[ROWS];
  make(val, ROWS, 0);
  for (int a = 0; a < AGGS; a++)
    for (int n = 1, done = 0; !done; n++) {
      int64_t before = tw_mem_bytes();
      tw_mem_fail_at(n);
      struct tw__brief *s = tw__brief_open(aggs[a], 1, 7, 3), *copy = NULL;
      if (s) tw__brief_push(s, val, out, ROWS);
      if (s) copy = tw__brief_copy(s);
      done = tw_mem_fail_at(0) > 0;
      if (done) CHECK(s && copy);
      tw__brief_close(s), tw__brief_close(copy);
      CHECK(tw_mem_bytes() == before);
    }
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int round = 0; round < (check_long ? 60 : 4); round++)
    for (int a = 0; a < AGGS; a++)
      for (int character = 0; character < 6; character++) agrees(aggs[a], character);
  is_exact_for_constants();
  comes_back_from_overflows();
  every_allocation_may_fail();
  return check_close();
}
