/* agg/order: a sorted array by another name; its invariants hold after every step. */
#include "../check.h"
#include "agg/order.h"
#include "core/mem.h"

enum { HELD_MAX = 20000 };

static double model[HELD_MAX]; /* sorted */
static int64_t held;

static int64_t place_of(double x) {
  int64_t low = 0, high = held;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (model[middle] < x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void insert(struct tw__order *order, double x) {
  int64_t at = place_of(x);
  memmove(&model[at + 1], &model[at], (size_t)(held - at) * sizeof *model);
  model[at] = x;
  held++;
  tw__order_insert(order, x);
}

static void remove_at(struct tw__order *order, int64_t at) {
  tw__order_remove(order, model[at]);
  held--;
  memmove(&model[at], &model[at + 1], (size_t)(held - at) * sizeof *model);
}

static void replace_at(struct tw__order *order, int64_t at, double x) {
  double old = model[at];
  held--;
  memmove(&model[at], &model[at + 1], (size_t)(held - at) * sizeof *model);
  at = place_of(x);
  memmove(&model[at + 1], &model[at], (size_t)(held - at) * sizeof *model);
  model[at] = x;
  held++;
  tw__order_replace(order, old, x);
}

static void look(struct tw__order *order, int64_t rank) {
  double next, x = tw__order_at(order, rank, &next);
  CHECKF(x == model[rank], "rank %lld of %lld", (long long)rank, (long long)held);
  CHECK(next == model[rank + (rank + 1 < held)]);
}

static double random_number(int kind) {
  switch (kind) {
  case 0: return check_unit();
  case 1: return (double)check_below(20);
  case 2: return check_below(3) ? (double)check_below(1000) : __builtin_inf();
  default: return check_below(2) ? -__builtin_inf() : check_unit();
  }
}

static void agrees_with_a_sorted_array(int64_t size, int kind, int steps) {
  struct tw__order order;
  CHECK(tw__order_init(&order, size) == TW_OK);
  held = 0;
  for (int step = 0; step < steps; step++) {
    int fills = step % 4000 < 2000 + (int)check_below(100); /* swells and shrinks */
    int64_t what = check_below(10);
    if (held < size && (fills ? what < 8 : what < 2))
      insert(&order, random_number(kind));
    else if (held && what == 9)
      replace_at(&order, check_below(held), random_number(kind));
    else if (held)
      remove_at(&order, check_below(3) ? check_below(held) : held - 1);
    if (held) look(&order, check_below(8) ? held / 2 : check_below(held));
    if (step < 300 || check_below(30) == 0) CHECK(tw__order_verify(&order));
  }
  while (held) remove_at(&order, check_below(held));
  CHECK(tw__order_verify(&order));
  tw__order_fini(&order);
}

/* Everything goes but one element in many, while new ones come elsewhere: what the room
 * for leaves is reckoned by. */
static void stays_within_its_leaves(int64_t size) {
  struct tw__order order;
  double base = 0;
  CHECK(tw__order_init(&order, size) == TW_OK);
  held = 0;
  for (int round = 0; round < 40; round++) {
    while (held < size) insert(&order, base += check_unit());
    int64_t keep = 1 + check_below(40), left = held;
    for (int64_t i = left - 1; i >= 0; i--)
      if (i % keep) remove_at(&order, i);
    if (check_below(2)) base = model[check_below(held)];
    CHECK(tw__order_verify(&order));
    CHECKF(order.leaf_used <= order.leaf_room, "%u leaves", order.leaf_used);
  }
  tw__order_fini(&order);
}

int main(int argc, char **argv) {
  static const int64_t sizes[] = {1, 2, 63, 64, 65, 66, 200, 1000, 5000};
  int64_t before = tw_mem_bytes();
  check_open(argc, argv);
  for (int i = 0; i < 9; i++)
    for (int kind = 0; kind < 4; kind++)
      agrees_with_a_sorted_array(sizes[i], kind, check_long ? 200000 : 12000);
  stays_within_its_leaves(300);
  stays_within_its_leaves(HELD_MAX);
  CHECK(tw_mem_bytes() == before);
  return check_close();
}
