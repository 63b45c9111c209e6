/* frame/cells, through what uses them: see frame/reduce and frame/group. Here: moving,
 * copying and clearing. */
#include "made.h"

#include "frame/cells.h"

enum { CELLS = 40 };

static const int aggs[] = {TW_AGG_COUNT, TW_AGG_SUM, TW_AGG_MEAN, TW_AGG_VAR,
                           TW_AGG_STD,   TW_AGG_MIN, TW_AGG_MAX,  TW_AGG_SIZE};

static int same(const struct tw__cells *a, int64_t g, const struct tw__cells *b,
                int64_t h) {
  double x = 0, y = 0;
  int64_t i = 0, j = 0;
  int type = tw__cells_value(a, g, &x, &i);
  if (type != tw__cells_value(b, h, &y, &j)) return 0;
  if (type == TW_COL_F64) return x == y || (x != x && y != y);
  return !type || i == j;
}

static void moves_copies_clears(int agg, int type, int live) {
  struct tw__cells c, copy, none;
  uint32_t number[300], keep[CELLS];
  tw_column *col = made_column(type, 300, 10, NULL);
  CHECK(tw__cells_init(&c, agg, type, 1, live) == TW_OK);
  CHECK(tw__cells_init(&none, agg, type, 1, live) == TW_OK);
  CHECK(!tw__cells_reserve(&c, CELLS) && !tw__cells_reserve(&none, 1));
  int64_t kept = 0;
  for (uint32_t g = 1; g < CELLS; g++)
    if (check_below(2)) keep[kept++] = g;
  if (!kept) keep[kept++] = 7;
  for (int i = 0; i < 300; i++) number[i] = keep[check_below(kept)];
  CHECK(!tw__cells_add(&c, number, col, 0, 300, NULL));
  for (int n = 1;; n++) {
    tw_mem_fail_at(n);
    int rc = tw__cells_copy(&copy, &c, CELLS);
    if (tw_mem_fail_at(0) > 0 && !rc) break;
    CHECK(rc == TW_ENOMEM && !copy.cell);
  }
  tw__cells_keep(&c, keep, kept, 1);
  for (int64_t i = 0; i < kept; i++) CHECK(same(&c, 1 + i, &copy, keep[i]));
  CHECK(same(&c, 0, &none, 0));
  for (int64_t g = kept + 1; g < CELLS; g++) CHECK(same(&c, g, &none, 0));
  tw__cells_clear(&c);
  for (int64_t g = 0; g < CELLS; g++) CHECK(same(&c, g, &none, 0));
  CHECK(!tw__cells_add(&c, number, col, 0, 300, NULL));
  for (int64_t g = 0; g < CELLS; g++) CHECK(same(&c, g, &copy, g));
  if (live) {
    tw__cells_drop(&c, number, col, 0, 300);
    for (int64_t g = 0; g < CELLS; g++) CHECK(same(&c, g, &none, 0));
  }
  tw__cells_fini(&c), tw__cells_fini(&copy), tw__cells_fini(&none);
  tw_column_release(col);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  for (int a = 0; a < 8; a++)
    for (int type = 1; type <= 5; type++)
      for (int live = 0; live < 2; live++) {
        struct tw__cells c;
        if (tw__cells_init(&c, aggs[a], type, 1, live) == TW_OK)
          moves_copies_clears(aggs[a], type, live);
        else
          CHECK(type > 3);
      }
  return check_close();
}
