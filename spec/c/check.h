/* check.h -- what the C specs are written with: checks that count, seeded random
 * numbers.
 *
 *     int main(int argc, char **argv) {
 *       check_open(argc, argv);
 *       for (int i = 0; i < 1000; i++) CHECK(twice(check_below(10)) < 20);
 *       return check_close();
 *     }
 *
 * Each spec is one program and includes this once. The seed is `--seed=N` among the
 * arguments or TW_SEED in the environment, else that of the tree which .ci/run checks
 * (TIDEWAY_SEEDS), else fresh; every failure prints it.
 * `--long` sets check_long. After 20 failures a spec gives up.
 */
#ifndef TIDEWAY_SPEC_CHECK_H
#define TIDEWAY_SPEC_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t check_seed;  /* what this run was seeded with */
static uint64_t check_state; /* of the generator */
static int check_long;       /* more of everything was asked for */
static long check_count, check_failed;
static const char *check_name = "spec";

/* The condition must hold; goes on either way. */
#define CHECK(cond) CHECKF(cond, "%s", "")

/* The same, with a printf text that says what was there instead. */
#define CHECKF(cond, ...)                                                              \
  do {                                                                                 \
    check_count++;                                                                     \
    if (!(cond)) {                                                                     \
      printf("%s:%d: %s does not hold, --seed=%llu: ", __FILE__, __LINE__, #cond,      \
             (unsigned long long)check_seed);                                          \
      printf(__VA_ARGS__);                                                             \
      putchar('\n');                                                                   \
      if (++check_failed >= 20) exit(1);                                               \
    }                                                                                  \
  } while (0)

/* xorshift64*, Vigna, TOMS 2016. */
__attribute__((unused)) static uint64_t check_u64(void) {
  check_state ^= check_state >> 12;
  check_state ^= check_state << 25;
  check_state ^= check_state >> 27;
  return check_state * 0x2545F4914F6CDD1Dull;
}

/* A whole number of 0 .. n - 1; n from 1. */
__attribute__((unused)) static int64_t check_below(int64_t n) {
  return (int64_t)(check_u64() % (uint64_t)n);
}

/* A number of [0, 1). */
__attribute__((unused)) static double check_unit(void) {
  return (double)(check_u64() >> 11) * 0x1p-53;
}

/* Starts the generator again at a seed of one's choice. */
__attribute__((unused)) static void check_reseed(uint64_t seed) {
  check_seed = seed;
  check_state = seed * 0x9E3779B97F4A7C15ull + 1;
  if (!check_state) check_state = 1;
}

__attribute__((unused)) static void check_open(int argc, char **argv) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t seed = ((uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec) % 1000000u;
  const char *text = getenv("TW_SEED");
  if (!text) text = getenv("TIDEWAY_SEEDS");
  if (argc > 0) check_name = argv[0];
  for (int i = 1; i < argc; i++) {
    if (!strncmp(argv[i], "--seed=", 7)) text = argv[i] + 7;
    if (!strcmp(argv[i], "--long")) check_long = 1;
  }
  check_reseed(text ? strtoull(text, NULL, 10) : seed);
}

/* Prints the one line a spec ends with; 0 or 1, for main to return. */
__attribute__((unused)) static int check_close(void) {
  printf("%s %s: %ld checks, %ld failed, seed %llu\n", check_failed ? "FAIL" : "ok  ",
         check_name, check_count, check_failed, (unsigned long long)check_seed);
  return check_failed ? 1 : 0;
}

#endif
