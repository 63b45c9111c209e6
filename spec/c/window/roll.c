/* window/roll: every aggregate agrees with what is computed afresh from the window. */
#include "../check.h"
#include "core/mem.h"
#include "tideway.h"

#include <math.h>

#ifdef __SANITIZE_ADDRESS__
enum { SHARE = 10 }; /* of the elements and the recomputations */
#else
enum { SHARE = 1 };
#endif

enum { WINDOW_MAX = 100000 };

/* ---- the stream: what it is like changes every now and then ---- */

enum { UNIT, OFFSET, DIGITS, WILD, SCALES, RISING, FALLING, SAME, JUMPS, KINDS };

static int kind, same_for;
static double level;

static double bell(void) {
  return check_unit() + check_unit() + check_unit() - 1.5;
}

static double next_number(int tame) {
  if (same_for-- <= 0) {
    kind = (int)check_below(KINDS);
    same_for = (int)check_below(check_below(3) ? 300 : 150000);
    level = bell() * 1000;
  }
  switch (kind) {
  case UNIT: return check_unit();
  case OFFSET: return 1e9 + bell();
  case DIGITS: return (double)check_below(10);
  case SCALES: return tame ? bell() : bell() * pow(10, (double)check_below(200) - 100);
  case RISING: return level += check_unit();
  case FALLING: return level -= check_unit();
  case SAME: return level;
  case JUMPS: return check_below(500) ? bell() : bell() * 1e15;
  default: break;
  }
  int64_t what = tame ? 9 : check_below(300);
  if (what == 0) return NAN;
  if (what == 1) return INFINITY;
  if (what == 2) return -INFINITY;
  return what == 3 ? -0.0 : bell();
}

/* ---- the window, and what is made of it by hand ---- */

struct window {
  double last[WINDOW_MAX]; /* ring */
  int64_t size, fill, at;
};

static struct window window;
static double sorted[WINDOW_MAX];

static void take_in(double x) {
  window.last[window.at] = x;
  window.at = (window.at + 1) % window.size;
  if (window.fill < window.size) window.fill++;
}

static double oldest(void) {
  return window.last[window.fill < window.size ? 0 : window.at];
}

static double newest(void) {
  return window.last[(window.at + window.size - 1) % window.size];
}

/* The sum, and in *size that of the absolute values. */
static long double sum_by_hand(long double *size) {
  long double sum = 0, lost = 0;
  double plain = 0;
  *size = 0;
  for (int64_t i = 0; i < window.fill; i++) {
    long double x = window.last[i], t = sum + x, of_x = t - sum;
    lost += (sum - (t - of_x)) + (x - of_x);
    sum = t;
    plain += window.last[i];
    *size += fabsl(x);
  }
  return isfinite(plain) ? sum + lost : plain;
}

