/* spin -- who has waited shortly looks before the next wait, in vain ever more rarely. */
#include "loop/spin.h"

#include "../check.h"
#include "tideway.h"

/* An inflow in which something is to be seen at the n-th look. */
typedef struct inflow {
  tw__inflow in;
  int waits; /* what it says at the beginning */
  int at;    /* from which look on there is something; below 0: never */
  int begun, looks, ended;
} inflow;

static int look(tw__inflow *in, int step) {
  inflow *f = (inflow *)in;
  if (step == TW__LOOK_BEGIN) {
    f->begun++;
    f->looks = 0;
    return f->waits;
  }
  if (step == TW__LOOK_END) f->ended++;
  if (step == TW__LOOK) f->looks++;
  return f->waits && f->at >= 0 && f->looks >= f->at;
}

/* One wait: whether it was spared, and otherwise ends, by an inflow or not. It was a short one, for
 * however long this machine did not let us run; with a look in vain it was a long one. */
static int wait_once(tw__spin *spin, int by_inflow) {
  if (tw__spin_before(spin, -1)) return 1;
  if (!spin->looked) spin->began = tw_loop_now_ns() + 3600000000000;
  spin->woken = by_inflow;
  tw__spin_after(spin);
  return 0;
}

static void long_wait(tw__spin *spin) {
  CHECK(!tw__spin_before(spin, -1));
  spin->began -= 1000000; /* it took a millisecond */
  spin->woken = 1;
  tw__spin_after(spin);
}

static void nothing_without_inflows(void) {
  tw__spin spin = {.promising = 1};
  CHECK(!wait_once(&spin, 1) && !spin.skip);
}

static void looks_after_a_short_wait(void) {
  inflow f = {.in = {.look = look}, .waits = 1, .at = 5};
  tw__spin spin = {0};
  tw__spin_add(&spin, &f.in);
  CHECK(!wait_once(&spin, 0) && !f.begun); /* ended by something else */
  CHECK(!wait_once(&spin, 0) && !f.begun);
  CHECK(!wait_once(&spin, 1) && !f.begun);
  for (int i = 1; i < 100; i++) {
    CHECK(wait_once(&spin, 1) && f.begun == i && f.ended == i && f.looks >= 5);
  }
  f.waits = 0; /* whoever does not wait for it is not to be woken */
  CHECK(!wait_once(&spin, 0) && f.begun == 100 && f.ended == 99 && !spin.skip);
  f.waits = 1;
  CHECK(wait_once(&spin, 0));
  tw__spin_remove(&spin, &f.in);
  tw__spin_remove(&spin, &f.in);
  CHECK(!wait_once(&spin, 1) && f.begun == 101);
}

static void not_after_a_long_one(void) {
  inflow f = {.in = {.look = look}, .waits = 1, .at = 0};
  tw__spin spin = {0};
  tw__spin_add(&spin, &f.in);
  long_wait(&spin);
  CHECK(!wait_once(&spin, 1) && wait_once(&spin, 1));
  spin.promising = 0;
  long_wait(&spin);
  CHECK(!wait_once(&spin, 0) && f.begun == 1);
}

/* Every look in vain is followed by twice as many waits without. */
static void in_vain_ever_more_rarely(void) {
  inflow f = {.in = {.look = look}, .waits = 1, .at = -1};
  tw__spin spin = {.promising = 1};
  tw__spin_add(&spin, &f.in);
  int without = 1;
  for (int i = 1; i < 10; i++) {
    spin.promising = 1; /* what ends these waits comes at once */
    CHECK(!wait_once(&spin, 0) && f.begun == i);
    for (int k = 0; k < without; k++) CHECK(!wait_once(&spin, 1) && f.begun == i);
    if (without < 127) without = 2 * without + 1;
  }
  f.at = 0;
  CHECK(wait_once(&spin, 1)); /* it was good once: as at the beginning */
  f.at = -1;
  CHECK(!wait_once(&spin, 1) && spin.skip == 1);
  CHECK(!spin.promising); /* with the look that wait was a long one */
}

static void no_longer_than_the_wait(void) {
  inflow f = {.in = {.look = look}, .waits = 1, .at = -1}, g = f;
  tw__spin spin = {.promising = 1};
  tw__spin_add(&spin, &f.in);
  tw__spin_add(&spin, &g.in);
  CHECK(!tw__spin_before(&spin, 0));
  const int looks = f.looks;
  CHECK(looks == 16 && g.looks == 16 && g.ended == 1);
  spin.skip = 0;
  const int64_t began = tw_loop_now_ns();
  CHECK(!tw__spin_before(&spin, -1) && tw_loop_now_ns() - began >= 100000);
  g.at = 3;
  CHECK(tw__spin_before(&spin, -1) && f.looks == 3 && f.ended == 3 && g.ended == 3);
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  nothing_without_inflows();
  looks_after_a_short_wait();
  not_after_a_long_one();
  in_vain_ever_more_rarely();
  no_longer_than_the_wait();
  return check_close();
}
