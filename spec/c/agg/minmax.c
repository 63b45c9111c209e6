/* agg/minmax: the maximum is that of a plain look at all elements, after any pushes and
 * drops. */
#include "agg/minmax.h"
#include "../check.h"
#include "tideway.h"

enum { SIZE_MAX_HERE = 70 };

static double plain(const double *held, int count) {
  double max = -__builtin_inf();
  for (int i = 0; i < count; i++)
    if (held[i] > max) max = held[i];
  return max;
}

static void agrees_with_a_plain_look(void) {
  const int size = 1 + (int)check_below(SIZE_MAX_HERE);
  const int64_t values = 1 + check_below(20), pushing = 2 + check_below(5);
  double held[SIZE_MAX_HERE];
  int count = 0;
  struct tw__minmax q;
  CHECK(tw__minmax_init(&q, size) == TW_OK);
  CHECK(tw__minmax_value(&q) == -__builtin_inf());
  for (int step = 0; step < 2000; step++) {
    if (count < size && check_below(pushing)) {
      double x = (double)check_below(values) - 5;
      if (check_below(50) == 0) x = check_below(2) ? __builtin_inf() : -__builtin_inf();
      tw__minmax_push(&q, x);
      held[count++] = x;
    } else if (count) {
      tw__minmax_drop(&q);
      memmove(held, held + 1, (size_t)--count * sizeof *held);
    }
    CHECKF(tw__minmax_value(&q) == plain(held, count), "%d held", count);
    CHECK(q.e - q.f == (uint64_t)count);
  }
  tw__minmax_fini(&q);
}

int main(int argc, char **argv) {
  struct tw__minmax q;
  check_open(argc, argv);
  for (int i = 0; i < 100; i++) agrees_with_a_plain_look();
  tw_mem_fail_at(1);
  CHECK(tw__minmax_init(&q, 10) == TW_ENOMEM);
  tw__minmax_fini(&q);
  return check_close();
}
