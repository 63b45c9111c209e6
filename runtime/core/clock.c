/* clock.c -- the monotonic clock. */
#include <time.h>

#include "tideway.h"

double tw_clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
