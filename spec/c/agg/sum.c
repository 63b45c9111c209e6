/* agg/sum: parts put together in any way are as exact as one sum in twice the digits. */
#include "agg/sum.h"
#include "../check.h"

#include <math.h>

enum { N = 500 };

/* Numbers of very different sizes that nearly cancel. */
static double element(void) {
  const double x = (check_unit() - 0.5) * pow(10, (double)check_below(17));
  return check_below(4) ? x : -1e16 + (double)check_below(1000);
}

static void close_to(double got, __float128 sum, __float128 size) {
  const double want = (double)sum, bound = 4e-16 * fabs(want) + 1e-28 * (double)size;
  CHECKF(fabs(got - want) <= bound, "%.17g, should be %.17g", got, want);
}

static void every_end_is_exact(void) {
  struct tw__sum cells[N], front = {0, 0};
  double x[N];
  __float128 all = 0, size = 0;
  for (int i = 0; i < N; i++)
    cells[i] = (struct tw__sum){.s = x[i] = element(), .c = 9};
  const struct tw__sum total = tw__sum_suffixes(cells, N);
  CHECK(total.s == cells[0].s && total.c == cells[0].c);
  for (int i = N - 1; i >= 0; i--) {
    all += x[i];
    size += fabs(x[i]);
    close_to(tw__sum_value(cells[i]), all, size * N);
  }
  const int cut = (int)check_below(N);
  for (int i = 0; i < cut; i++) tw__sum_add(&front, x[i]);
  close_to(tw__sum_value(tw__sum_join(front, cells[cut])), all, size * N);
}

static void is_ieee_beyond_the_finite(void) {
  const double inf = __builtin_inf();
  struct tw__sum a = {0, 0}, b = {0, 0};
  tw__sum_add(&a, 1);
  tw__sum_add(&a, inf);
  CHECK(tw__sum_value(a) == inf);
  tw__sum_add(&b, -inf);
  CHECK(tw__sum_value(b) == -inf);
  const double both = tw__sum_value(tw__sum_join(a, b));
  CHECK(both != both);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 200; i++) every_end_is_exact();
  is_ieee_beyond_the_finite();
  return check_close();
}
