/* hash.h -- seeded hashes of numbers and bytes for tables in memory.
 *
 * Both fold 64 x 64 -> 128 bit products, as wyhash does (Wang Yi, 2019). Every table
 * takes a seed of its own (tw__hash_seed), so that nobody outside can choose colliding
 * keys.
 */
#ifndef TIDEWAY_CORE_HASH_H
#define TIDEWAY_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A number nobody can guess. Any thread. */
uint64_t tw__hash_seed(void);

static inline uint64_t tw__hash_fold(uint64_t a, uint64_t b) {
  __extension__ unsigned __int128 product = (unsigned __int128)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t tw__hash_u64(uint64_t x, uint64_t seed) {
  return tw__hash_fold(x ^ seed, 0x9E3779B97F4A7C15ull ^ (seed << 1));
}

/* For the bits of a double: one product with an odd number nobody knows, of which only
 * the leading bits count. Whole numbers in a row spread evenly. Dietzfelbinger et al.,
 * J. Algorithms 25, 1997. */
static inline uint64_t tw__hash_num(uint64_t bits, uint64_t seed) {
  return bits * (seed | 1);
}

static inline uint64_t tw__hash_word(const unsigned char *p) {
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

static inline uint64_t tw__hash_bytes(const void *bytes, size_t len, uint64_t seed) {
  const unsigned char *p = bytes;
  uint64_t a = 0, b = 0, hash = seed ^ 0xA0761D6478BD642Full;
  size_t left = len;
  for (; left > 16; left -= 16, p += 16)
    hash = tw__hash_fold(tw__hash_word(p) ^ 0xE7037ED1A0B428DBull,
                         tw__hash_word(p + 8) ^ hash);
  if (left >= 8) { /* the two words overlap unless left is 16 */
    a = tw__hash_word(p);
    b = tw__hash_word(p + left - 8);
  } else if (left) {
    memcpy(&a, p, left);
  }
  hash = tw__hash_fold(a ^ 0x8EBC6AF09C88C6E3ull, b ^ hash);
  return tw__hash_fold(hash ^ len, 0x589965CC75374CC3ull);
}

#endif
