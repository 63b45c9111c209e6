/* core/clock: never goes back, and goes on while one sleeps. */
#include "tideway.h"
#include "../check.h"

int main(int argc, char **argv) {
  check_open(argc, argv);
  double last = tw_clock_seconds();
  CHECK(last >= 0);
  for (int i = 0; i < 100000; i++) {
    double now = tw_clock_seconds();
    CHECK(now >= last);
    last = now;
  }
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  double slept = tw_clock_seconds() - last;
  CHECKF(slept >= 0.02 && slept < 60, "%g", slept);
  return check_close();
}
