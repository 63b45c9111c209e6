/* agg/var: sums of squares of parts put together are those of all, also far from 0. */
#include "agg/var.h"
#include "../check.h"

#include <math.h>

enum { N = 400 };

static double plain(const double *x, int n) {
  __float128 mean = 0, square = 0;
  for (int i = 0; i < n; i++) mean += x[i];
  mean /= n;
  for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  return (double)square;
}

static void close_to(const struct tw__var *var, const double *x, int n) {
  const double got = tw__var_square(var->sums, var->n), want = plain(x, n);
  CHECK(var->n == n);
  CHECKF(fabs(got - want) <= 1e-9 * want + 1e-9, "%d: %.17g, should be %.17g", n, got,
         want);
}

static void parts_are_all(double offset) {
  struct tw__var_sums cells[N];
  double x[N];
  for (int i = 0; i < N; i++) cells[i].s1 = x[i] = offset + check_unit();
  const int cut = 1 + (int)check_below(N - 1);
  struct tw__var first = {.k = x[0]}, none = {0};
  for (int i = 0; i < cut; i++) tw__var_add(&first, x[i]);
  const struct tw__var second = tw__var_suffixes(cells + cut, N - cut);
  close_to(&first, x, cut);
  close_to(&second, x + cut, N - cut);

  const struct tw__var all = tw__var_join(first, second);
  close_to(&all, x, N);
  const struct tw__var same = tw__var_join(none, tw__var_join(all, none));
  CHECK(same.k == all.k && same.sums.s2 == all.sums.s2);

  /* each cell has the sums from it to the end, about the last element */
  const int at = cut + (int)check_below(N - cut);
  const struct tw__var end = {.n = N - at, .k = second.k, .sums = cells[at]};
  CHECK(second.k == x[N - 1]);
  close_to(&end, x + at, N - at);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int i = 0; i < 100; i++) parts_are_all(i % 2 ? 0 : 1e9);
  const struct tw__var_sums below = {.s1 = 1, .s2 = 0.5}; /* by rounding */
  CHECK(tw__var_square(below, 1) == 0);
  const struct tw__var_sums large = {.s1 = 1e200, .s2 = __builtin_inf()};
  CHECK(tw__var_square(large, 2) == __builtin_inf());
  return check_close();
}
