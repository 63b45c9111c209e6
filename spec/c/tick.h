/* tick.h -- for the C specs of files: time passes by the clock that files are stamped with. */
#ifndef TIDEWAY_SPEC_TICK_H
#define TIDEWAY_SPEC_TICK_H

#include <time.h>

/* Wait until what is written next is stamped later than what has been written. */
static inline void tick(void) {
  const struct timespec nap = {.tv_nsec = 1000000};
  struct timespec before, now;
  for (int i = 0; i < 2; i++) { /* not at the edge of one */
    clock_gettime(CLOCK_REALTIME_COARSE, &before);
    do {
      nanosleep(&nap, NULL);
      clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
  }
}

#endif