static long double var_by_hand(double ddof) {
  long double size, square = 0, n = (long double)window.fill,
                    mean = sum_by_hand(&size) / n;
  for (int64_t i = 0; i < window.fill; i++)
    square += (window.last[i] - mean) * (window.last[i] - mean);
  return n - ddof > 0 ? square / (n - ddof) : NAN;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int has_nan(void) {
  for (int64_t i = 0; i < window.fill; i++)
    if (isnan(window.last[i])) return 1;
  return 0;
}

/* As pandas: rank (n - 1) q, linear in between; half way is the mean of both. */
static double quantile_by_hand(double q) {
  if (has_nan()) return NAN;
  memcpy(sorted, window.last, (size_t)window.fill * sizeof *sorted);
  qsort(sorted, (size_t)window.fill, sizeof *sorted, by_value);
  double place = q * (double)(window.fill - 1), part = place - floor(place);
  int64_t k = (int64_t)place;
  if (part == 0 || sorted[k] == sorted[k + 1]) return sorted[k];
  if (part == 0.5) return (sorted[k] + sorted[k + 1]) / 2;
  return sorted[k] + (sorted[k + 1] - sorted[k]) * part;
}

static double extreme_by_hand(int sign) {
  double best = -INFINITY;
  for (int64_t i = 0; i < window.fill; i++)
    if (sign * window.last[i] > best) best = sign * window.last[i];
  return has_nan() ? NAN : sign * best;
}

/* ---- agreement ---- */

static int same(double got, double want) {
  return isnan(want) ? isnan(got) : got == want;
}

/* Equal to tolerance, relative, give or take slack. */
static int near(double got, long double want, long double tolerance,
                long double slack) {
  if (!isfinite((double)want)) return same(got, (double)want);
  return fabsl(got - want) <= tolerance * fabsl(want) + slack;
}

static void agrees_now(int agg, double param, double got) {
  long double size, want = 0;
  int fits = 0;
  switch (agg) {
  case TW_AGG_COUNT: fits = same(got, (double)(want = window.fill)); break;
  case TW_AGG_FIRST: fits = same(got, (double)(want = oldest())); break;
  case TW_AGG_LAST: fits = same(got, (double)(want = newest())); break;
  case TW_AGG_MIN: fits = same(got, (double)(want = extreme_by_hand(-1))); break;
  case TW_AGG_MAX: fits = same(got, (double)(want = extreme_by_hand(1))); break;
  case TW_AGG_MEDIAN: param = 0.5; /* fall through */
  case TW_AGG_QUANTILE:
    fits = same(got, (double)(want = quantile_by_hand(param)));
    break;
  case TW_AGG_SUM:
  case TW_AGG_MEAN:
    want = sum_by_hand(&size);
    if (agg == TW_AGG_MEAN) want /= (long double)window.fill;
    fits = near(got, want, 1e-15L, 1e-30L * (long double)window.fill * size);
    break;
  default:
    want = var_by_hand(param);
    if (agg == TW_AGG_STD) want = sqrtl(want);
    /* of equal elements the hand's own rounding is all there is */
    sum_by_hand(&size);
    size *= 1e-15L / (long double)window.fill;
    fits = near(got, want, 1e-11L, agg == TW_AGG_STD ? size : size * size);
  }
  CHECKF(fits, "aggregate %d of %lld (kind %d, param %g): %.17g, not %.17Lg", agg,
         (long long)window.size, kind, param, got, want);
}

/* Pushes so many elements, one by one or in batches, and looks at the result about
 * `visits` window elements' worth of times. */
static void agrees(int agg, int64_t size, double param, int64_t pushes,
                   int64_t visits) {
  tw_roll *r = tw_roll_open(agg, size, param);
  int tame = agg == TW_AGG_STD; /* one of var and std is enough for wild numbers */
  double often = (double)visits / (double)size / (double)pushes;
  double in[64], out[64];
  window.size = size;
  window.fill = window.at = 0;
  CHECK(r != NULL);
  for (int64_t done = 0; done < pushes;) {
    int64_t n = check_below(8) ? 1 : 1 + check_below(64);
    for (int64_t i = 0; i < n; i++) in[i] = out[i] = next_number(tame);
    if (n == 1)
      out[0] = tw_roll_push(r, in[0]);
    else
      tw_roll_push_batch(r, check_below(2) ? in : out, out, n);
    for (int64_t i = 0; i < n; i++) {
      take_in(in[i]);
      if (check_unit() < often || done + i < 3) agrees_now(agg, param, out[i]);
    }
    done += n;
    CHECK(r->size == size && r->fill == window.fill);
  }
  tw_roll_close(r);
}

static void agree_on_windows_of_all_sizes(void) {
  static const int64_t sizes[] = {1, 2, 3, 10, 16, 17, 100, 1000, 4097, WINDOW_MAX};
  int64_t scale = check_long ? 20 : 1;
  for (int agg = TW_AGG_COUNT; agg <= TW_AGG_LAST; agg++)
    for (int i = 0; i < 10; i++) {
      int64_t size = sizes[i], pushes = (size > 10000 ? 250000 : 90000) * scale / SHARE;
      int sorts = agg == TW_AGG_MEDIAN || agg == TW_AGG_QUANTILE;
      double param = 0;
      if (agg == TW_AGG_VAR || agg == TW_AGG_STD) param = (double)check_below(3);
      if (agg == TW_AGG_QUANTILE)
        param = check_below(3) ? check_unit() : (double)check_below(2);
      agrees(agg, size, param, pushes, (sorts ? 300000 : 3000000) * scale / SHARE);
    }
}

/* ---- promises ---- */

static void does_not_drift_over_many_pushes(void) {
  static const int aggs[] = {TW_AGG_SUM, TW_AGG_MEAN, TW_AGG_VAR, TW_AGG_STD};
  int64_t pushes = 10000000 / SHARE;
  for (int k = 0; k < 4; k++) {
    double param = aggs[k] == TW_AGG_VAR || aggs[k] == TW_AGG_STD, result = 0;
    tw_roll *r = tw_roll_open(aggs[k], 1000, param);
    window.size = 1000;
    window.fill = window.at = 0;
    for (int64_t i = 0; i < pushes; i++) {
      double x = 1e9 + (double)(i * 7919 % 10007) / 10007;
      result = tw_roll_push(r, x);
      if (i >= pushes - 1000) take_in(x);
    }
    agrees_now(aggs[k], param, result);
    tw_roll_close(r);
  }
}

static void forgets_what_has_left(void) {
  static const double passing[] = {NAN, INFINITY, -INFINITY, 1e300, -1e308, 1e17};
  for (int agg = TW_AGG_COUNT; agg <= TW_AGG_LAST; agg++)
    for (int i = 0; i < 6; i++)
      for (int64_t size = 1; size < 40; size++) {
        double param = agg == TW_AGG_QUANTILE ? 0.3 : 1, got = 0;
        tw_roll *fresh = tw_roll_open(agg, size, param);
        tw_roll *used = tw_roll_open(agg, size, param);
        for (int64_t k = check_below(90); k > 0; k--) tw_roll_push(used, bell());
        for (int64_t k = check_below(3); k >= 0; k--) tw_roll_push(used, passing[i]);
        for (int64_t k = 0; k < size; k++) {
          double x = (double)check_below(100), want = tw_roll_push(fresh, x);
          got = tw_roll_push(used, x);
          if (k + 1 == size)
            CHECKF(same(got, want) || (agg == TW_AGG_VAR && fabs(got - want) < 1e-10) ||
                       (agg == TW_AGG_STD && fabs(got - want) < 1e-10),
                   "aggregate %d of %lld after %g: %.17g, not %.17g", agg,
                   (long long)size, passing[i], got, want);
        }
        tw_roll_close(fresh);
        tw_roll_close(used);
      }
}

static double after(int agg, double param, int64_t size, const double *in, int n) {
  tw_roll *r = tw_roll_open(agg, size, param);
  double result = NAN;
  for (int i = 0; i < n; i++) result = tw_roll_push(r, in[i]);
  tw_roll_close(r);
  return result;
}

static void gives_what_is_promised_at_the_edges(void) {
  const double one[] = {3}, two[] = {1, 2}, ends[] = {INFINITY, -INFINITY};
  const double same3[] = {0.1, 0.1, 0.1}, tenths[] = {0.1, 0.2, 0.3};
  const double large[] = {1e308, 1.5e308}, up[] = {5, INFINITY};
  CHECK(isnan(after(TW_AGG_VAR, 1, 5, one, 1)));
  CHECK(isnan(after(TW_AGG_STD, 2, 5, two, 2)));
  CHECK(after(TW_AGG_VAR, 0, 5, one, 1) == 0);
  CHECK(after(TW_AGG_VAR, 1, 5, same3, 3) == 0);
  CHECK(after(TW_AGG_VAR, 1, 5, two, 2) == 0.5);
  CHECK(isnan(after(TW_AGG_SUM, 0, 2, ends, 2)));
  CHECK(after(TW_AGG_SUM, 0, 1, ends, 2) == -INFINITY);
  CHECK(after(TW_AGG_MAX, 0, 2, ends, 2) == INFINITY);
  CHECK(isnan(after(TW_AGG_VAR, 0, 2, ends, 1)));
  CHECK(isnan(after(TW_AGG_MEDIAN, 0, 2, ends, 2)));
  CHECK(after(TW_AGG_MEDIAN, 0, 2, large, 2) == 1.25e308);
  CHECK(after(TW_AGG_MEDIAN, 0, 2, up, 2) == INFINITY);
  CHECK(after(TW_AGG_VAR, 0, 2, large, 2) == INFINITY);
  CHECK(after(TW_AGG_SUM, 0, 3, tenths, 3) == 0.6);
  CHECK(after(TW_AGG_QUANTILE, 0.25, 9, two, 2) == 1.25);
}

static void refuses_what_it_cannot_do(void) {
  CHECK(!tw_roll_open(-1, 3, 0) && !tw_roll_open(TW_AGG_LAST + 1, 3, 0));
  CHECK(!tw_roll_open(TW_AGG_SUM, 0, 0) && !tw_roll_open(TW_AGG_SUM, INT64_MAX, 0));
  CHECK(!tw_roll_open(TW_AGG_VAR, 3, -1) && !tw_roll_open(TW_AGG_STD, 3, NAN));
  CHECK(!tw_roll_open(TW_AGG_QUANTILE, 3, 1.01) &&
        !tw_roll_open(TW_AGG_QUANTILE, 3, NAN));
  CHECK(!tw_roll_open(TW_AGG_QUANTILE, 3, -0.01));
  tw_roll_close(NULL);
  for (int agg = TW_AGG_COUNT; agg <= TW_AGG_LAST; agg++)
    for (int n = 1;; n++) {
      tw_mem_fail_at(n);
      tw_roll *r = tw_roll_open(agg, 100, 0.5);
      if (tw_mem_fail_at(0) != 0) {
        char buf[200];
        CHECK(r != NULL);
        tw_roll_push(r, 1);
        CHECK(tw_roll_dump(r, buf, sizeof buf) == (int64_t)strlen(buf));
        tw_roll_close(r);
        break;
      }
      CHECK(!r);
    }
}

int main(int argc, char **argv) {
  int64_t before = tw_mem_bytes();
  check_open(argc, argv);
  gives_what_is_promised_at_the_edges();
  refuses_what_it_cannot_do();
  forgets_what_has_left();
  agree_on_windows_of_all_sizes();
  does_not_drift_over_many_pushes();
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
