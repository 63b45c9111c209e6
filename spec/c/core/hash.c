/* core/hash: spreads evenly, depends on every bit and on the seed, reads nothing
 * outside. */
#include "core/hash.h"
#include "../check.h"

enum { BUCKETS = 1024, PER_BUCKET = 64, KEYS = BUCKETS * PER_BUCKET };

/* The fullest bucket of KEYS keys; about 100 when they fall at random. */
static int fullest(const int *counts) {
  int most = 0;
  for (int i = 0; i < BUCKETS; i++)
    if (counts[i] > most) most = counts[i];
  return most;
}

static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static int ascending(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

/* Of so many seeds. One product only: some in a hundred put whole numbers 5 to a place, and one in 250
 * fills a bucket of words more than twice, up to 7 times (of 5,000). */
static void spreads(void) {
  enum { SEEDS = 9, MIDDLE = SEEDS / 2 };
  static int nums[BUCKETS], words[BUCKETS], texts[BUCKETS];
  int of_nums[SEEDS], of_words[SEEDS];
  for (int k = 0; k < SEEDS; k++) {
    const uint64_t seed = check_u64();
    memset(nums, 0, sizeof nums);
    memset(words, 0, sizeof words);
    memset(texts, 0, sizeof texts);
    for (int i = 0; i < KEYS; i++) {
      char text[16];
      int len = snprintf(text, sizeof text, "key%d", i);
      nums[tw__hash_num(bits_of(i), seed) >> 54]++;
      words[tw__hash_u64((uint64_t)i, seed) >> 54]++;
      texts[tw__hash_bytes(text, (size_t)len, seed) >> 54]++;
    }
    of_nums[k] = fullest(nums);
    of_words[k] = fullest(words);
    CHECKF(fullest(texts) <= 2 * PER_BUCKET, "%d", fullest(texts));
  }
  qsort(of_nums, SEEDS, sizeof *of_nums, ascending);
  qsort(of_words, SEEDS, sizeof *of_words, ascending);
  CHECKF(of_nums[MIDDLE] <= 2 * PER_BUCKET, "%d", of_nums[MIDDLE]);
  CHECKF(of_nums[SEEDS - 1] <= 64 * PER_BUCKET, "%d", of_nums[SEEDS - 1]);
  CHECKF(of_words[MIDDLE] <= 2 * PER_BUCKET, "%d", of_words[MIDDLE]);
  CHECKF(of_words[SEEDS - 1] <= 64 * PER_BUCKET, "%d", of_words[SEEDS - 1]);
}

/* A flipped bit changes about half of the hash, over all lengths and places. */
static void depends_on_every_bit(void) {
  for (size_t len = 1; len <= 70; len++) {
    unsigned char *bytes = malloc(len); /* exactly: the sanitizer sees a read outside */
    for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)check_below(256);
    uint64_t seed = check_u64(), before = tw__hash_bytes(bytes, len, seed);
    for (size_t bit = 0; bit < 8 * len; bit++) {
      bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
      uint64_t changed = before ^ tw__hash_bytes(bytes, len, seed);
      CHECKF(__builtin_popcountll(changed) >= 8, "%zu bytes, bit %zu", len, bit);
      bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    CHECK(tw__hash_bytes(bytes, len, seed) == before);
    CHECK(tw__hash_bytes(bytes, len, seed + 1) != before);
    free(bytes);
  }
}

static void tells_lengths_apart(void) {
  char zeros[64] = {0};
  for (size_t len = 0; len < sizeof zeros; len++)
    for (size_t other = 0; other < len; other++)
      CHECK(tw__hash_bytes(zeros, len, 1) != tw__hash_bytes(zeros, other, 1));
}

int main(int argc, char **argv) {
  check_open(argc, argv);
  spreads();
  depends_on_every_bit();
  tells_lengths_apart();
  CHECK(tw__hash_seed() != tw__hash_seed());
  return check_close();
}
