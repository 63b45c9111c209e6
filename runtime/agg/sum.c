/* sum.c -- compensated sums of all ends of a block. */
#include "agg/sum.h"

struct tw__sum tw__sum_suffixes(struct tw__sum *cells, int64_t n) {
  struct tw__sum sum = {0, 0};
  for (int64_t i = n - 1; i >= 0; i--) {
    tw__sum_add(&sum, cells[i].s);
    cells[i] = sum;
  }
  return sum;
}
