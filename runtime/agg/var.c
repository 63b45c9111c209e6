/* var.c -- putting sums of squares together. */
#include "agg/var.h"

struct tw__var tw__var_join(struct tw__var a, struct tw__var b) {
  if (a.n <= 0) return b;
  if (b.n <= 0) return a;
  struct tw__var_sums of_b = tw__var_shift(b.sums, b.n, b.k - a.k);
  struct tw__var all = {
      .n = a.n + b.n,
      .sums = {a.sums.s1 + of_b.s1, a.sums.s2 + of_b.s2},
  };
  all.k = a.k + all.sums.s1 / all.n;
  all.sums = tw__var_shift(all.sums, all.n, a.k - all.k);
  return all;
}

struct tw__var tw__var_suffixes(struct tw__var_sums *cells, int64_t n) {
  struct tw__var var = {.k = cells[n - 1].s1};
  for (int64_t i = n - 1; i >= 0; i--) {
    tw__var_add(&var, cells[i].s1);
    cells[i] = var.sums;
  }
  return var;
}
