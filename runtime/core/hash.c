/* hash.c -- where the seeds of hashes come from. */
#include "core/hash.h"

#include <sys/random.h>

uint64_t tw__hash_seed(void) {
  uint64_t seed = 0;
  if (getentropy(&seed, sizeof seed)) seed = (uint64_t)(uintptr_t)&seed;
  return seed;
}
